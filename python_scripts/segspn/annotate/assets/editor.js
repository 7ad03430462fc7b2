"use strict";

const TOAST = 5000; // ms
const MOST_OBJECTS = 254;
const GOES_BACK = 10; // frames that shift and an arrow go

/** What is being drawn, where and with what; its parts of the page follow it. */
class Editor {
  constructor() {
    Object.assign(this, { stem: null, drawing: null, object: 1, size: 16, keepOthers: true,
      hover: null, isMoving: false, isHolding: false, result: null, hasResult: false, busy: 0,
      unfit: new Map() });
    this.view = new View(byId("canvas"));
    this.view.above = (context) => this.tool.draw(context);
    this.drawings = new Drawings(() => this.update(), (drawing) => this.saved(drawing),
      (drawing) => drawing === this.drawing);
    this.tools = { polygon: new Polygon(this), brush: new Brush(this, false),
      eraser: new Brush(this, true), fill: new Fill(this), box: new Around(this, true),
      outline: new Around(this, false), hand: new Hand(this) };
    this.tool = this.tools.polygon;
    this.assist = new Assist(this);
    this.pointers = new Pointers(this);
  }

  /** Takes what the server knows of the video; draws the page anew. */
  async open() {
    const video = await (await ask("GET", "/api/video")).json();
    this.video = video;
    this.view.colours = video.colours;
    this.view.opacity = byId("opacity").value / 100;
    this.annotated = new Map(Object.entries(video.annotated));
    this.complete = new Set(video.complete);
    this.unfit = new Map(Object.entries(video.unfit));
    this.names = new Map(Object.entries(video.names).map(([k, name]) => [Number(k), name]));
    this.objects = new Set([...this.names.keys(), ...[...this.annotated.values()].flat()]);
    if (!this.objects.size) this.objects.add(1);
    this.object = Math.min(...this.objects);
    document.title = `${video.video}: masks`;
    byId("title").textContent = video.video;
    byId("subtitle").textContent = `draw masks of its objects · ${video.width}×${video.height} px`;
    byId("command").textContent = video.command;
    byId("slider").max = video.frames.length - 1;
    this.strip = new Strip(byId("strip"), video, (stem) => this.go(stem));
    const wanted = decodeURIComponent(location.hash.slice(1));
    this.choose("polygon");
    await this.go(video.frames.includes(wanted) ? wanted : video.frames[0]);
  }

  get colour() { return `rgb(${this.video.colours[this.object].join(" ")})`; }

  nameOf(k) { return this.names.get(k) ?? `object ${k}`; }

  // ------------------------------------------------------------------- frames

  get number() { return this.video.frames.indexOf(this.stem); }

  goTo(number) {
    const { frames } = this.video;
    return this.go(frames[Math.min(frames.length - 1, Math.max(0, number))]);
  }

  /** Shows a frame; what is wrong with its PNG stands in its place. */
  async go(stem) {
    this.pointers.cancel();
    this.tool.cancel();
    this.stem = stem;
    history.replaceState(null, "", `#${encodeURIComponent(stem)}`);
    this.drawing = null;
    this.result = null;
    this.update();
    let drawing = null, problem = null;
    try {
      drawing = await this.drawings.get(stem);
    } catch (error) {
      problem = error.message;
    }
    if (this.stem !== stem) return;
    this.drawing = drawing;
    if (problem) {
      this.unfit.set(stem, problem);
      this.view.drawing = null;
      this.view.draw();
    } else {
      this.unfit.delete(stem);
      await this.showMasks();
    }
    this.update();
    const next = this.video.frames[this.number + 1];
    if (next && !problem) this.drawings.get(next).catch(() => {});
  }

  /** Shows the frame's drawing, or the labels of the result where these are wanted. */
  async showMasks() {
    const { drawing } = this;
    this.result = null;
    if (this.wantsResult) {
      const result = await this.labels();
      if (this.drawing !== drawing) return;
      this.result = result;
    }
    this.view.show(drawing, this.result ?? drawing.ids);
    this.update();
  }

  /** A promise of the labels of this frame, null where there are none. */
  async labels() {
    const { drawing } = this;
    this.busy += 1;
    try {
      const answer = await ask("GET", address(drawing.stem, "result"));
      return await planeOf(answer, drawing.width * drawing.height);
    } catch (error) {
      this.tell(error.message);
      return null;
    } finally {
      this.busy -= 1;
    }
  }

  showResult(isWanted) {
    this.wantsResult = isWanted && this.hasResult;
    if (this.drawing) this.showMasks();
    this.update();
  }

  /** Goes to the annotated frame that is before this one (-1) or after it (1). */
  goAnnotated(direction) {
    const stem = this.annotatedFrom(direction);
    if (stem) this.go(stem);
    else this.tell(`no frame ${direction < 0 ? "before" : "after"} this one is annotated`);
  }

  annotatedFrom(direction) {
    const { frames } = this.video;
    for (let n = this.number + direction; n >= 0 && n < frames.length; n += direction) {
      if (this.annotated.has(frames[n])) return frames[n];
    }
    return null;
  }

  // ------------------------------------------------------------------ drawing

  /** Whether the drawing may be changed now; says why not. */
  mayChange() {
    if (!this.drawing) return false;
    if (this.result) {
      this.tell("this is the result: take it over (T) to correct it, or show the drawing (R)");
    } else if (this.busy) this.tell("wait a moment: the page is at work");
    else if (this.drawing.conflict) this.tell("this frame was changed elsewhere: choose above");
    else return true;
    return false;
  }

  /** Whether it may be with the tool that is chosen. */
  mayDraw() { return this.mayChange() && this.tool !== this.tools.hand; }

  paint(isErasing = false) {
    return new Paint(this.drawing, this.object, this.keepOthers, isErasing);
  }

  /** After each change of a drawing's pixels. */
  commit(drawing) {
    if (drawing.commit()) this.changed(drawing);
    else this.redraw(drawing);
  }

  changed(drawing) {
    for (const k of drawing.areas().keys()) if (k <= MOST_OBJECTS) this.objects.add(k);
    this.redraw(drawing);
    this.drawings.changed(drawing);
  }

  redraw(drawing) {
    if (drawing === this.drawing && !this.result) this.view.show(drawing);
  }

  takeBack(drawing) {
    drawing.cancel();
    this.redraw(drawing);
  }

  undo() {
    if (this.drawing && !this.busy && this.drawing.undo()) this.changed(this.drawing);
  }

  redo() {
    if (this.drawing && !this.busy && this.drawing.redo()) this.changed(this.drawing);
  }

  /** Applies change(paint) to the drawing as one step. */
  edit(change) {
    if (!this.mayChange()) return;
    const paint = this.paint();
    change(paint, this.drawing);
    this.commit(this.drawing);
  }

  fillHoles() {
    this.edit((paint, { ids, width, height }) => {
      for (const i of holesOf(ids, width, height, this.object)) paint.pixel(i);
    });
  }

  clear() {
    this.edit((paint, { ids }) => {
      for (let i = 0; i < ids.length; i++) if (ids[i] === this.object) paint.pixel(i, true);
    });
  }

  /** What the annotated frame before this one has, of all objects, where nothing is drawn here. */
  async copyBefore() {
    const stem = this.annotatedFrom(-1), { drawing } = this;
    if (!stem) { this.tell("no frame before this one is annotated"); return; }
    const other = await this.drawings.get(stem);
    if (this.drawing !== drawing) return;
    if (other.ids.length !== drawing.ids.length) { this.tell("it is of another size"); return; }
    this.edit(() => {
      for (let i = 0; i < drawing.ids.length; i++) drawing.ids[i] ||= other.ids[i];
    });
    this.tell(`copied from frame ${stem}; undo takes it back`);
  }

  /** The result's pixels of an object, or of all (null), become the drawing's. */
  async takeOver(k) {
    const { drawing } = this;
    if (!drawing || !this.hasResult) return;
    const labels = this.result ?? await this.labels();
    if (!labels || this.drawing !== drawing) return;
    this.showResult(false);
    this.edit((paint, { ids }) => {
      for (let i = 0; i < ids.length; i++) {
        if (k === null) ids[i] = labels[i];
        else if (labels[i] === k) paint.pixel(i);
        else if (ids[i] === k) paint.pixel(i, true);
      }
    });
    this.tell(`taken over from the result: mend what is wrong; undo takes it back`);
  }

  // ------------------------------------------------------------------ objects

  select(k) {
    this.object = k;
    this.view.draw();
    this.update();
  }

  add() {
    let k = 1;
    while (this.objects.has(k)) k += 1;
    if (k > MOST_OBJECTS) { this.tell(`there are ${MOST_OBJECTS} objects at most`); return; }
    this.objects.add(k);
    this.select(k);
  }

  async rename(k, name) {
    try {
      const answer = await (await ask("PUT", `/api/objects/${k}`, asJson({ name }))).json();
      this.names = new Map(Object.entries(answer.names).map(([id, text]) => [Number(id), text]));
    } catch (error) {
      this.tell(error.message);
    }
    this.update();
  }

  /** Takes an object out of all frames, after a question where it is drawn in some. */
  async remove(k) {
    if (this.busy) { this.tell("wait a moment: the page is at work"); return; }
    const having = [...this.annotated].filter(([, objects]) => objects.includes(k));
    const many = having.length === 1 ? "1 frame" : `${having.length} frames`;
    if (having.length && !window.confirm(
      `Take ${this.nameOf(k)} out of ${many}? This cannot be undone.`)) return;
    this.busy += 1; // nothing may be drawn meanwhile
    try {
      await this.drawings.flush();
      await ask("DELETE", `/api/objects/${k}`);
    } catch (error) {
      this.tell(error.message);
      return;
    } finally {
      this.busy -= 1;
      this.update();
    }
    for (const [stem, objects] of having) this.note(stem, objects.filter((other) => other !== k));
    this.names.delete(k);
    this.objects.delete(k);
    if (!this.objects.size) this.objects.add(1);
    if (this.object === k) this.object = Math.min(...this.objects);
    this.drawings.forget();
    await this.go(this.stem);
  }

  async setComplete(isComplete) {
    const { drawing, stem } = this;
    try {
      await this.drawings.setComplete(drawing, isComplete);
      if (isComplete) this.complete.add(stem);
      else this.complete.delete(stem);
      this.saved(drawing);
    } catch (error) {
      this.tell(error.message);
    }
    this.update();
  }

  /** After a drawing was saved. */
  saved(drawing) {
    const objects = [...drawing.areas().keys()].filter((k) => k <= MOST_OBJECTS);
    this.note(drawing.stem, drawing.runs.some((run) => run & 255)
      || this.complete.has(drawing.stem) ? objects : null);
  }

  /** Notes the objects of a frame that has a PNG; null for one that has none. */
  note(stem, objects) {
    const isThere = objects && (objects.length || this.complete.has(stem));
    if (isThere) this.annotated.set(stem, objects);
    else this.annotated.delete(stem);
    this.strip.update(this);
  }

  // --------------------------------------------------------------------- page

  choose(name) {
    this.pointers.cancel();
    this.tool.cancel();
    this.tool = this.tools[name];
    for (const button of byId("tools").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", button.dataset.tool === name);
      if (button.dataset.tool === name) byId("hint").textContent = button.dataset.hint;
    }
    byId("canvas").dataset.tool = name;
    this.update();
  }

  resize(size) {
    this.size = Math.min(120, Math.max(1, Math.round(size)));
    this.view.draw();
    this.update();
  }

  tell(text) {
    byId("toast").textContent = text;
    byId("toast").hidden = false;
    clearTimeout(this.toast);
    this.toast = setTimeout(() => { byId("toast").hidden = true; }, TOAST);
  }

  /** Brings the page to what is so. */
  update() {
    if (!this.video || !this.strip) return;
    const { drawing, stem } = this, { frames } = this.video;
    byId("slider").value = this.number;
    byId("slider").setAttribute("aria-valuetext", `frame ${stem}`);
    byId("where").textContent = `${stem} (${this.number + 1} of ${frames.length})`;
    byId("size").value = this.size;
    byId("size-shown").textContent = `${this.size} px`;
    byId("opacity-shown").textContent = `${byId("opacity").value} %`;
    byId("keep").checked = this.keepOthers;
    byId("complete").checked = this.complete.has(stem);
    byId("complete").disabled = !drawing;
    byId("undo").disabled = !drawing?.done.length;
    byId("redo").disabled = !drawing?.undone.length;
    byId("working").hidden = !this.busy;
    byId("unfit").hidden = !this.unfit.has(stem) || Boolean(drawing);
    byId("unfit").querySelector("p").textContent = this.unfit.get(stem) ?? "";
    byId("badge").hidden = !this.result && this.view.isShown;
    byId("badge").textContent = this.result ? "result of the last run" : "masks are hidden (O)";
    byId("show-drawing").setAttribute("aria-pressed", !this.wantsResult);
    byId("show-result").setAttribute("aria-pressed", Boolean(this.wantsResult));
    byId("with-result").hidden = !this.hasResult;
    this.strip.update(this);
    showObjects(this);
    showSaved(this);
  }
}
