// What outputs mean, one small class a kind of answer, as in mobilevision/deploy/answers.
//
// A class has: `question`, the page's title; `slots`, how many pictures it takes; `element`, shown on the page;
// `update(results)`, told of the slots' results, null where a slot is empty; and, if it draws over pictures,
// `marks(result)`: {boxes, layers, lines, points} as draw.js has them. A result is {outputs, toPicture, milliseconds}; `redraw` is called
// when marks have changed. A plugin's answer is the default export of a file of its own, named in plugins.json.

import { Attributes } from "./attributes.js";
import { Boxes } from "./boxes.js";
import { Classes } from "./classes.js";
import { Embedding } from "./embedding.js";
import { Numbers } from "./numbers.js";
import { Parts } from "./parts.js";
import { Places } from "./places.js";

const ANSWERS = { classes: Classes, attributes: Attributes, embedding: Embedding, places: Places, boxes: Boxes };

/** Load the answers that plugins bring to this page. */
export async function loadPlugins() {
  const found = await fetch("plugins.json");
  for (const [name, file] of Object.entries(await found.json())) {
    ANSWERS[name] = (await import(new URL(`../${file}`, import.meta.url))).default;
  }
}

export function answerOf(manifest, redraw) {
  if (manifest.answer === "parts") return new Parts(manifest, redraw, answerOf);
  return new (ANSWERS[manifest.answer] ?? Numbers)(manifest, redraw);
}
