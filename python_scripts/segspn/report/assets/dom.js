"use strict";

const byId = (id) => document.getElementById(id);

/** An HTML element with a class and a text; texts are never read as markup. */
function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

/** A coloured square. */
function swatch(colour) {
  const made = element("span", "swatch");
  made.style.background = colour;
  return made;
}
