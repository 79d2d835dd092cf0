// A few pictures that came with the page (examples.json); the first is shown at once, so that the page says something.

import { element } from "./dom.js";

export async function showExamples(place, take, shown) {
  const found = await fetch("examples.json").catch(() => null);
  const names = found?.ok ? await found.json() : [];
  const buttons = names.map((name) => {
    const picture = element("img", { src: name, alt: "", loading: "lazy", decoding: "async" });
    const button = element("button", { type: "button", class: "example", "aria-label": "Example" }, picture);
    button.addEventListener("click", async () => take(await (await fetch(name)).blob()));
    return button;
  });
  place.replaceChildren(...buttons);
  place.hidden = !names.length;
  for (const name of names.slice(0, shown)) await take(await (await fetch(name)).blob());
}
