// A place on the page that shows one picture, or the camera, with what the model says drawn over it.

import { drawMarks } from "./draw.js";
import { element, shape } from "./dom.js";

const MOST = 1600; // pixels of the longer side on the page

export class Slot {
  /** @param {string} invitation what the empty place says */
  constructor(invitation) {
    this.picture = element("canvas", { class: "picture", hidden: "" });
    this.video = element("video", { class: "picture", hidden: "", playsinline: "", muted: "" });
    this.video.muted = true;
    this.over = element("canvas", { class: "over", "aria-hidden": "true" });
    const icon = shape("svg", { "aria-hidden": "true" }, shape("use", { href: "icons.svg#picture" }));
    this.empty = element("div", { class: "empty" }, icon, element("p", {}, invitation));
    const view = element("div", { class: "view" }, this.picture, this.video, this.over);
    this.element = element("div", { class: "slot" }, this.empty, view);
    this.size = null;
    this.marks = {};
    new ResizeObserver(() => this.draw()).observe(view);
  }

  /** Show a picture or a frame of the camera, standing still. */
  showStill(source, width, height) {
    const scale = Math.min(1, MOST / Math.max(width, height));
    [this.picture.width, this.picture.height] = [Math.round(width * scale), Math.round(height * scale)];
    const context = this.picture.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(source, 0, 0, this.picture.width, this.picture.height);
    this.#show("picture", { width, height });
  }

  /** Show what the camera sees now; marks stay until there are new ones. */
  showCamera(mirrored) {
    const { videoWidth: width, videoHeight: height } = this.video;
    const same = this.size?.width === width && this.size.height === height && this.size.mirrored === mirrored;
    if (same && !this.video.hidden) return;
    this.video.classList.toggle("mirrored", mirrored);
    this.#show("video", { width, height, mirrored });
  }

  clear() {
    this.#show("empty", null);
  }

  /** Draw marks of draw.js over it, now and whenever it changes its size on the page. */
  draw(marks = this.marks) {
    this.marks = marks;
    drawMarks(this.over, this.size, marks);
  }

  #show(which, size) {
    for (const name of ["empty", "picture", "video"]) this[name].hidden = name !== which;
    this.size = size;
    this.element.style.setProperty("--ratio", size ? size.width / size.height : 1);
    this.draw({});
  }
}
