import { Bars } from "../bars.js";
import { element, percent } from "../dom.js";
import { colourOf } from "../draw.js";
import { mapBox } from "../framing.js";
import { thresholdsOf } from "./thresholds.js";

const LISTED = 12;

/** Boxes round objects, from a threshold on that can be moved. */
export class Boxes {
  question = "What is where?";
  slots = 1;
  #found = element("strong", {});
  #bars = new Bars();
  #slider = element("input", { type: "range", min: "0.02", max: "0.98", step: "0.01", id: "threshold" });
  #value = element("output", { for: "threshold" });
  #reset = element("button", { type: "button", class: "link", hidden: "" }, "as chosen on val");
  #moved = null; // one threshold for all classes, once somebody moved the slider
  #last = null;

  constructor(manifest, redraw) {
    this.classes = manifest.classes;
    this.chosen = thresholdsOf(manifest);
    const label = element("p", {}, element("label", { for: "threshold" }, "Threshold"), " ", this.#value, " ", this.#reset);
    const headline = element("p", { class: "headline" }, this.#found);
    this.element = element("div", {}, headline, this.#bars.element, element("div", { class: "slider" }, label, this.#slider));
    const move = (value) => {
      this.#moved = value;
      this.#told();
      redraw();
    };
    this.#slider.addEventListener("input", () => move(Number(this.#slider.value)));
    this.#reset.addEventListener("click", () => move(null));
    this.#told();
  }

  /** What is shown of a result, best first: {box, label, score}, the box in pixels of the picture. */
  kept({ outputs, toPicture }) {
    const found = [];
    for (let place = 0; place < outputs.scores.length; place++) {
      const [label, score] = [outputs.labels[place], outputs.scores[place]];
      if (label < 0 || score < (this.#moved ?? this.chosen[label])) continue;
      found.push({ label, score, box: mapBox(outputs.boxes.slice(4 * place, 4 * place + 4), toPicture) });
    }
    return found;
  }

  update([result]) {
    this.#last = result;
    const kept = this.kept(result);
    const counts = new Map();
    for (const { label } of kept) counts.set(label, (counts.get(label) ?? 0) + 1);
    const said = [...counts].sort((a, b) => b[1] - a[1]).map(([label, count]) => `${count} ${this.classes[label]}`);
    this.#found.textContent = said.join(", ") || "nothing found";
    const rows = kept.slice(0, LISTED);
    this.#bars.update(rows.map(({ label, score }) => ({ name: this.classes[label], value: score, colour: colourOf(label) })));
  }

  marks(result) {
    const boxes = this.kept(result).map(({ label, score, box }) => {
      return { box, text: `${this.classes[label]} ${percent(score)}`, colour: colourOf(label) };
    });
    return { boxes };
  }

  #told() {
    const [least, most] = [Math.min(...this.chosen), Math.max(...this.chosen)];
    const value = this.#moved ?? (least + most) / 2;
    const own = this.#moved === null && most - least > 0.005;
    this.#slider.value = String(value);
    this.#slider.setAttribute("aria-valuetext", own ? "chosen by class" : value.toFixed(2));
    this.#value.textContent = own ? `${least.toFixed(2)} to ${most.toFixed(2)} by class` : value.toFixed(2);
    this.#reset.hidden = this.#moved === null;
    if (this.#last) this.update([this.#last]);
  }
}
