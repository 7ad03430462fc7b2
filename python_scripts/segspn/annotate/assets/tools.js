"use strict";

const NEAR = 10; // px of the stage within which a click closes a polygon
const SMALLEST_BRUSH = 0.71; // px, its radius: the pixel under the pointer is always painted
const SMALLEST_MOVE = 3; // px of the stage; what moves less is a click

/** Changes pixels of a drawing, where the rules allow it, and remembers in which rows. */
class Paint {
  /** k: the object that is drawn; keep: whether pixels of others stay as they are. */
  constructor(drawing, k, keep, isErasing = false) {
    Object.assign(this, { drawing, k, keep, isErasing });
    this.rest();
    this.span = (row, begin, end) => {
      const { width } = drawing;
      for (let i = row * width + begin; i < row * width + end; i++) this.pixel(i);
    };
  }

  rest() {
    this.first = Infinity;
    this.last = -1;
  }

  pixel(i, isErasing = this.isErasing) {
    const { ids, width } = this.drawing, there = ids[i];
    if (this.keep && there !== this.k && (isErasing || there !== 0)) return;
    const value = isErasing ? 0 : this.k;
    if (there === value) return;
    ids[i] = value;
    const row = Math.floor(i / width);
    this.first = Math.min(this.first, row);
    this.last = Math.max(this.last, row);
  }
}

/** A tool: what happens from the pointer's going down to its going up; points are of the frame. */
class Tool {
  constructor(editor) { this.editor = editor; }
  down() {}
  move() {}
  up() {}
  cancel() {}
  draw() {}
  key() { return false; }
}

class Brush extends Tool {
  constructor(editor, isErasing) {
    super(editor);
    this.isErasing = isErasing;
  }

  get radius() { return Math.max(SMALLEST_BRUSH, this.editor.size / 2); }

  down(point) {
    this.paint = this.editor.paint(this.isErasing);
    this.at = point;
    this.move(point);
  }

  move(point) {
    if (!this.paint) return;
    const { drawing } = this.paint;
    this.paint.rest();
    strokeSpans(this.at, point, this.radius, drawing.width, drawing.height, this.paint.span);
    this.at = point;
    if (this.paint.last >= 0) this.editor.view.tint(this.paint.first, this.paint.last);
  }

  up() {
    if (this.paint) this.editor.commit(this.paint.drawing);
    this.paint = null;
  }

  cancel() {
    if (this.paint) this.editor.takeBack(this.paint.drawing);
    this.paint = null;
  }

  draw(context) {
    const { hover, view } = this.editor;
    if (!hover) return;
    context.beginPath();
    context.arc(...view.toStage(hover), this.radius * view.scale, 0, 2 * Math.PI);
    line(context, this.isErasing ? "#101317" : this.editor.colour, this.isErasing ? [4, 3] : []);
  }
}

class Fill extends Tool {
  down([x, y], event) {
    const { editor } = this, { drawing, object } = editor, { width, height, ids } = drawing;
    const column = Math.floor(x), row = Math.floor(y);
    if (column < 0 || row < 0 || column >= width || row >= height) return;
    const there = ids[row * width + column];
    if (there === object) return editor.tell("this is of the object already");
    if (there && editor.keepOthers) {
      return editor.tell("this is of another object; uncheck “keep other objects” to take it");
    }
    const { pixels, isOpen } = connected(ids, width, height, column, row);
    if (isOpen && !there && !event.shiftKey) {
      return editor.tell("this is open to the border of the frame: close the outline first, "
        + "or fill it with shift");
    }
    const paint = editor.paint();
    for (const i of pixels) paint.pixel(i);
    return editor.commit(drawing);
  }
}

class Polygon extends Tool {
  constructor(editor) {
    super(editor);
    this.points = [];
  }

  down(point, event) {
    const isDouble = event.detail > 1 && this.points.length > 2;
    if (isDouble || (this.points.length > 2 && this.isNear(point, this.points[0]))) {
      this.close(event.altKey);
      return;
    }
    this.points.push(point);
    this.editor.view.draw();
  }

  isNear(a, b) {
    return distance(this.editor.view.toStage(a), this.editor.view.toStage(b)) < NEAR;
  }

  /** Fills it; with isErasing, takes it away from the object.  It stays while that may not be. */
  close(isErasing = false) {
    const { editor, points } = this;
    if (!editor.mayDraw()) return;
    this.points = [];
    if (points.length < 3) { editor.tell("a polygon has three corners or more"); return; }
    const paint = editor.paint(isErasing);
    polygonSpans(points, paint.drawing.width, paint.drawing.height, paint.span);
    editor.commit(paint.drawing);
  }

  cancel() {
    this.points = [];
    this.editor.view.draw();
  }

  key(event) {
    if (!this.points.length) return false;
    if (event.key === "Enter") this.close(event.altKey);
    else if (event.key === "Escape") this.cancel();
    else if (event.key === "Backspace" || (event.key === "z" && (event.ctrlKey || event.metaKey))) {
      this.points.pop();
      this.editor.view.draw();
    } else return false;
    return true;
  }

  draw(context) {
    const { hover, view, colour } = this.editor, { points } = this;
    if (!points.length) return;
    const places = [...points, ...(hover ? [hover] : [])].map((point) => view.toStage(point));
    path(context, places);
    line(context, colour);
    const isClosing = hover && points.length > 2 && this.isNear(hover, points[0]);
    places.slice(0, points.length).forEach(([x, y], i) => {
      context.beginPath();
      context.arc(x, y, i === 0 && isClosing ? 7 : 3.5, 0, 2 * Math.PI);
      line(context, colour);
      context.fillStyle = i === 0 ? "#ffffff" : colour;
      context.fill();
    });
  }
}

/** An outline, or a box, that is dragged around an object, which GrabCut then finds. */
class Around extends Tool {
  constructor(editor, isBox) {
    super(editor);
    this.isBox = isBox;
    this.points = [];
  }

  down(point) { this.points = [point]; }

  move(point) {
    if (!this.points.length) return;
    const { view } = this.editor, last = this.points.at(-1);
    if (this.isBox) this.points[1] = point;
    else if (distance(view.toStage(point), view.toStage(last)) >= SMALLEST_MOVE) {
      this.points.push(point);
    }
    view.draw();
  }

  get outline() {
    if (!this.isBox) return this.points;
    const [[x0, y0], [x1, y1]] = [this.points[0], this.points.at(-1)];
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
  }

  up(point) {
    if (!this.points.length) return;
    this.move(point);
    const { outline } = this;
    this.cancel();
    this.editor.assist.cut(outline, this.isBox);
  }

  cancel() {
    this.points = [];
    this.editor.view.draw();
  }

  draw(context) {
    if (this.points.length < 2) return;
    path(context, this.outline.map((point) => this.editor.view.toStage(point)));
    context.closePath();
    line(context, this.editor.colour, [6, 4]);
  }
}

class Hand extends Tool {}

const distance = ([x0, y0], [x1, y1]) => Math.hypot(x1 - x0, y1 - y0);

function path(context, [first, ...others]) {
  context.beginPath();
  context.moveTo(...first);
  for (const place of others) context.lineTo(...place);
}

/** Strokes a path, to be seen on any ground. */
function line(context, colour, dashes = []) {
  context.setLineDash([]);
  context.lineWidth = 4;
  context.strokeStyle = "rgb(255 255 255 / 75%)";
  context.stroke();
  context.setLineDash(dashes);
  context.lineWidth = 1.8;
  context.strokeStyle = colour;
  context.stroke();
  context.setLineDash([]);
}
