// The page's side of the model: questions go to the worker, answers come back.

import { PlainError } from "./plain_error.js";

export class Model {
  #worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #asked = 0;

  constructor() {
    this.#worker.onmessage = ({ data }) => this.#heard(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      const why = event.message ? `: ${event.message}` : "";
      for (const { reject } of this.#waiting.values()) reject(new PlainError(`The model cannot run in this browser${why}.`));
      this.#waiting.clear();
    };
  }

  /** Get runtime and model ready, on the CPU or the GPU; `say` hears {wasm, model}, the shares that have come. */
  load(manifest, say, { gpu = false } = {}) {
    return this.#ask({ kind: "load", manifest, gpu }, [], say);
  }

  /** Stop it for good; what was asked stays without an answer. */
  end() {
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(new PlainError("it was stopped"));
    this.#waiting.clear();
  }

  /** What the model says of a picture {data, width, height}, RGBA, whose bytes are given away. */
  run(picture) {
    return this.#ask({ kind: "run", picture }, [picture.data.buffer]);
  }

  #ask(message, given, say = () => {}) {
    const id = ++this.#asked;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, say });
      this.#worker.postMessage({ id, ...message }, given);
    });
  }

  #heard({ id, progress, done, error, plain }) {
    const asked = this.#waiting.get(id);
    if (!asked) return;
    if (progress !== undefined) {
      asked.say(progress);
      return;
    }
    this.#waiting.delete(id);
    if (error === undefined) asked.resolve(done);
    else asked.reject(plain ? new PlainError(error) : new Error(error));
  }
}
