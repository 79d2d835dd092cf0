import { pressable, shape } from "../dom.js";

const COLOURED = 60; // cells, the most probable ones
const FAINT = 0.01; // of the most probable cell's probability: less is not drawn
const NEARER = 4; // times, when somebody taps the map

/** The map that `mobilevision demo` drew for this model (map.json), and on it places and cells. */
export class WorldMap {
  element = shape("svg", { class: "map", "aria-label": "Map of the most probable places", "aria-pressed": "false" });
  #cells = shape("g", { class: "cells" });
  #dots = shape("g", {});
  #ground = null;
  #waiting = null;

  constructor() {
    pressable(this.element, () => {
      this.element.setAttribute("aria-pressed", String(this.element.classList.toggle("near"))); // looked at from near
      if (this.#waiting) this.show(this.#waiting);
    });
    this.#load();
  }

  async #load() {
    const found = await fetch("map.json").catch(() => null);
    if (!found?.ok) return; // the places are told in words, too
    this.#ground = await found.json();
    const { view, land, grid } = this.#ground;
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
        return shape("path", { d: this.#ground.cells[cell], "fill-opacity": 0.1 + (0.75 * probabilities[cell]) / most });
      }),
    );
    const dots = places.map(({ place, value }) => this.#dot(place, 0.006 + 0.012 * Math.sqrt(value), "place"));
    this.#dots.replaceChildren(...dots.reverse(), this.#dot(answer, 0.014, "answer"));
    this.element.setAttribute("viewBox", this.#window(answer).join(" "));
  }

  /** The whole map, or the part of it around a place. */
  #window([north, east]) {
    const [x, y, width, height] = this.#ground.view;
    const near = this.element.classList.contains("near");
    if (!near) return [x, y, width, height];
    const [wide, high] = [width / NEARER, height / NEARER];
    const within = (value, least, most) => Math.min(Math.max(value, least), most);
    const left = within(east * this.#ground.flat - wide / 2, x, x + width - wide);
    return [left, within(-north - high / 2, y, y + height - high), wide, high];
  }

  #dot([north, east], radius, kind) {
    const { view, flat } = this.#ground;
    const scale = this.element.classList.contains("near") ? 1 / NEARER : 1;
    return shape("circle", { class: kind, cx: east * flat, cy: -north, r: radius * scale * view[2] });
  }
}
