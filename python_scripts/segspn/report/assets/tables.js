"use strict";

const percent = (value) => (100 * value).toFixed(1).replace("-", "−");
const FIGURES = ["J&F", "J mean", "J recall", "J decay", "F mean", "F recall", "F decay"];

/** A table row of texts or nodes; the first `texts` cells are set left. */
function tableRow(cells, texts = 1, tag = "td") {
  const row = element("tr");
  cells.forEach((cell, i) => {
    const made = row.appendChild(element(tag, i < texts ? "text" : ""));
    made.append(cell);
  });
  return row;
}

function tableOf(head, rows, texts = 1) {
  const table = element("table");
  table.append(element("thead"), element("tbody"));
  if (head) table.tHead.append(tableRow(head, texts, "th"));
  table.tBodies[0].append(...rows);
  return table;
}

/** Shows a section of the page with this content. */
function fill(id, ...content) {
  byId(id).append(...content);
  byId(id).hidden = false;
}

/** J and F of each object; a click leads to its sequence. */
function showFigures(facts, choose) {
  if (!facts.mean) return;
  const isOne = facts.sequences.length === 1;
  const rows = facts.sequences.flatMap((sequence, number) => sequence.figures.map((figures) => {
    const name = element("span");
    const { colour } = sequence.objects.find((object) => object.id === figures.object);
    name.append(swatch(colour), isOne ? "" : `${sequence.name} · `, `object ${figures.object}`);
    const row = tableRow([name, String(figures.frames), ...figures.values.map(percent)]);
    row.dataset.sequence = number;
    if (!isOne) {
      row.classList.add("go");
      row.addEventListener("click", () => choose(number));
    }
    return row;
  }));
  const mean = tableRow(["mean of the objects", "", ...facts.mean.map(percent)]);
  mean.classList.add("mean");
  fill("figures", tableOf(["object", "frames", ...FIGURES], [...rows, mean]),
    element("p", "note", "In per cent. J is the region's overlap (IoU), F the accuracy of its "
      + "contour. Recall is the share of frames above 50, decay the mean of the first quarter "
      + "minus that of the last. The first and the last frame are left out"
      + (facts.sequences.some(({ annotated }) => annotated.length)
        ? ", and annotated ones, which were learned from." : ".")));
}

const seconds = (value) => (value < 100 ? value.toFixed(1) : String(Math.round(value)));

function showTimings(timings) {
  if (!timings.length) return;
  const longest = Math.max(...timings.map(([, time]) => time), 1e-9);
  const rows = timings.map(([what, time]) => {
    const bar = element("i");
    bar.style.width = `${100 * time / longest}%`;
    const row = tableRow([what, seconds(time), bar]);
    row.lastChild.className = "share";
    return row;
  });
  const total = tableRow(["total", seconds(timings.reduce((sum, [, time]) => sum + time, 0)), ""]);
  total.classList.add("mean");
  fill("timings", tableOf(["step", "seconds", ""], [...rows, total]));
}

function showVersions(versions) {
  fill("versions", tableOf(null, versions.map((row) => tableRow(row, 2))));
}

function showCommands(commands) {
  if (!commands.length) return;
  fill("commands", ...commands.flatMap(([what, command]) => [
    ...(what ? [element("h3", "", what)] : []), element("pre", "", command)]));
}
