import { Bars } from "../bars.js";
import { element } from "../dom.js";
import { thresholdsOf } from "./thresholds.js";

const words = (name) => name.replaceAll("_", " ");

/** Many yes-or-no questions: those that are answered with yes, and all of them on demand. */
export class Attributes {
  question = "What can be seen?";
  slots = 1;
  #count = element("strong", {});
  #of = element("span", { class: "quiet" });
  #found = new Bars();
  #all = new Bars("columns");

  constructor(manifest) {
    this.classes = manifest.classes;
    this.thresholds = thresholdsOf(manifest);
    const all = element("details", {}, element("summary", {}, `All ${this.classes.length}, with their thresholds`), this.#all.element);
    const headline = element("p", { class: "headline" }, this.#count, this.#of);
    this.element = element("div", {}, headline, this.#found.element, all);
  }

  update([result]) {
    const { probabilities, present } = result.outputs;
    const rows = this.classes.map((name, place) => ({
      name: words(name),
      value: probabilities[place],
      weak: !present[place],
      mark: this.thresholds[place],
    }));
    const found = rows.filter((row) => !row.weak).sort((a, b) => b.value - a.value);
    this.#count.textContent = found.length ? found.slice(0, 3).map((row) => row.name).join(", ") : "nothing of it";
    this.#of.textContent = `${found.length} of ${rows.length}`;
    this.#found.update(found);
    this.#all.update(rows);
  }
}
