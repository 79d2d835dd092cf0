import { element } from "../dom.js";

const SHOWN = 12;

/** The outputs as they are, for models of which nothing else is known here. */
export class Numbers {
  question = "What does the model say?";
  slots = 1;
  element = element("dl", { class: "numbers" });

  update([result]) {
    const rows = Object.entries(result.outputs).flatMap(([name, values]) => {
      const first = Array.from(values.slice(0, SHOWN), (value) => Number(Number(value).toPrecision(4)));
      const more = values.length > SHOWN ? ` … (${values.length})` : "";
      return [element("dt", {}, name), element("dd", {}, first.join("  ") + more)];
    });
    this.element.replaceChildren(...rows);
  }
}
