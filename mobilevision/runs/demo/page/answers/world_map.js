import { shape } from "../dom.js";

const COLOURED = 60; // cells, the most probable ones
const FAINT = 0.01; // of the most probable cell's probability: less is not drawn

/** The map that `mobilevision demo` drew for this model (map.json), and on it places and cells. */
export class WorldMap {
  element = shape("svg", { class: "map", role: "img", "aria-label": "Map of the most probable places" });
  #cells = shape("g", { class: "cells" });
  #dots = shape("g", {});
  #ground = null;
  #waiting = null;

  constructor() {
    this.#load();
  }

  async #load() {
    const found = await fetch("map.json").catch(() => null);
    if (!found?.ok) return; // the places are told in words, too
    this.#ground = await found.json();
    const { view, land, grid } = this.#ground;
    this.element.setAttribute("viewBox", view.join(" "));
    const [x, y, width, height] = view;
    this.element.append(
      shape("rect", { class: "sea", x, y, width, height }),
      shape("path", { class: "land", d: land, "fill-rule": "evenodd" }),
      shape("path", { class: "grid", d: grid }),
      this.#cells,
      this.#dots,
    );
    if (this.#waiting) this.show(this.#waiting);
  }

  /** @param {{probabilities: Float32Array, places: {place: number[], value: number}[], answer: number[]}} found */
  show(found) {
    this.#waiting = found;
    if (!this.#ground) return;
    const { probabilities, places, answer } = found;
    const best = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a]);
    const most = probabilities[best[0]];
    const drawn = best.slice(0, COLOURED).filter((cell) => probabilities[cell] >= FAINT * most);
    this.#cells.replaceChildren(
      ...drawn.reverse().map((cell) => {
        return shape("path", { d: this.#ground.cells[cell], "fill-opacity": 0.2 + (0.7 * probabilities[cell]) / most });
      }),
    );
    const dots = places.map(({ place, value }) => this.#dot(place, 0.006 + 0.012 * Math.sqrt(value), "place"));
    this.#dots.replaceChildren(...dots.reverse(), this.#dot(answer, 0.014, "answer"));
  }

  #dot([north, east], radius, kind) {
    const { view, flat } = this.#ground;
    return shape("circle", { class: kind, cx: east * flat, cy: -north, r: radius * view[2] });
  }
}
