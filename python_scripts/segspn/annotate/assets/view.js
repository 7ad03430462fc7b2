"use strict";

const FARTHEST = 0.5, NEAREST = 40; // of the scale at which all is seen; screen px a px of a frame
const EDGE = 24; // px of the stage that a frame keeps in sight

/** The canvas: a frame with its masks, zoomed and moved; tools draw over it. */
class View {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.overlay = document.createElement("canvas");
    this.colours = [];
    Object.assign(this, { scale: 1, left: 0, top: 0, opacity: 0.5, isShown: true, drawing: null });
    this.above = () => {}; // draws what a tool shows, in px of the stage
    new ResizeObserver(() => this.resized()).observe(canvas);
  }

  get fit() {
    const { width, height } = this.drawing;
    return Math.min(this.width / width, this.height / height);
  }

  resized() {
    const wasFit = this.drawing && this.isFit;
    this.density = window.devicePixelRatio || 1;
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    this.canvas.width = Math.max(1, Math.round(this.width * this.density));
    this.canvas.height = Math.max(1, Math.round(this.height * this.density));
    if (wasFit) this.fitAll();
    else if (this.drawing) this.moveTo(this.left, this.top);
  }

  /** Shows a drawing, with object ids of its own or other ones over its frame. */
  show(drawing, ids = drawing.ids) {
    const isNew = !this.drawing || this.drawing.width !== drawing.width
      || this.drawing.height !== drawing.height;
    Object.assign(this, { drawing, image: drawing.image, ids });
    if (isNew) {
      this.overlay.width = drawing.width;
      this.overlay.height = drawing.height;
      this.pixels = new ImageData(drawing.width, drawing.height);
      this.fitAll();
    }
    this.tint();
  }

  /** Colours the masks anew, in these rows: inner pixels thinly, border pixels fully. */
  tint(first = 0, last = Infinity) {
    const { ids, drawing: { width, height }, pixels: { data }, colours } = this;
    const top = Math.max(0, first - 1), bottom = Math.min(height, last + 2);
    const inner = Math.round(255 * this.opacity);
    for (let y = top, i = top * width; y < bottom; y++) {
      for (let x = 0; x < width; x++, i++) {
        const k = ids[i];
        if (!k) { data[4 * i + 3] = 0; continue; }
        const isBorder = (x > 0 && ids[i - 1] !== k) || (x < width - 1 && ids[i + 1] !== k)
          || (y > 0 && ids[i - width] !== k) || (y < height - 1 && ids[i + width] !== k);
        const colour = colours[k];
        data[4 * i] = colour[0];
        data[4 * i + 1] = colour[1];
        data[4 * i + 2] = colour[2];
        data[4 * i + 3] = isBorder ? 255 : inner;
      }
    }
    this.overlay.getContext("2d")
      .putImageData(this.pixels, 0, 0, 0, top, width, Math.max(0, bottom - top));
    this.draw();
  }

  /** Draws the stage, once before the next time that the screen is. */
  draw() {
    this.asked ??= requestAnimationFrame(() => {
      this.asked = null;
      this.drawNow();
    });
  }

  drawNow() {
    const { context, density, scale, drawing, image } = this;
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    if (!drawing) return;
    context.imageSmoothingEnabled = scale * density < 3; // then pixels are seen as they are
    const box = [this.left, this.top, drawing.width * scale, drawing.height * scale];
    context.drawImage(image, ...box);
    if (this.isShown) context.drawImage(this.overlay, ...box);
    this.above(context);
    this.canvas.dataset.shown = drawing.stem;
  }

  /** A place of the frame, in its px, from one of the stage; and back. */
  toFrame([x, y]) {
    return [(x - this.left) / this.scale, (y - this.top) / this.scale];
  }

  toStage([x, y]) {
    return [this.left + x * this.scale, this.top + y * this.scale];
  }

  fitAll() {
    this.scale = this.fit;
    this.isFit = true;
    const { width, height } = this.drawing;
    this.left = (this.width - width * this.scale) / 2;
    this.top = (this.height - height * this.scale) / 2;
    this.draw();
  }

  /** Zooms by a factor, about a place of the stage. */
  zoom(factor, [x, y] = [this.width / 2, this.height / 2]) {
    const [atX, atY] = this.toFrame([x, y]);
    this.scale = Math.min(NEAREST, Math.max(this.fit * FARTHEST, this.scale * factor));
    this.moveTo(x - atX * this.scale, y - atY * this.scale);
  }

  moveBy(dx, dy) {
    this.moveTo(this.left + dx, this.top + dy);
  }

  moveTo(left, top) {
    const { width, height } = this.drawing, { scale } = this;
    this.isFit = false;
    this.left = Math.min(this.width - EDGE, Math.max(EDGE - width * scale, left));
    this.top = Math.min(this.height - EDGE, Math.max(EDGE - height * scale, top));
    this.draw();
  }
}
