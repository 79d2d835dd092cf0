// How the page of `mobilevision demo` shows keypoints; it lies beside the page's own answers.

import { Bars } from "../bars.js";
import { element } from "../dom.js";
import { mapBox } from "../framing.js";

const [LINE, POINT] = ["#e0651e", "#2f6fde"];
const SEEN = 0.3; // as in answer.py

/** Points and the skeleton between them over the picture, and how sure the model is of each. */
export default class Keypoints {
  question = "Where are the points?";
  slots = 1;
  #bars = new Bars();
  #found = element("strong", {});

  constructor({ classes, facts }) {
    [this.classes, this.skeleton] = [classes, facts.skeleton ?? []];
    this.element = element("div", {}, element("p", { class: "headline" }, this.#found), this.#bars.element);
  }

  update([{ outputs }]) {
    const scores = Array.from(outputs.scores, Number);
    const seen = scores.filter((score) => score >= SEEN).length;
    this.#found.textContent = `${seen} of ${scores.length} points`;
    this.#bars.update(scores.map((value, place) => ({ name: this.classes[place], value, weak: value < SEEN })));
  }

  marks({ outputs: { points, scores }, toPicture }) {
    const at = (place) => {
      const [x, y] = [Number(points[2 * place]), Number(points[2 * place + 1])];
      return mapBox([x, y, x, y], toPicture).slice(0, 2);
    };
    const seen = (place) => scores[place] >= SEEN;
    const lines = this.skeleton.filter((pair) => pair.every(seen));
    return {
      lines: lines.map(([from, to]) => ({ from: at(from), to: at(to), colour: LINE })),
      points: this.classes.map((_, place) => place).filter(seen).map((place) => ({ at: at(place), colour: POINT })),
    };
  }
}
