import { element } from "../dom.js";

/** Two pictures and how alike they are: the cosine of both embeddings. */
export class Embedding {
  question = "The same, or another?";
  slots = 2;
  #said = element("strong", {});
  #number = element("span", { class: "quiet" });
  #bar = element("div", { class: "bar" });
  #tick = element("i", { class: "mark" });
  #note = element("p", { class: "quiet small" });

  constructor(manifest) {
    this.threshold = manifest.decision.threshold ?? null;
    const track = element("div", { class: "track thick" }, this.#bar, this.#tick);
    this.element = element("div", {}, element("p", { class: "headline" }, this.#said, this.#number), track, this.#note);
    this.#tick.hidden = this.threshold === null;
    this.#tick.style.left = `${this.#share(this.threshold ?? 0)}%`;
  }

  update([first, second]) {
    const both = first && second;
    this.#number.textContent = "";
    this.#bar.style.width = "0";
    if (!both) {
      this.#said.textContent = "One more image";
      this.#note.textContent = "Two are compared: tap a place to fill it.";
      return;
    }
    const value = cosine(first.outputs.embedding, second.outputs.embedding);
    const same = this.threshold === null ? null : value >= this.threshold;
    this.#said.textContent = same === null ? "Likeness" : same ? "The same" : "Not the same";
    this.#number.textContent = value.toFixed(3);
    this.#bar.style.width = `${this.#share(value)}%`;
    this.#bar.classList.toggle("no", same === false);
    const chosen = same === null ? "the model names no threshold" : `the same from ${this.threshold.toFixed(3)} on, as chosen on val`;
    this.#note.textContent = `Cosine of both embeddings, -1 to 1; ${chosen}.`;
  }

  #share(value) {
    return Math.min(Math.max((value + 1) / 2, 0), 1) * 100;
  }
}

export function cosine(one, two) {
  let [product, first, second] = [0, 0, 0];
  one.forEach((value, place) => {
    product += value * two[place];
    first += value * value;
    second += two[place] * two[place];
  });
  return product / (Math.sqrt(first * second) || 1);
}
