"use strict";

const MOST_UNDONE = 200; // steps that are kept of a frame
const MOST_DECODED = 12; // frames whose pixels are kept
const SAVE_AFTER = 120; // ms after a stroke
const MOST_KEPT_ALIVE = 60000; // bytes that a page may send, in all, while it is being closed

/** The drawing of a frame: what the page has, and what of it the server has. */
class Drawing {
  constructor(stem, image, ids, revision) {
    Object.assign(this, { stem, image, ids, revision });
    this.width = image.width;
    this.height = image.height;
    this.runs = packed(ids); // of the last step
    this.saved = this.runs;
    this.undone = [];
    this.done = [];
    this.conflict = null; // the revision that another one has written
    this.isSaving = false;
    this.helpers = 0; // of the server, whose answers will change it
  }

  get isSaved() {
    return this.saved === this.runs;
  }

  /** The objects that it has, in order, and how many pixels of each: a Map. */
  areas() {
    const counts = new Map();
    for (const run of this.runs) {
      if (run & 255) counts.set(run & 255, (counts.get(run & 255) ?? 0) + Math.floor(run / 256));
    }
    return new Map([...counts].sort(([a], [b]) => a - b));
  }

  /** Makes a step of what has been drawn; whether anything has. */
  commit() {
    const runs = packed(this.ids);
    if (runs.length === this.runs.length && runs.every((run, i) => run === this.runs[i])) {
      return false;
    }
    this.done.push(this.runs);
    if (this.done.length > MOST_UNDONE) this.done.shift();
    this.undone = [];
    this.runs = runs;
    return true;
  }

  /** Takes back what has been drawn since the last step. */
  cancel() {
    this.ids = unpacked(this.runs, this.width * this.height);
  }

  /** Lets go of its pixels; the steps stay. */
  unload() { this.image = this.ids = null; }

  /** Goes a step back, or forth; whether there was one. */
  step(from, to) {
    if (!from.length) return false;
    to.push(this.runs);
    this.runs = from.pop();
    this.cancel();
    return true;
  }

  undo() { return this.step(this.done, this.undone); }
  redo() { return this.step(this.undone, this.done); }

  /** Another one has written this revision: what the server has is not known. */
  clash(revision) {
    this.conflict = revision;
    this.saved = null;
  }

  /** What the server has now takes the place of what is drawn, which undo brings back. */
  replace(ids, revision) {
    this.ids = ids;
    this.commit();
    Object.assign(this, { revision, saved: this.runs, conflict: null });
  }
}

/** All drawings of the page.  Saves each change at once; tells onChange() what becomes of it. */
class Drawings {
  /** isShown(drawing): whether it is the one that is drawn on. */
  constructor(onChange, onSaved, isShown) {
    Object.assign(this, { onChange, onSaved, isShown });
    this.loaded = new Map(); // stem: Drawing, those that were shown last at the end
    this.loading = new Map();
    this.problem = null; // why something could not be saved
  }

  /** A promise of the Drawing of a frame.  Rejects with what is wrong with its PNG. */
  get(stem) {
    const known = this.loaded.get(stem);
    if (known?.ids) {
      this.loaded.delete(stem);
      this.loaded.set(stem, known);
      return Promise.resolve(known);
    }
    if (!this.loading.has(stem)) {
      this.loading.set(stem, this.load(stem).finally(() => this.loading.delete(stem)));
    }
    return this.loading.get(stem);
  }

  async load(stem) {
    const [image, answer] = await Promise.all([loadImage(stem), ask("GET", address(stem, "mask"))]);
    const ids = await planeOf(answer, image.width * image.height);
    const revision = answer.headers.get(HEADERS.revision);
    const known = this.loaded.get(stem), drawing = known ?? new Drawing(stem, image, ids, revision);
    drawing.image = image;
    known?.replace(ids, revision);
    this.loaded.delete(stem);
    this.loaded.set(stem, drawing);
    this.makeRoom();
    return drawing;
  }

  /** Lets go of what was shown long ago; not of what is not saved, or may change. */
  makeRoom() {
    const decoded = [...this.loaded.values()].filter((drawing) => drawing.ids);
    for (const drawing of decoded.slice(0, -MOST_DECODED)) {
      const mayChange = drawing.isSaving || drawing.helpers || this.isShown(drawing);
      if (drawing.isSaved && !mayChange) this.release(drawing);
    }
  }

  /** Has a drawing loaded anew when it is shown again. */
  release(drawing) {
    if (drawing.done.length || drawing.undone.length) drawing.unload();
    else this.loaded.delete(drawing.stem);
  }

  get unsaved() {
    return [...this.loaded.values()].filter((drawing) => !drawing.isSaved);
  }

  /** To be called after each step of a drawing. */
  changed(drawing) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), SAVE_AFTER);
    this.onChange(drawing);
  }

  /** Saves all that is not saved; resolves when it is, or cannot be. */
  async flush() {
    clearTimeout(this.timer);
    this.problem = null;
    await Promise.all(this.unsaved.map((drawing) => this.save(drawing)));
  }

  async save(drawing) {
    if (drawing.isSaving) { await drawing.isSaving; return this.save(drawing); }
    if (drawing.isSaved || drawing.conflict) return;
    drawing.isSaving = this.put(drawing);
    this.onChange(drawing);
    try {
      await drawing.isSaving;
    } finally {
      drawing.isSaving = false;
      this.onChange(drawing);
    }
    if (!drawing.isSaved && !this.problem) return this.save(drawing); // drawn on meanwhile
  }

  async put(drawing, options = {}) {
    const { runs } = drawing;
    try {
      await this.send(drawing, "mask", { body: runs, ...options });
      drawing.saved = runs;
      this.onSaved(drawing);
    } catch (error) {
      if (error.status !== 412) this.problem = error.message;
    }
  }

  /** Sends a change that is based on the drawing's revision.  Rejects where it is not taken. */
  async send(drawing, what, { headers, ...options }) {
    try {
      const answer = await ask("PUT", address(drawing.stem, what),
        { headers: { [HEADERS.revision]: drawing.revision, ...headers }, ...options });
      drawing.revision = (await answer.json()).revision;
    } catch (error) {
      if (error.status === 412) drawing.clash(error.told.revision);
      throw error;
    }
  }

  /** Notes whether all is drawn that is in a frame.  Rejects where that is not taken. */
  async setComplete(drawing, isComplete) {
    await this.flush();
    await this.save(drawing); // what is on its way has another revision
    const sent = this.send(drawing, "complete", asJson({ complete: isComplete }));
    drawing.isSaving = sent.catch(() => {});
    try {
      await sent;
    } finally {
      drawing.isSaving = false;
    }
  }

  /** While the page is being hidden: sends what is not saved, as far as a browser lets it. */
  sendAway() {
    let room = MOST_KEPT_ALIVE - bytesOf(this.unsaved.filter((drawing) => drawing.isSaving));
    for (const drawing of this.unsaved) {
      if (drawing.conflict || drawing.isSaving || bytesOf([drawing]) > room) continue;
      room -= bytesOf([drawing]);
      drawing.isSaving = this.put(drawing, { keepalive: true })
        .finally(() => { drawing.isSaving = false; this.onChange(drawing); });
    }
  }

  /** Whether something may be lost that sendAway() does not save: what is on its way may be. */
  get mayBeLost() {
    const isLost = ({ conflict, isSaving }) => conflict || isSaving;
    return this.problem || [...this.loaded.values()].some(isLost)
      || bytesOf(this.unsaved) > MOST_KEPT_ALIVE;
  }

  /** Of a drawing that was changed elsewhere: takes that. */
  async takeTheirs(drawing) {
    const answer = await ask("GET", address(drawing.stem, "mask"));
    const ids = await planeOf(answer, drawing.ids.length);
    drawing.replace(ids, answer.headers.get(HEADERS.revision));
    this.onSaved(drawing);
    this.onChange(drawing);
  }

  /** The same: writes ours over it. */
  keepOurs(drawing) {
    drawing.revision = drawing.conflict;
    drawing.conflict = null;
    return this.save(drawing);
  }

  /** Lets go of all that is saved: the server has changed it. */
  forget() {
    for (const drawing of [...this.loaded.values()]) if (drawing.isSaved) this.release(drawing);
  }
}

const bytesOf = (drawings) => drawings.reduce((sum, { runs }) => sum + runs.byteLength, 0);

/** A promise of the image of a frame. */
async function loadImage(stem) {
  const answer = await ask("GET", address(stem, "image"));
  return createImageBitmap(await answer.blob());
}
