"use strict";

/** An SVG element inside `parent`. */
function shape(parent, tag, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return parent.appendChild(made);
}

/** Round numbers from `low` to `high`, about `count` of them. */
function roundTicks(low, high, count) {
  const rough = Math.max(high - low, 1e-9) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const ticks = [];
  for (let tick = Math.ceil(low / step); tick * step <= high * (1 + 1e-9); tick++) {
    ticks.push(tick * step);
  }
  return ticks;
}

/** 1, 2 and 5 times the powers of ten from `low` to `high`; the powers alone if they are many. */
function logTicks(low, high) {
  const powers = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    powers.push(power);
  }
  const factors = powers.length > 3 ? [1] : [1, 2, 5];
  return powers.flatMap((power) => factors.map((factor) => factor * 10 ** power))
    .filter((tick) => tick >= low && tick <= high);
}

/**
 * Curves over whole numbers.
 *
 * options: title; series [{name, colour, xs, ys, raw}], ys with null where there
 * is no value, raw (single values behind a mean) optional; xName(x) and
 * yName(y), their texts; range [low, high] or null for a logarithmic axis;
 * hollow, a Set of x; annotated, x that have a mark; points, whether each value is drawn;
 * onPick(x); height.
 */
class Chart {
  constructor(host, options) {
    Object.assign(this,
      { height: 170, hollow: new Set(), annotated: [], points: false, onPick: null }, options);
    this.current = null;
    this.host = host.appendChild(element("div", this.onPick ? "chart pick" : "chart"));
    this.host.append(this.makeHead());
    this.svg = shape(this.host, "svg",
      { height: this.height, role: "img", "aria-label": this.title });
    this.tip = this.host.appendChild(element("div", "tip"));
    this.tip.hidden = true;
    this.svg.addEventListener("pointermove", (event) => this.hover(event));
    this.svg.addEventListener("pointerleave", () => this.unhover());
    this.svg.addEventListener("click", (event) => this.onPick?.(this.nearest(this.at(event))));
    const xs = this.series.flatMap((one) => one.xs);
    this.xRange = [Math.min(...xs), Math.max(...xs)];
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.host);
    this.draw();
  }

  makeHead() {
    const head = element("div", "chart-head");
    if (this.title) head.append(element("b", "", this.title));
    this.values = this.series.map((one) => {
      const key = element("span", "key");
      key.append(swatch(one.colour), element("span", "", one.name));
      const value = element("output");
      if (this.onPick) key.append(value);
      head.append(key);
      return value;
    });
    return head;
  }

  /** [low, high] of the values: of the means where there are, so that no single value rules. */
  yRange() {
    if (this.range) return this.range;
    const values = this.series.flatMap((one) => one.ys).filter((y) => y > 0);
    return values.length ? [Math.min(...values) / 1.4, Math.max(...values) * 1.4] : [0.1, 1];
  }

  draw() {
    const width = this.host.clientWidth;
    if (!width) return;
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
    const box = { left: 40, right: width - 10, top: 8, bottom: this.height - 22 };
    const [low, high] = this.yRange(), [first, last] = this.xRange;
    const scale = this.range ? (y) => y : (y) => Math.log(y);
    const across = (box.right - box.left) / Math.max(last - first, 1);
    const down = (box.bottom - box.top) / (scale(high) - scale(low));
    this.x = (x) => box.left + (x - first) * across;
    this.xInverse = (place) => first + (place - box.left) / across;
    this.y = (y) => box.bottom - (scale(y) - scale(low)) * down;
    this.box = box;
    this.drawAxes(low, high);
    const top = box.top - 4, height = box.bottom - box.top + 8; // half a point more on each side
    const clip = shape(this.svg, "svg",
      { x: 0, y: top, width, height, viewBox: `0 ${top} ${width} ${height}` });
    for (const one of this.series) this.drawSeries(clip, one);
    this.hoverLine = shape(this.svg, "line",
      { class: "hover", y1: box.top, y2: box.bottom, visibility: "hidden" });
    this.marks = shape(this.svg, "g", {});
    if (this.current !== null) this.mark(this.current);
  }

  drawAxes(low, high) {
    const { left, right, top, bottom } = this.box;
    for (const tick of this.range ? roundTicks(low, high, 4) : logTicks(low, high)) {
      const y = this.y(tick);
      shape(this.svg, "line", { class: "grid-line", x1: left, x2: right, y1: y, y2: y });
      shape(this.svg, "text", { x: left - 6, y: y + 4, "text-anchor": "end" }, this.yName(tick));
    }
    shape(this.svg, "line", { class: "axis-line", x1: left, x2: right, y1: bottom, y2: bottom });
    for (const tick of roundTicks(...this.xRange, Math.max(2, (right - left) / 70))) {
      if (!Number.isInteger(tick)) continue;
      shape(this.svg, "text", { x: this.x(tick), y: bottom + 16, "text-anchor": "middle" },
        String(tick));
    }
    for (const x of this.annotated) {
      shape(this.svg, "path", { class: "annotated", d: `M${this.x(x)} ${top}l4-7h-8z` });
    }
  }

  drawSeries(parent, one) {
    const path = (ys) => {
      const places = ys.map((y, i) => (y === null || (!this.range && y <= 0) ? null
        : `${this.x(one.xs[i]).toFixed(1)},${this.y(y).toFixed(1)}`));
      return places.filter(Boolean).join(" ");
    };
    if (one.raw) {
      shape(parent, "polyline", { class: "single", points: path(one.raw), stroke: one.colour });
    }
    shape(parent, "polyline", { class: "curve", points: path(one.ys), stroke: one.colour });
    if (!this.points) return;
    const space = (this.box.right - this.box.left) / one.xs.length;
    one.ys.forEach((y, i) => {
      const isHollow = this.hollow.has(one.xs[i]);
      if (y === null || (space < 5 && !isHollow)) return;
      shape(parent, "circle", { "data-x": one.xs[i], cx: this.x(one.xs[i]), cy: this.y(y),
        ...(isHollow ? { r: 3, class: "hollow", stroke: one.colour }
          : { r: 2.2, fill: one.colour }) });
    });
  }

  /** The x under the pointer, not rounded. */
  at(event) {
    const area = this.svg.getBoundingClientRect();
    return this.xInverse(event.clientX - area.left);
  }

  nearest(x, one = this.series[0]) {
    return one.xs.reduce(
      (best, value) => (Math.abs(value - x) < Math.abs(best - x) ? value : best));
  }

  valueAt(one, x) {
    const value = one.ys[one.xs.indexOf(x)];
    return value === null || value === undefined ? "–" : this.yName(value, true);
  }

  hover(event) {
    const at = this.at(event), x = this.nearest(at), place = this.x(x);
    this.hoverLine.setAttribute("x1", place);
    this.hoverLine.setAttribute("x2", place);
    this.hoverLine.setAttribute("visibility", "visible");
    this.tip.replaceChildren(element("b", "", this.xName(x)), ...this.series.map((one) => {
      const row = element("div");
      const value = this.valueAt(one, this.nearest(at, one));
      row.append(swatch(one.colour), element("span", "", `${one.name}  ${value}`));
      return row;
    }));
    this.tip.hidden = false;
    const isRight = place > this.host.clientWidth / 2;
    const [svg, host] = [this.svg, this.host].map((one) => one.getBoundingClientRect());
    this.tip.style.left = isRight ? "" : `${place + 12}px`;
    this.tip.style.right = isRight ? `${host.width - place + 12}px` : "";
    this.tip.style.top = `${svg.top - host.top + 12}px`;
  }

  unhover() {
    this.tip.hidden = true;
    this.hoverLine.setAttribute("visibility", "hidden");
  }

  /** Marks x, and shows its values beside the names. */
  mark(x) {
    this.current = x;
    this.series.forEach((one, i) => { this.values[i].textContent = this.valueAt(one, x); });
    if (!this.marks) return;
    this.marks.replaceChildren();
    const { top, bottom } = this.box;
    shape(this.marks, "line",
      { class: "cursor", x1: this.x(x), x2: this.x(x), y1: top, y2: bottom });
    for (const one of this.series) {
      const value = one.ys[one.xs.indexOf(x)];
      if (value === null || value === undefined) continue;
      shape(this.marks, "circle",
        { class: "here", cx: this.x(x), cy: this.y(value), r: 4.5, fill: one.colour });
    }
  }

  remove() {
    this.observer.disconnect();
    this.host.remove();
  }
}
