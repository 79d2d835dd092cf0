// The live camera: on, off, the other one, and what it sees now.

import { pixelsOf } from "./decode.js";
import { PlainError } from "./plain_error.js";

const REFUSED = {
  NotAllowedError: "The camera was not allowed: the browser's settings for this page have a switch for it.",
  NotFoundError: "This device has no camera that the browser knows of.",
  NotReadableError: "Another program holds the camera.",
};

/** Why there can be no camera here, or "". */
export function noCamera() {
  if (!window.isSecureContext) return "The live camera needs HTTPS (or localhost); choosing an image works in any case.";
  return navigator.mediaDevices?.getUserMedia ? "" : "This browser gives pages no camera; choosing an image works.";
}

export class Camera {
  #video;
  #stream = null;
  #on = false;
  #facing = "environment";

  constructor(video) {
    this.#video = video;
  }

  /** From the start to the stop, also while it turns. */
  get on() {
    return this.#on;
  }

  /** Whether it looks at whoever holds the device, who expects a mirror. */
  get mirrored() {
    const facing = this.#stream?.getVideoTracks()[0]?.getSettings().facingMode;
    const handheld = matchMedia("(pointer: coarse)").matches; // a camera that does not say stands on a screen, else
    return (facing ?? (handheld ? this.#facing : "user")) === "user";
  }

  async start() {
    this.#on = true;
    const video = { facingMode: { ideal: this.#facing }, width: { ideal: 960 }, height: { ideal: 720 } };
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    } catch (error) {
      this.stop();
      throw new PlainError(REFUSED[error.name] ?? `The camera does not start: ${error.message}`);
    }
    this.#video.srcObject = this.#stream;
    await this.#video.play();
  }

  stop() {
    this.#on = false;
    this.#close();
  }

  #close() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = this.#video.srcObject = null;
  }

  async turn() {
    this.#facing = this.#facing === "user" ? "environment" : "user";
    this.#close(); // many phones open one at a time
    await this.start();
  }

  /** Whether there is another one to turn to. */
  async several() {
    const found = await navigator.mediaDevices.enumerateDevices();
    return found.filter((device) => device.kind === "videoinput").length > 1;
  }

  /** Pixels of this moment, {data, width, height}; null before the first. */
  frame() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    return this.#stream && width ? pixelsOf(this.#video, width, height) : null;
  }
}
