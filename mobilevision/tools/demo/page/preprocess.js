// From a decoded picture to the model's input, as model.json pins it and mobilevision/deploy/preprocessing.py does it.

import { frame, toPicture } from "./framing.js";
import { resample } from "./resample.js";

/**
 * @param {{data: Uint8ClampedArray, width: number, height: number}} picture upright, RGBA
 * @param {object} how `preprocessing` of model.json, and perhaps `tallFirst` of resample
 * @returns {{pixels: Uint8Array, toPicture: object}} [channels, height, width], and the mapping back to the picture
 */
export function prepare(picture, how) {
  const lies = frame(picture, how);
  const { box, size, place } = lies;
  const part = {
    left: Math.max(box.x, 0),
    top: Math.max(box.y, 0),
    right: Math.min(box.x + box.width, picture.width),
    bottom: Math.min(box.y + box.height, picture.height),
  };
  const found = MODES[how.channels](picture, (pixels) => resample(pixels, part, size, how.tallFirst));
  const pixels = new Uint8Array(how.channels * how.height * how.width).fill(how.fill);
  for (let channel = 0; channel < how.channels; channel++) {
    for (let row = 0; row < size.height; row++) {
      const from = row * size.width;
      const to = (channel * how.height + place.top + row) * how.width + place.left;
      for (let x = 0; x < size.width; x++) pixels[to + x] = found.data[(from + x) * found.step + channel];
    }
  }
  return { pixels, toPicture: toPicture(lies) };
}

const MODES = { 1: grey, 3: colour, 4: transparent };

/** Grey first, as Pillow's "L", and resized then. */
function grey({ data, width, height }, resized) {
  const found = new Uint8ClampedArray(width * height);
  for (let k = 0, at = 0; k < found.length; k++, at += 4) {
    found[k] = (data[at] * 19595 + data[at + 1] * 38470 + data[at + 2] * 7471 + 0x8000) >> 16;
  }
  return { data: resized({ data: found, width, height, channels: 1 }), step: 1 };
}

/** Alpha is left out, whatever it hides. */
function colour({ data, width, height }, resized) {
  return { data: resized({ data, width, height, channels: 4 }), step: 4 };
}

/** With alpha, colours are resized by how much they show: multiplied before, divided after. */
function transparent({ data, width, height }, resized) {
  const shown = new Uint8ClampedArray(data.length);
  for (let at = 0; at < data.length; at++) {
    const product = at % 4 === 3 ? 0 : data[at] * data[at | 3] + 128;
    shown[at] = at % 4 === 3 ? data[at] : ((product >> 8) + product) >> 8;
  }
  const found = resized({ data: shown, width, height, channels: 4 });
  const same = found === shown; // nothing was resized: the colours are as they were
  for (let at = 0; at < found.length; at++) {
    const alpha = found[at | 3];
    if (same) found[at] = data[at];
    else if (at % 4 !== 3 && alpha !== 0 && alpha !== 255) found[at] = Math.trunc((255 * found[at]) / alpha);
  }
  return { data: found, step: 4 };
}
