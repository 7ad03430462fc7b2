"use strict";

const KINDS = {
  frame: "Frame", foreground: "Foreground", scores: "Scores", refined: "Refined scores",
  labels: "Labels", truth: "Ground truth", errors: "Errors" };
const MADE_BY = { scores: "ResNetF", refined: "spatial propagation" };

const facts = JSON.parse(byId("facts").textContent);
const state = { sequence: 0, kind: "labels", object: null };
let charts = [], lossChart = null;
const player = new Player(update);

const current = () => facts.sequences[state.sequence];
const nameOf = (kind, object) => (object === null ? kind : `${kind}-${object}`);
const ofKind = (kind) => current().layers.filter((layer) => layer.kind === kind);

/** A button that is one of several to choose from. */
function choice(host, value, text, onChoose, colour = null) {
  const button = host.appendChild(element("button"));
  button.type = "button";
  button.dataset.value = value;
  if (colour) {
    button.className = "key";
    button.append(swatch(colour));
  }
  button.append(text);
  button.addEventListener("click", onChoose);
}

function press(host, value) {
  for (const button of host.children) {
    button.setAttribute("aria-pressed", button.dataset.value === String(value));
  }
}

function chooseSequence(number) {
  state.sequence = number;
  player.load(current(), number);
  document.querySelector(".stage").style.setProperty("--ratio", current().width / current().height);
  press(byId("sequences"), number);
  for (const row of document.querySelectorAll("tr[data-sequence]")) {
    const isShown = Number(row.dataset.sequence) === number;
    row.classList.toggle("now", isShown && facts.sequences.length > 1);
  }
  const kinds = Object.keys(KINDS).filter((kind) => kind === "frame" || ofKind(kind).length);
  byId("layers").replaceChildren();
  for (const kind of kinds) choice(byId("layers"), kind, KINDS[kind], () => chooseLayer(kind));
  byId("slider").max = player.last;
  drawMarks();
  drawCurves();
  drawLoss();
  chooseLayer(kinds.includes(state.kind) ? state.kind : kinds.at(-1));
}

function chooseLayer(kind, object = state.object) {
  const objects = ofKind(kind).map((layer) => layer.object).filter((k) => k !== null);
  const shown = objects.length ? (objects.includes(object) ? object : objects[0]) : null;
  Object.assign(state, { kind, object: shown ?? object });
  byId("objects").replaceChildren();
  for (const k of objects) {
    choice(byId("objects"), k, String(k), () => chooseLayer(kind, k), colourOf(k));
    byId("objects").lastChild.title = `${KINDS[kind]} of object ${k}`;
  }
  press(byId("layers"), kind);
  press(byId("objects"), shown);
  byId("opacity-label").style.visibility = kind === "frame" ? "hidden" : "visible";
  drawLegend(kind);
  player.choose(nameOf(kind, shown));
}

const colourOf = (k) => current().objects.find((object) => object.id === k).colour;

function drawLegend(kind) {
  const legend = byId("legend");
  const keys = (pairs) => pairs.map(([text, colour]) => {
    const key = element("span", "key");
    key.append(swatch(colour), text);
    return key;
  });
  legend.replaceChildren();
  if (kind === "labels" || kind === "truth") {
    legend.append(...keys(current().objects.map(({ id, colour }) => [`object ${id}`, colour])));
  } else if (kind === "errors") {
    legend.append(...keys(facts.legend.errors));
  } else if (kind in MADE_BY) {
    const ramp = element("span"), key = element("span", "key");
    ramp.id = "ramp";
    ramp.style.background = `linear-gradient(to right, ${facts.legend.scores.join(", ")})`;
    key.append("0", ramp, "1");
    legend.append(key, `object ${state.object}, ${MADE_BY[kind]}`);
  } else if (kind === "foreground") {
    legend.append("what is not foreground is dark");
  }
}

/** Marks the annotated frames on the slider, whose thumb is 16 px wide. */
function drawMarks() {
  const { annotated } = current();
  byId("annotated").hidden = annotated.length === 0;
  byId("marks").replaceChildren(...annotated.map((frame) => {
    const mark = element("span", "mark");
    mark.style.left = `${100 * frame / Math.max(player.last, 1)}%`;
    return mark;
  }));
}

/** A word of a command line of make, quoted. */
function quoted(word) {
  return /^[\w.-]+$/.test(word) ? word
    : `'${word.replaceAll("$", "$$$$").replaceAll("'", "'\\''")}'`;
}

function drawCurves() {
  for (const chart of charts) chart.remove();
  byId("curves").replaceChildren();
  const { curves, frames, annotated } = current();
  document.querySelector(".stage").classList.toggle("measured", curves.length > 0);
  const titles = { J: "J, region", F: "F, contour" };
  charts = curves.length === 0 ? [] : ["J", "F"].map((measure) => new Chart(byId("curves"), {
    title: titles[measure], range: [0, 1], points: true, height: 190,
    hollow: new Set([0, frames.length - 1, ...annotated]), annotated, onPick: (frame) => player.go(frame),
    xName: (frame) => `frame ${frames[frame]}`,
    yName: (value, isExact) => (isExact ? percent(value) : String(Math.round(100 * value))),
    series: curves.map((curve) => ({ name: `object ${curve.object}`, colour: colourOf(curve.object),
      xs: frames.map((_, i) => i), ys: curve[measure] })) }));
  if (charts.length) {
    byId("curves").append(element("p", "note", "In per cent, over the frames. Click to go to a "
      + `frame. The first and the last${annotated.length ? " and annotated ones" : ""} (hollow) `
      + "are not in the statistics."));
  }
}

function drawLoss() {
  lossChart?.remove();
  for (const old of byId("trainings").querySelectorAll("table, .note")) old.remove();
  const { trainings } = current();
  byId("trainings").hidden = trainings.length === 0;
  if (!trainings.length) return;
  const values = trainings.flatMap((training) => training.ys).filter((value) => value !== null);
  const isLog = values.every((value) => value > 0);
  lossChart = new Chart(byId("trainings"), {
    title: "", height: 210,
    range: isLog ? null : [Math.min(...values, 0), Math.max(...values, 1e-9)],
    xName: (x) => `iteration ${x}`, yName: (value) => String(Number(value.toPrecision(3))),
    series: trainings });
  const rows = trainings.map(({ name, iterations, seconds: time, ys }) => tableRow(
    [name, String(iterations), seconds(time), ys.at(-1)?.toPrecision(3) ?? "–"]));
  byId("trainings").append(
    tableOf(["training", "iterations", "seconds", "last loss"], rows),
    element("p", "note", `Mean of ${facts.window} iterations; those of one iteration are faint.`));
}

/** Brings the controls to what the player shows. */
function update({ frame, sequence, isPlaying, layer, pictures }) {
  byId("slider").value = frame;
  byId("slider").setAttribute("aria-valuetext", `frame ${sequence.frames[frame]}`
    + (sequence.annotated.includes(frame) ? ", annotated" : ""));
  byId("correct").textContent = `${sequence.correct} FRAME=${quoted(sequence.frames[frame])}`;
  byId("where").textContent =
    `${sequence.frames[frame]} (${frame + 1} of ${sequence.frames.length})`;
  byId("play").setAttribute("aria-pressed", isPlaying);
  byId("play").setAttribute("aria-label", isPlaying ? "Pause" : "Play");
  byId("picture").setAttribute("aria-label",
    `${KINDS[state.kind]}, frame ${sequence.frames[frame]}`);
  byId("missing").hidden = pictures.has(layer, frame);
  byId("missing").textContent = `${KINDS[state.kind]}: none for this frame`;
  for (const chart of charts) chart.mark(frame);
}

function stepLayer(step) {
  const kinds = [...byId("layers").children].map((button) => button.dataset.value);
  chooseLayer(kinds[(kinds.indexOf(state.kind) + step + kinds.length) % kinds.length]);
}

const KEYS = {
  ArrowLeft: (event) => player.go(player.frame - (event.shiftKey ? 10 : 1)),
  ArrowRight: (event) => player.go(player.frame + (event.shiftKey ? 10 : 1)),
  ArrowUp: () => stepLayer(-1), ArrowDown: () => stepLayer(1), " ": () => player.toggle(),
  Home: () => player.go(0), End: () => player.go(player.last) };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  if (["opacity", "speed"].includes(event.target.id)) return; // they know these keys themselves
  if (event.key === " " && event.target.tagName === "BUTTON") return;
  event.preventDefault();
  KEYS[event.key](event);
});
document.addEventListener("click", (event) => { // a clicked button leaves the keys to the player
  if (event.detail) event.target.closest("button")?.blur();
});
byId("slider").addEventListener("input", (event) => player.go(Number(event.target.value)));
byId("play").addEventListener("click", () => player.toggle());
byId("speed").addEventListener("change", (event) => {
  player.fps = Number(event.target.value);
  event.target.blur();
});
byId("opacity").addEventListener("input", (event) => {
  player.opacity = Number(event.target.value) / 100;
  player.show();
});

byId("title").textContent = facts.title;
byId("subtitle").textContent = `written ${facts.made}`;
showFigures(facts, chooseSequence);
showTimings(facts.timings);
showVersions(facts.versions);
showCommands(facts.commands);
if (facts.sequences.length > 1) {
  facts.sequences.forEach(({ name }, i) => {
    choice(byId("sequences"), i, name, () => chooseSequence(i));
  });
} else {
  byId("subtitle").textContent = `${facts.sequences[0].name}, ${byId("subtitle").textContent}`;
}
chooseSequence(0);
