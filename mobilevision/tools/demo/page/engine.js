// Who answers: the model on the CPU, and once somebody asked for it and it proved itself, the model on the GPU.

import { Model } from "./model.js";

const NEAR = 1e-3; // what runtimes may differ by, as a share
const SEEN = 0.05; // the score from which on boxes are compared

/** How far two results {outputs} are apart: the largest difference, as a share of what is largest in its output. */
export function difference(one, two) {
  let most = 0;
  for (const [name, all] of Object.entries(one.outputs)) {
    const values = Array.from(all).slice(0, counted(name, one.outputs));
    const large = values.reduce((found, value) => Math.max(found, Math.abs(value)), 1);
    values.forEach((value, place) => {
      const off = Math.abs(value - two.outputs[name][place]) / large;
      most = Number.isNaN(off) ? Infinity : Math.max(most, off);
    });
  }
  return most;
}

/** How many numbers of an output count: what is all but impossible may stand in any order. */
function counted(name, outputs) {
  const [part, own] = /^(.*\/)?(.+)$/.exec(name).slice(1).map((text) => text ?? "");
  if (own === "cells") return 1;
  const scores = outputs[`${part}scores`];
  if (!scores || !["boxes", "labels"].includes(own)) return undefined;
  return scores.filter((score) => score >= SEEN).length * (own === "boxes" ? 4 : 1);
}

export class Engine {
  #cpu;
  #gpu = null;
  #proved = false;
  #make;
  #said;

  /**
   * @param {Model} cpu loaded
   * @param {(state: {on: boolean, text: string}) => void} said hears who answers, and why, whenever that changes
   * @param {() => Model} make makes the model that will be loaded for the GPU
   */
  constructor(cpu, said, make = () => new Model()) {
    this.#cpu = cpu;
    this.#said = said;
    this.#make = make;
  }

  /** Get the GPU ready; from the next picture on it answers, if it says there what the CPU says. */
  async useGpu(manifest, progress) {
    const gpu = this.#make();
    try {
      await gpu.load(manifest, progress, { gpu: true });
      this.#gpu = gpu;
      this.#proved = false;
      this.#said({ on: true, text: "The GPU is ready: it is compared with the CPU on the next image." });
    } catch (error) {
      gpu.end();
      this.#said({ on: false, text: `The CPU answers: the GPU cannot (${error.message}).` });
    }
  }

  useCpu(text = "The CPU answers.") {
    this.#gpu?.end();
    this.#gpu = null;
    this.#said({ on: false, text });
  }

  /** What the model says of a picture {data, width, height}, whose bytes are given away; `by` tells who said it. */
  async run(picture) {
    const gpu = this.#gpu;
    if (!gpu) return this.#byCpu(picture);
    const copy = { ...picture, data: picture.data.slice() };
    const sure = this.#proved ? null : await this.#byCpu(picture);
    try {
      const tried = { ...(await gpu.run(copy)), by: "GPU" };
      if (gpu !== this.#gpu) return sure ?? tried;
      return sure ? this.#compared(sure, tried) : tried;
    } catch (error) {
      if (gpu === this.#gpu) this.useCpu(`The CPU answers: the GPU failed (${error.message}).`);
      return sure ?? this.#byCpu(picture);
    }
  }

  #compared(sure, tried) {
    const off = difference(sure, tried);
    const digits = off === Infinity ? "no number" : off ? off.toExponential(0) : "none";
    if (off > NEAR) {
      this.useCpu(`The CPU answers: on this image the GPU says something else (difference: ${digits}).`);
      return sure;
    }
    this.#proved = true;
    this.#said({ on: true, text: `The GPU answers: on the first image it said what the CPU says (difference: ${digits}).` });
    return tried;
  }

  async #byCpu(picture) {
    return { ...(await this.#cpu.run(picture)), by: "CPU" };
  }
}
