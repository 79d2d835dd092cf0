// Rows with a name, a bar and a number. Rows are kept from one answer to the next, so that bars move.

import { element, percent } from "./dom.js";

export class Bars {
  /** @param {string} kind a further class of the list, for its looks */
  constructor(kind = "") {
    this.element = element("ol", { class: `bars ${kind}` });
  }

  /** @param {{name: string, value: number, text?: string, weak?: boolean, colour?: string, mark?: number}[]} rows */
  update(rows) {
    const list = this.element;
    while (list.children.length > rows.length) list.lastElementChild.remove();
    while (list.children.length < rows.length) list.append(row());
    rows.forEach((given, place) => fill(list.children[place], given));
  }
}

function row() {
  const track = element("div", { class: "track" }, element("div", { class: "bar" }), element("i", { class: "mark", role: "img" }));
  return element("li", {}, element("span", { class: "name" }), element("span", { class: "number" }), track);
}

function fill(item, { name, value, text = percent(value), weak = false, colour = "", mark = null }) {
  const [said, number, track] = item.children;
  const [bar, tick] = track.children;
  [said.textContent, number.textContent] = [name, text];
  item.classList.toggle("weak", weak);
  bar.style.width = `${Math.min(Math.max(value, 0), 1) * 100}%`;
  bar.style.background = colour;
  tick.hidden = mark === null;
  tick.style.left = `${(mark ?? 0) * 100}%`;
  tick.setAttribute("aria-label", `threshold ${percent(mark ?? 0)}`);
}
