"use strict";

const editor = new Editor();
const control = (event) => event.ctrlKey || event.metaKey;

/** What the keys do: [what the help shows, what it is, key (lower case), action]. */
const KEYS = [
  ["P B E F", "polygon, brush, eraser, fill", "pbef", (event) => editor.choose(
    { p: "polygon", b: "brush", e: "eraser", f: "fill" }[event.key.toLowerCase()])],
  ["X L H", "automatic box, automatic outline, move", "xlh", (event) => editor.choose(
    { x: "box", l: "outline", h: "hand" }[event.key.toLowerCase()])],
  ["enter esc ⌫", "polygon: close, cancel, one corner back; alt and enter take it away", "", null],
  ["ctrl Z / ctrl shift Z", "undo, redo", "", null],
  ["[ ]", "smaller, larger brush", "[]", (event) => editor.resize(
    event.key === "[" ? editor.size / 1.25 - 0.5 : editor.size * 1.25 + 0.5)],
  ["1 … 9", "choose an object", "123456789", (event) => {
    if (editor.objects.has(Number(event.key))) editor.select(Number(event.key));
  }],
  ["N", "new object", "n", () => editor.add()],
  ["S", "snap to border", "s", () => editor.assist.snap()],
  ["D", "copy from the annotated frame before", "d", () => editor.copyBefore()],
  ["C", "frame is complete, or not", "c", () => byId("complete").click()],
  ["K", "keep other objects, or not", "k", () => byId("keep").click()],
  ["O", "masks: show, hide", "o", () => toggleMasks()],
  ["R T", "show result or drawing, take the object over", "rt", (event) => {
    if (event.key.toLowerCase() === "t") editor.takeOver(editor.object);
    else editor.showResult(!editor.wantsResult);
  }],
  ["← →", "frame before, next; with shift ten", "", null],
  [", .", "annotated frame before, next", ",.", (event) => editor.goAnnotated(
    event.key === "," ? -1 : 1)],
  ["home end", "first, last frame", "", null],
  ["+ − 0", "larger, smaller, all of the frame", "+=-0", (event) => {
    if (event.key === "0") editor.view.fitAll();
    else editor.view.zoom(event.key === "-" ? 0.8 : 1.25);
  }],
  ["space", "hold it to move the frame", "", null],
  ["?", "this help", "?", () => byId("help").showModal()]];

const NAMED = {
  ArrowLeft: (event) => editor.goTo(editor.number - (event.shiftKey ? GOES_BACK : 1)),
  ArrowRight: (event) => editor.goTo(editor.number + (event.shiftKey ? GOES_BACK : 1)),
  Home: () => editor.goTo(0), End: () => editor.goTo(editor.video.frames.length - 1) };

function toggleMasks() {
  editor.view.isShown = !editor.view.isShown;
  editor.view.draw();
  editor.update();
}

/** The action of a key, undefined where it has none. */
function actionOf(event) {
  const key = event.key.toLowerCase();
  if (control(event)) {
    if (key === "z") return () => (event.shiftKey ? editor.redo() : editor.undo());
    return key === "y" ? () => editor.redo() : undefined;
  }
  if (event.altKey) return undefined;
  return NAMED[event.key] ?? KEYS.find(([, , keys]) => key.length === 1 && keys.includes(key))?.[3];
}

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input:not([type=range]):not([type=checkbox])");
  if (!editor.video || byId("help").open || isTyping) return;
  if (editor.pointers.isDrawing) { // a stroke is ended, or given up, first
    if (event.key === "Escape") editor.pointers.cancel();
    event.preventDefault();
    return;
  }
  if (editor.tool.key(event)) { event.preventDefault(); return; }
  if (event.key === " " && !event.target.matches("button, input")) {
    editor.isMoving = true;
    byId("canvas").classList.add("moving");
    event.preventDefault();
    return;
  }
  const action = actionOf(event);
  if (!action || (event.target.matches("#size, #opacity") && event.key in NAMED)) return;
  event.preventDefault();
  action(event);
});
document.addEventListener("keyup", (event) => {
  if (event.key !== " ") return;
  editor.isMoving = false;
  byId("canvas").classList.remove("moving");
});
document.addEventListener("click", (event) => { // a clicked button leaves the keys to the stage
  if (event.detail) event.target.closest("button")?.blur();
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") editor.drawings.sendAway();
});
window.addEventListener("pagehide", () => editor.drawings.sendAway());
window.addEventListener("beforeunload", (event) => {
  if (editor.drawings.mayBeLost) event.preventDefault(); // the browser asks
  else editor.drawings.sendAway();
});

const on = (id, action, name = "click") => byId(id).addEventListener(name, action);
for (const button of byId("tools").querySelectorAll("button")) {
  button.addEventListener("click", () => editor.choose(button.dataset.tool));
}
on("undo", () => editor.undo());
on("redo", () => editor.redo());
on("add", () => editor.add());
on("snap", () => editor.assist.snap());
on("holes", () => editor.fillHoles());
on("clear", () => editor.clear());
on("copy", () => editor.copyBefore());
on("take-one", () => editor.takeOver(editor.object));
on("take-all", () => editor.takeOver(null));
on("show-drawing", () => editor.showResult(false));
on("show-result", () => editor.showResult(true));
on("before", () => editor.goAnnotated(-1));
on("after", () => editor.goAnnotated(1));
on("previous", () => editor.goTo(editor.number - 1));
on("next", () => editor.goTo(editor.number + 1));
on("zoom-in", () => editor.view.zoom(1.25));
on("zoom-out", () => editor.view.zoom(0.8));
on("zoom-fit", () => editor.view.fitAll());
on("help-open", () => byId("help").showModal());
on("slider", (event) => editor.goTo(Number(event.target.value)), "input");
on("size", (event) => editor.resize(Number(event.target.value)), "input");
on("keep", (event) => { editor.keepOthers = event.target.checked; }, "change");
on("complete", (event) => editor.setComplete(event.target.checked), "change");
on("opacity", (event) => {
  editor.view.opacity = event.target.value / 100;
  if (editor.drawing) editor.view.tint();
  editor.update();
}, "input");
byId("unfit").querySelector("button").addEventListener("click", () => editor.go(editor.stem));
window.addEventListener("hashchange", () => {
  const stem = decodeURIComponent(location.hash.slice(1));
  if (editor.video?.frames.includes(stem)) editor.go(stem);
});

byId("help").querySelector("table").append(...KEYS.map(([keys, what]) => {
  const row = element("tr"), shown = element("td");
  shown.append(...keys.split(" ").map((key) => (key === "/" ? " / " : element("kbd", "", key))));
  row.append(shown, element("td", "", what));
  return row;
}));

editor.open().then(() => {
  new RunCard(async () => {
    await editor.drawings.flush();
    return !editor.drawings.unsaved.length;
  }, (status) => {
    editor.hasResult = status.result;
    if (status.state === "done") editor.showResult(true);
    editor.update();
  });
}).catch((error) => {
  byId("trouble").hidden = false;
  byId("trouble").firstElementChild.textContent = error.message;
});
