import { Bars } from "../bars.js";
import { element } from "../dom.js";

const SHOWN = 5;

/** One class a picture: the most probable ones. */
export class Classes {
  question = "What is in the image?";
  slots = 1;
  #best = element("strong", {});
  #bars = new Bars();

  constructor(manifest) {
    this.classes = manifest.classes;
    this.element = element("div", {}, element("p", { class: "headline" }, this.#best), this.#bars.element);
  }

  update([result]) {
    const { probabilities } = result.outputs;
    const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a] || a - b);
    const rows = order.slice(0, SHOWN).map((place) => ({ name: this.classes[place], value: probabilities[place] }));
    this.#best.textContent = rows[0].name;
    this.#bars.update(rows);
  }
}
