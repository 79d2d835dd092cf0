// A place on the page that shows one picture, or the camera, with what the model says drawn over it.

import { drawMarks } from "./draw.js";
import { element, shape } from "./dom.js";

const MOST = 1600; // pixels of the longer side on the page

export class Slot {
  /** @param {string} invitation what the empty place says */
  constructor(invitation) {
    this.picture = element("canvas", { class: "picture", role: "img", hidden: "" });
    this.video = element("video", { class: "picture", "aria-label": "What the camera sees", hidden: "", playsinline: "", muted: "" });
    this.video.muted = true;
    this.over = element("canvas", { class: "over", "aria-hidden": "true" });
    const icon = shape("svg", { "aria-hidden": "true" }, shape("use", { href: "icons.svg#picture" }));
    this.empty = element("div", { class: "empty" }, icon, element("p", {}, invitation));
    const view = element("div", { class: "view" }, this.picture, this.video, this.over);
    this.element = element("div", { class: "slot" }, this.empty, view);
    this.invitation = invitation;
    this.size = null;
    this.marks = {};
    new ResizeObserver(() => this.draw()).observe(view);
  }

  /** Show a picture or a frame of the camera, standing still; `name` is for those who do not see it. */
  showStill(source, width, height, name) {
    this.picture.setAttribute("aria-label", name);
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

  /** Of several places, say whether it is the one that is filled next. */
  choose(next) {
    this.element.classList.toggle("active", next);
    this.element.setAttribute("aria-pressed", String(next));
    this.#name();
  }

  clear() {
    this.#show("empty", null);
  }

  /** Draw marks of draw.js over it, now and whenever it changes its size on the page. */
  draw(marks = this.marks) {
    this.marks = marks;
    drawMarks(this.over, this.size, marks);
  }

  /** A place that acts as a button hides from screen readers what is in it. */
  #name() {
    if (!this.element.hasAttribute("role")) return;
    const shown = this.video.hidden ? this.picture : this.video;
    this.element.setAttribute("aria-label", `${this.invitation}: ${this.size ? shown.getAttribute("aria-label") : "empty"}`);
  }

  #show(which, size) {
    for (const name of ["empty", "picture", "video"]) this[name].hidden = name !== which;
    this.size = size;
    this.#name();
    this.element.style.setProperty("--ratio", size ? size.width / size.height : 1);
    this.draw({});
  }
}
