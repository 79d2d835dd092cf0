import { element } from "../dom.js";

/** Several tasks on one backbone: what each part answers, one below the other. */
export class Parts {
  question = "What does the image show?";
  slots = 1;
  #parts = [];

  /** @param answerOf makes the answer of a part, as of a model of its own */
  constructor(manifest, redraw, answerOf) {
    for (const [name, { answer, classes, facts }] of Object.entries(manifest.facts.parts)) {
      const own = { ...manifest, answer, classes, facts, decision: manifest.decision[name] ?? {} };
      const made = answerOf(own, redraw);
      if (made.slots === 1) this.#parts.push({ name, answer: made });
    }
    const sections = this.#parts.map(({ name, answer }) => {
      return element("section", { class: "part" }, element("h2", {}, name.replaceAll("_", " ")), answer.element);
    });
    this.element = element("div", {}, ...sections);
  }

  update([result]) {
    for (const { name, answer } of this.#parts) answer.update([of(result, name)]);
  }

  marks(result) {
    const found = this.#parts.map(({ name, answer }) => answer.marks?.(of(result, name)) ?? {});
    const kinds = ["boxes", "layers", "lines", "points"];
    return Object.fromEntries(kinds.map((kind) => [kind, found.flatMap((marks) => marks[kind] ?? [])]));
  }
}

/** A result with the outputs of one part only, under the names that they have in a model of its own. */
function of(result, name) {
  const start = `${name}/`;
  const own = Object.entries(result.outputs).filter(([key]) => key.startsWith(start));
  return { ...result, outputs: Object.fromEntries(own.map(([key, value]) => [key.slice(start.length), value])) };
}
