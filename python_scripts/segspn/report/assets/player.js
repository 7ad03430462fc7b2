"use strict";

const MOST_DECODED = 96; // pictures kept at a time
const AHEAD = 3; // frames decoded before they are asked for

/** The pictures of a sequence: read from the page when it is shown, decoded when drawn. */
class Pictures {
  constructor(number) {
    this.rows = JSON.parse(byId(`pictures-${number}`).textContent);
    this.decoded = new Map(); // oldest first
  }

  has(layer, frame) {
    return Boolean(this.rows[layer]?.[frame]);
  }

  /** A promise of the image, of null where there is none. */
  get(layer, frame) {
    if (!this.has(layer, frame)) return Promise.resolve(null);
    const name = `${layer}/${frame}`;
    let image = this.decoded.get(name);
    this.decoded.delete(name);
    if (!image) {
      const loading = new Image();
      const kind = layer === "frame" ? "jpeg" : "png";
      loading.src = `data:image/${kind};base64,${this.rows[layer][frame]}`;
      image = loading.decode().then(() => loading);
    }
    this.decoded.set(name, image);
    if (this.decoded.size > MOST_DECODED) this.decoded.delete(this.decoded.keys().next().value);
    return image;
  }
}

/** Draws the frames of a sequence with one layer over them, and plays them. */
class Player {
  /** onChange(player) is called after every change of frame, layer or playing. */
  constructor(onChange) {
    this.onChange = onChange;
    this.canvas = byId("picture");
    this.context = this.canvas.getContext("2d");
    Object.assign(this, { frame: 0, layer: "frame", opacity: 1, fps: 12, isPlaying: false });
    Object.assign(this, { asked: 0, drawn: 0 });
  }

  load(sequence, number) {
    this.pause();
    this.sequence = sequence;
    this.pictures = new Pictures(number);
    this.canvas.width = sequence.width;
    this.canvas.height = sequence.height;
    this.frame = 0;
  }

  get last() {
    return this.sequence.frames.length - 1;
  }

  go(frame) {
    this.frame = Math.min(Math.max(frame, 0), this.last);
    return this.show();
  }

  choose(layer) {
    this.layer = layer;
    return this.show();
  }

  async show() {
    const ticket = ++this.asked, { frame, layer, pictures } = this;
    this.onChange(this);
    const [base, over] = await Promise.all([
      pictures.get("frame", frame), layer === "frame" ? null : pictures.get(layer, frame)]);
    if (ticket < this.drawn || pictures !== this.pictures) return; // a newer one was faster
    this.drawn = ticket;
    const { width, height } = this.canvas;
    this.context.globalAlpha = 1;
    this.context.drawImage(base, 0, 0, width, height);
    if (over) {
      this.context.globalAlpha = this.opacity;
      this.context.drawImage(over, 0, 0, width, height);
    }
    this.canvas.dataset.shown = `${layer} ${frame}`;
    for (let next = frame + 1; next <= Math.min(frame + AHEAD, this.last); next++) {
      pictures.get("frame", next);
      if (layer !== "frame") pictures.get(layer, next);
    }
  }

  toggle() {
    if (this.isPlaying) this.pause();
    else this.play();
  }

  pause() {
    this.isPlaying = false;
    if (this.sequence) this.onChange(this);
  }

  /** From here to the end, and on from the first frame, until paused. */
  async play() {
    const run = Symbol("play");
    this.run = run;
    this.isPlaying = true;
    this.onChange(this);
    let due = performance.now();
    for (;;) {
      due = Math.max(due + 1000 / this.fps, performance.now());
      await new Promise((resume) => { setTimeout(resume, due - performance.now()); });
      if (!this.isPlaying || this.run !== run) return;
      await this.go(this.frame === this.last ? 0 : this.frame + 1);
    }
  }
}
