// A few pictures that came with the page (examples.json); the first is shown at once, so that the page says something.

import { element } from "./dom.js";

export async function showExamples(place, take, shown) {
  const found = await fetch("examples.json").catch(() => null);
  const names = found?.ok ? await found.json() : [];
  const fetched = async (name) => (await fetch(name)).blob();
  const buttons = names.map((name, place) => {
    const picture = element("img", { src: name, alt: "", loading: "lazy", decoding: "async" });
    const button = element("button", { type: "button", class: "example", "aria-label": `Example ${place + 1}` }, picture);
    button.addEventListener("click", () => take(fetched(name)));
    return button;
  });
  place.replaceChildren(...buttons);
  place.hidden = !names.length;
  for (const name of names.slice(0, shown)) await take(fetched(name));
}
