import { Bars } from "../bars.js";
import { element } from "../dom.js";
import { WorldMap } from "./world_map.js";

/** Where a picture was taken: a coordinate, and the most probable places on a map. */
export class Places {
  question = "Where was it taken?";
  slots = 1;
  #answer = element("strong", {});
  #bars = new Bars();
  #map = new WorldMap();

  constructor(manifest) {
    this.facts = manifest.facts;
    const headline = element("p", { class: "headline" }, this.#answer);
    this.element = element("div", {}, headline, this.#map.element, this.#bars.element);
  }

  update([result]) {
    const { probabilities, cells, coordinate } = result.outputs;
    const { latitude, longitude } = this.facts.cells;
    const likely = Array.from(cells).slice(0, this.facts.places ?? 5).map(Number);
    const found = likely.map((cell) => ({ place: [latitude[cell], longitude[cell]], value: probabilities[cell] }));
    this.#answer.textContent = words(coordinate);
    this.#bars.update(found.map(({ place, value }) => ({ name: words(place), value })));
    this.#map.show({ probabilities, places: found, answer: coordinate });
  }
}

/** 48.86 N, 2.35 E */
export function words([north, east]) {
  return `${Math.abs(north).toFixed(2)} ${north >= 0 ? "N" : "S"}, ${Math.abs(east).toFixed(2)} ${east >= 0 ? "E" : "W"}`;
}
