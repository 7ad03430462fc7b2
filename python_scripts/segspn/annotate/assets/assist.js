"use strict";

// Hints of the server's helpers, a value a pixel (segspn.annotate.assist).
const HINT = { inside: 1, other: 2, own: 3 };

/** What the server helps with: outlines and rough masks become the object. */
class Assist {
  constructor(editor) { this.editor = editor; }

  /** Has GrabCut find the object inside an outline. */
  cut(outline, isBox) {
    const { drawing, object, keepOthers } = this.editor, hints = this.hints();
    polygonSpans(outline, drawing.width, drawing.height, (row, begin, end) => {
      for (let i = row * drawing.width + begin; i < row * drawing.width + end; i++) {
        if (hints[i] === 0 || (hints[i] === HINT.other && !keepOthers)) {
          hints[i] = HINT.inside;
        }
      }
    });
    return this.help(isBox ? "box" : "outline", drawing, hints, (paint, found) => {
      for (let i = 0; i < found.length; i++) if (found[i]) paint.pixel(i);
    }, object);
  }

  /** Has the refinement net find the border of what is roughly drawn. */
  snap() {
    if (!this.editor.mayChange()) return null;
    return this.help("snap", this.editor.drawing, this.hints(), (paint, found) => {
      const { ids } = paint.drawing;
      for (let i = 0; i < found.length; i++) {
        if (found[i]) paint.pixel(i);
        else if (ids[i] === paint.k) paint.pixel(i, true);
      }
    }, this.editor.object);
  }

  hints() {
    const { drawing, object } = this.editor;
    return drawing.ids.map((k) => (k === object ? HINT.own : k && HINT.other));
  }

  /** Asks the server for the pixels of an object, and has apply(paint, found) draw them. */
  async help(what, drawing, hints, apply, object) {
    const { editor } = this, paint = new Paint(drawing, object, editor.keepOthers);
    editor.busy += 1;
    drawing.helpers += 1;
    editor.update();
    try {
      const answer = await ask("POST", address(drawing.stem, what), { body: packed(hints) });
      apply(paint, await planeOf(answer, drawing.ids.length));
    } catch (error) {
      editor.tell(error.message);
    } finally {
      editor.busy -= 1;
    }
    editor.commit(drawing);
    drawing.helpers -= 1;
    editor.update();
  }
}
