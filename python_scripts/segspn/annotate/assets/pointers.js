"use strict";

/** Mouse, pen and fingers on the stage: to the tool, or to move and zoom it. */
class Pointers {
  constructor(editor) {
    Object.assign(this, { editor, down: new Map(), isDrawing: false, hasPen: false });
    const { canvas } = editor.view;
    const on = (name, listen) => canvas.addEventListener(name, listen, { passive: false });
    on("pointerdown", (event) => this.begin(event));
    on("pointermove", (event) => this.move(event));
    on("pointerup", (event) => this.end(event));
    on("pointercancel", (event) => this.end(event, true));
    on("pointerleave", () => { editor.hover = null; editor.view.draw(); });
    on("wheel", (event) => this.wheel(event));
    on("contextmenu", (event) => event.preventDefault());
  }

  place(event) {
    const box = this.editor.view.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  begin(event) {
    const { editor } = this;
    if (!editor.view.drawing) return;
    event.preventDefault();
    document.activeElement?.blur(); // keys are of the stage from now on
    editor.view.canvas.setPointerCapture(event.pointerId);
    this.down.set(event.pointerId, this.place(event));
    this.hasPen ||= event.pointerType === "pen";
    const isPalm = event.pointerType === "touch" && this.hasPen;
    if (this.down.size > 1) this.cancel();
    else if (event.button === 0 && !editor.isMoving && !isPalm && editor.mayDraw()) {
      this.isDrawing = true;
      editor.hover = editor.view.toFrame(this.place(event));
      editor.tool.down(editor.hover, event);
    }
  }

  cancel() {
    if (this.isDrawing) this.editor.tool.cancel();
    this.isDrawing = false;
  }

  move(event) {
    const { editor } = this, { view } = editor, place = this.place(event);
    if (!view.drawing) return;
    editor.hover = event.pointerType === "touch" ? null : view.toFrame(place);
    if (this.isDrawing) {
      const events = event.getCoalescedEvents?.() ?? [];
      for (const one of events.length ? events : [event]) {
        editor.tool.move(view.toFrame(this.place(one)), one);
      }
    } else if (this.down.has(event.pointerId)) {
      this.drag(event.pointerId, place);
    }
    view.draw();
  }

  /** One pointer moves the stage, two zoom it as well. */
  drag(id, place) {
    const { view } = this.editor, before = this.down.get(id);
    const other = [...this.down].find(([one]) => one !== id)?.[1];
    this.down.set(id, place);
    if (!other) {
      view.moveBy(place[0] - before[0], place[1] - before[1]);
      return;
    }
    const middle = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    const from = middle(before, other), to = middle(place, other);
    view.moveBy(to[0] - from[0], to[1] - from[1]);
    view.zoom(distance(place, other) / Math.max(1, distance(before, other)), to);
  }

  end(event, isCancelled = false) {
    this.down.delete(event.pointerId);
    if (!this.isDrawing) return;
    if (isCancelled) this.cancel();
    else this.editor.tool.up(this.editor.view.toFrame(this.place(event)), event);
    this.isDrawing = false;
  }

  wheel(event) {
    event.preventDefault();
    if (!this.editor.view.drawing) return;
    const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : 1);
    this.editor.view.zoom(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.002)), this.place(event));
  }
}
