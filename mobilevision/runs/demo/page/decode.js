// From a picture file to pixels, upright and with the numbers that stand in the file.

import { PlainError } from "./plain_error.js";

const AS_STORED = { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" };

/** @returns {Promise<{bitmap: ImageBitmap, data: Uint8ClampedArray, width: number, height: number}>} RGBA */
export async function decode(blob) {
  const bitmap = await createImageBitmap(blob, AS_STORED).catch(() => createImageBitmap(blob)).catch(() => null);
  if (!bitmap) {
    throw new PlainError(`The browser cannot read ${blob.name ?? "this picture"}: JPEG, PNG and WebP work everywhere.`);
  }
  return { bitmap, ...pixelsOf(bitmap, bitmap.width, bitmap.height) };
}

/** The pixels of anything that can be drawn. */
export function pixelsOf(source, width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  try {
    context.drawImage(source, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    return { data, width, height };
  } catch {
    throw new PlainError(`The picture (${width} x ${height}) is too large for this browser.`);
  }
}
