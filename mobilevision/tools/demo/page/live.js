// The live camera on the page: its buttons, and one frame after the other for the model.

import { Camera, noCamera } from "./camera.js";

const by = (id) => document.getElementById(id);

export class Live {
  #slot;
  #page;
  #camera;
  #shown = false;

  /**
   * @param {Slot} slot where it is shown
   * @param {object} page `ask(picture)` tells what the model says of a frame, `cleared()` hears that nothing is shown any
   *   more, `redraw()` draws marks anew, `guarded(work)` says what goes wrong, `say(text)` tells those who hear the page
   */
  constructor(slot, page) {
    this.#slot = slot;
    this.#page = page;
    this.#camera = new Camera(slot.video);
  }

  get on() {
    return this.#camera.on;
  }

  buttons() {
    const why = noCamera();
    by("camera").disabled = why !== "";
    by("hint").textContent = why;
    by("hint").hidden = !why;
    by("camera").addEventListener("click", () => this.#page.guarded(() => (this.on ? this.stop() : this.#start())));
    by("turn").addEventListener("click", () => this.#page.guarded(() => this.#camera.turn()));
    by("hold").addEventListener("click", () => this.stop(false));
  }

  /** Stop it, and leave an empty place or the last frame. */
  stop(clear = true) {
    if (!this.#shown) return;
    const { videoWidth, videoHeight } = this.#slot.video;
    if (clear || !videoWidth) {
      this.#slot.clear();
      this.#page.cleared();
    } else {
      this.#slot.showStill(this.#slot.video, videoWidth, videoHeight, "The last frame of the camera");
      this.#page.redraw();
    }
    this.#camera.stop();
    this.#show(false);
  }

  async #start() {
    await this.#camera.start();
    this.#show(true);
    by("turn").hidden = !(await this.#camera.several());
    try {
      await this.#watch();
    } finally {
      this.stop();
    }
  }

  async #watch() {
    while (this.on) {
      const picture = this.#camera.frame();
      if (picture) {
        this.#slot.showCamera(this.#camera.mirrored);
        await this.#page.ask(picture);
      }
      await new Promise(requestAnimationFrame);
    }
  }

  #show(on) {
    this.#shown = on;
    by("camera").querySelector("use").setAttribute("href", `icons.svg#${on ? "stop" : "camera"}`);
    by("camera").querySelector("span").textContent = on ? "Stop" : "Camera";
    by("camera").classList.toggle("on", on);
    by("hold").hidden = !on;
    by("file").parentElement.hidden = on;
    if (!on) by("turn").hidden = true;
    document.documentElement.dataset.camera = on ? "on" : "off";
    this.#page.say(on ? "The camera is on; the answer follows what it sees." : "The camera is off.");
  }
}
