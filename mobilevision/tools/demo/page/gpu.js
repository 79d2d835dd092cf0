// The page's switch for the GPU, where the browser has WebGPU and the page its runtime.

import { element } from "./dom.js";

const RUNTIME = "ort.jspi.min.mjs";

/** Whether there is a GPU that the page's runtime can use. */
export async function haveGpu() {
  if (!navigator.gpu || !WebAssembly.Suspending) return false;
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  if (!adapter) return false;
  const found = await fetch("runtime/files.json").catch(() => null);
  return found?.ok ? (await found.json()).includes(RUNTIME) : false;
}

export class GpuSwitch {
  #text = element("span", { role: "status" });
  #button = element("button", { type: "button", class: "link" }, "Try the GPU (WebGPU, 17 MB)");
  #on = false;

  /** @param {HTMLElement} place  @param {{turnOn: () => Promise, turnOff: () => void}} ways */
  constructor(place, { turnOn, turnOff }) {
    place.replaceChildren(this.#text, " ", this.#button);
    place.hidden = false;
    this.#button.addEventListener("click", async () => {
      if (this.#on) {
        turnOff();
        return;
      }
      this.#button.disabled = true;
      this.#text.textContent = "Getting the GPU ready …";
      await turnOn();
      this.#button.disabled = false;
    });
  }

  /** Say who answers. */
  tell({ on, text }) {
    this.#on = on;
    this.#text.textContent = text;
    this.#button.textContent = on ? "Back to the CPU" : "Try the GPU again";
  }
}
