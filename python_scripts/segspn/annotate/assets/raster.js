"use strict";

// Which pixels a shape has.  Pixel (x, y) covers [x, x + 1) x [y, y + 1) of the frame; it belongs
// to a shape that its centre, (x + 0.5, y + 0.5), lies in.

/**
 * Calls span(row, begin, end), end excluded, for the pixels of a polygon.
 *
 * points: [[x, y], …], its corners; what it winds around is inside, however often.
 */
function polygonSpans(points, width, height, span) {
  const ys = points.map(([, y]) => y);
  const first = Math.max(0, Math.ceil(Math.min(...ys) - 0.5));
  const last = Math.min(height - 1, Math.ceil(Math.max(...ys) - 0.5) - 1);
  for (let row = first; row <= last; row++) {
    const crossings = crossingsAt(points, row + 0.5);
    let winding = 0;
    crossings.forEach(({ x, turn }, i) => {
      winding += turn;
      if (!winding) return;
      const begin = Math.max(0, Math.ceil(x - 0.5));
      const end = Math.min(width, Math.ceil(crossings[i + 1].x - 0.5));
      if (begin < end) span(row, begin, end);
    });
  }
}

/** Where the sides of a polygon cross a height, from left to right, and which way they go. */
function crossingsAt(points, y) {
  const crossings = [];
  points.forEach(([x1, y1], i) => {
    const [x0, y0] = points.at(i - 1);
    if ((y0 <= y) === (y1 <= y)) return;
    crossings.push({ x: x0 + ((y - y0) * (x1 - x0)) / (y1 - y0), turn: y0 <= y ? 1 : -1 });
  });
  return crossings.sort((a, b) => a.x - b.x);
}

/** Calls span(row, begin, end) for the pixels that are within `radius` of a line. */
function strokeSpans([x0, y0], [x1, y1], radius, width, height, span) {
  const dx = x1 - x0, dy = y1 - y0, length = dx * dx + dy * dy;
  const isIn = (x, y) => {
    const at = length ? Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / length)) : 0;
    return (x - x0 - at * dx) ** 2 + (y - y0 - at * dy) ** 2 <= radius * radius;
  };
  const left = Math.max(0, Math.floor(Math.min(x0, x1) - radius));
  const right = Math.min(width, Math.ceil(Math.max(x0, x1) + radius));
  const bottom = Math.min(height, Math.ceil(Math.max(y0, y1) + radius));
  for (let row = Math.max(0, Math.floor(Math.min(y0, y1) - radius)); row < bottom; row++) {
    let begin = left, end = right; // the pixels of a row are in one piece
    while (begin < end && !isIn(begin + 0.5, row + 0.5)) begin++;
    while (end > begin && !isIn(end - 0.5, row + 0.5)) end--;
    if (begin < end) span(row, begin, end);
  }
}

/**
 * The pixels that are connected with (x, y), over their sides, and have its value.
 *
 * Returns {pixels: [index, …], isOpen}; isOpen: whether the frame's border is among them.
 */
function connected(ids, width, height, x, y) {
  const value = ids[y * width + x], seen = new Uint8Array(ids.length);
  const pixels = [y * width + x];
  let isOpen = false;
  seen[pixels[0]] = 1;
  const visit = (index) => {
    if (seen[index] || ids[index] !== value) return;
    seen[index] = 1;
    pixels.push(index);
  };
  for (let next = 0; next < pixels.length; next++) {
    const index = pixels[next], column = index % width;
    isOpen ||= column === 0 || column === width - 1 || index < width
      || index >= ids.length - width;
    if (column > 0) visit(index - 1);
    if (column < width - 1) visit(index + 1);
    if (index >= width) visit(index - width);
    if (index < ids.length - width) visit(index + width);
  }
  return { pixels, isOpen };
}

/** The pixels without an object that object k encloses: those that no path leads out of. */
function holesOf(ids, width, height, k) {
  const isOutside = new Uint8Array(ids.length), queue = [];
  const visit = (index) => {
    if (isOutside[index] || ids[index] === k) return;
    isOutside[index] = 1;
    queue.push(index);
  };
  for (let x = 0; x < width; x++) { visit(x); visit((height - 1) * width + x); }
  for (let y = 0; y < height; y++) { visit(y * width); visit(y * width + width - 1); }
  for (let next = 0; next < queue.length; next++) {
    const index = queue[next], column = index % width;
    if (column > 0) visit(index - 1);
    if (column < width - 1) visit(index + 1);
    if (index >= width) visit(index - width);
    if (index < ids.length - width) visit(index + width);
  }
  const holes = [];
  for (let i = 0; i < ids.length; i++) if (!isOutside[i] && ids[i] === 0) holes.push(i);
  return holes;
}
