// How the page of `mobilevision demo` shows masks; it lies beside the page's own answers.

import { Bars } from "../bars.js";
import { element } from "../dom.js";
import { mapBox } from "../framing.js";

const COLOURS = [[70, 70, 70], [47, 111, 222], [224, 101, 30], [31, 155, 98], [194, 55, 138], [122, 92, 214], [176, 138, 18], [21, 147, 173], [211, 59, 59]]; // as in answer.py
const OPACITY = 140; // of 255
const LISTED = 8;
const SEEN = 0.005; // share of the picture from which a class is named

/** The class of every pixel, in colours over the picture, and what share of it each class has. */
export default class Mask {
  question = "What is where?";
  slots = 1;
  #bars = new Bars();
  #best = element("strong", {});

  constructor(manifest) {
    const { width, height } = manifest.preprocessing;
    [this.classes, this.width, this.height] = [manifest.classes, width, height];
    this.element = element("div", {}, element("p", { class: "headline" }, this.#best), this.#bars.element);
  }

  update([result]) {
    const counts = new Map();
    let all = 0;
    for (const label of this.#seen(result)) {
      counts.set(label, (counts.get(label) ?? 0) + 1);
      all++;
    }
    const rows = [...counts]
      .map(([label, count]) => ({ name: this.classes[label], value: count / all, colour: css(label) }))
      .filter(({ value }) => value >= SEEN)
      .sort((a, b) => b.value - a.value);
    this.#best.textContent = rows.slice(0, 3).map(({ name }) => name).join(", ");
    this.#bars.update(rows.slice(0, LISTED));
  }

  marks({ outputs, toPicture }) {
    const drawn = new OffscreenCanvas(this.width, this.height);
    const context = drawn.getContext("2d");
    const pixels = context.createImageData(this.width, this.height);
    outputs.mask.forEach((label, place) => pixels.data.set([...COLOURS[label % COLOURS.length], OPACITY], 4 * place));
    context.putImageData(pixels, 0, 0);
    return { layers: [{ image: drawn, box: mapBox([0, 0, this.width, this.height], toPicture) }] };
  }

  /** The classes of the pixels that show the picture: what pads it has the same width on both sides. */
  *#seen({ outputs, toPicture: { scaleX, scaleY, shiftX, shiftY } }) {
    const [left, top] = [Math.max(0, Math.round(-shiftX / scaleX)), Math.max(0, Math.round(-shiftY / scaleY))];
    for (let y = top; y < this.height - top; y++) {
      yield* outputs.mask.subarray(y * this.width + left, (y + 1) * this.width - left);
    }
  }
}

function css(label) {
  return `rgb(${COLOURS[label % COLOURS.length].join(" ")})`;
}
