"use strict";

/** The thumbnails below; an annotated frame has a mark. */
class Strip {
  constructor(host, { frames, width, height }, onChoose) {
    this.host = host;
    this.tiles = new Map();
    host.style.setProperty("--ratio", width / height);
    this.seen = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) if (isIntersecting) this.load(target);
    }, { root: host, rootMargin: "0px 300px" });
    for (const stem of frames) {
      const tile = element("button", "tile");
      tile.type = "button";
      tile.dataset.stem = stem;
      tile.append(element("span", "marks"), element("span", "stem", stem));
      tile.addEventListener("click", () => onChoose(stem));
      this.tiles.set(stem, tile);
      this.seen.observe(tile);
    }
    host.replaceChildren(...this.tiles.values());
  }

  async load(tile) {
    this.seen.unobserve(tile);
    try {
      const answer = await ask("GET", address(tile.dataset.stem, "thumbnail"));
      const image = element("img");
      image.alt = "";
      image.src = URL.createObjectURL(await answer.blob());
      await image.decode();
      URL.revokeObjectURL(image.src);
      tile.prepend(image);
    } catch {
      tile.classList.add("unfit");
    }
  }

  update({ stem, annotated, complete, unfit, view }) {
    for (const [one, tile] of this.tiles) {
      const objects = annotated.get(one), text = `${objects}/${complete.has(one)}`;
      tile.setAttribute("aria-current", one === stem);
      tile.classList.toggle("unfit", unfit.has(one));
      if (tile.dataset.state === text) continue;
      tile.dataset.state = text;
      tile.classList.toggle("annotated", Boolean(objects));
      tile.title = objects ? `frame ${one}, annotated${complete.has(one) ? ", complete" : ""}`
        : `frame ${one}`;
      tile.querySelector(".marks").replaceChildren(
        ...(objects ?? []).slice(0, 6).map((k) => swatch(`rgb(${view.colours[k].join(" ")})`)),
        ...(complete.has(one) ? [element("b", "", "✓")] : []));
    }
    if (this.shown === stem) return;
    this.shown = stem;
    this.tiles.get(stem)?.scrollIntoView({ inline: "center", block: "nearest" });
  }
}

/** The list of the objects: which is drawn, how they are called. */
function showObjects(editor) {
  const host = byId("objects"), areas = editor.drawing?.areas() ?? new Map();
  const wanted = [...editor.objects].sort((a, b) => a - b);
  if (host.contains(document.activeElement) && document.activeElement.tagName === "INPUT"
      && wanted.length === host.children.length) return; // a name is being typed
  host.replaceChildren(...wanted.map((k) => {
    const row = element("li"), name = element("input"), pixels = areas.get(k);
    row.setAttribute("aria-current", k === editor.object);
    row.dataset.object = k;
    row.title = k < 10 ? `object ${k}: key ${k}` : `object ${k}`;
    name.value = editor.names.get(k) ?? "";
    name.placeholder = `object ${k}`;
    name.maxLength = 60;
    name.setAttribute("aria-label", `name of object ${k}`);
    name.addEventListener("focus", () => { editor.object = k; markObject(k); });
    name.addEventListener("change", () => editor.rename(k, name.value));
    name.addEventListener("keydown", (event) => { if (event.key === "Enter") name.blur(); });
    name.addEventListener("blur", () => setTimeout(() => editor.update()));
    const area = element("span", "area", pixels ? `${pixels} px` : "–");
    const remove = element("button", "remove", "×");
    remove.type = "button";
    remove.title = `Delete ${editor.nameOf(k)} from all frames`;
    remove.setAttribute("aria-label", remove.title);
    remove.addEventListener("click", (event) => { event.stopPropagation(); editor.remove(k); });
    row.addEventListener("click", (event) => { if (event.target !== name) editor.select(k); });
    row.append(swatch(`rgb(${editor.video.colours[k].join(" ")})`), name, area, remove);
    return row;
  }));
}

function markObject(k) {
  for (const row of byId("objects").children) {
    row.setAttribute("aria-current", row.dataset.object === String(k));
  }
}

/** Whether all is saved, and what to choose where it cannot be. */
function showSaved(editor) {
  const { drawings } = editor, { problem, unsaved } = drawings;
  const clash = unsaved.find((drawing) => drawing.conflict);
  const state = clash || problem ? "failed" : unsaved.length ? "saving" : "saved";
  byId("saved").dataset.state = state;
  byId("saved").textContent = { failed: "not saved", saving: "saving …", saved: "saved" }[state];
  byId("trouble").hidden = state !== "failed";
  if (state !== "failed") { byId("trouble").dataset.of = ""; return; }
  const [text, choices] = clash
    ? [`Frame ${clash.stem} was changed elsewhere, in another tab or by another program.`,
      [["Take that", () => drawings.takeTheirs(clash).then(() => editor.showMasks())],
        ["Keep mine", () => drawings.keepOurs(clash)]]]
    : [`Not saved: ${problem}. The drawing is kept in this page.`,
      [["Try again", () => drawings.flush()]]];
  if (byId("trouble").dataset.of === text) return;
  byId("trouble").dataset.of = text;
  const [words, host] = byId("trouble").children;
  words.textContent = text;
  host.replaceChildren(...choices.map(([name, action]) => {
    const button = element("button", "", name);
    button.type = "button";
    button.addEventListener("click", () => Promise.resolve(action())
      .catch((error) => editor.tell(error.message)).then(() => editor.update()));
    return button;
  }));
}
