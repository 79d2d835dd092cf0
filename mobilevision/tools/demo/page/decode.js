// From a picture file to pixels, upright and with the numbers that stand in the file.

import { PlainError } from "./plain_error.js";

const AS_STORED = { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" };

/** @returns {Promise<{bitmap: ImageBitmap, data: Uint8ClampedArray, width: number, height: number}>} RGBA */
export async function decode(blob) {
  const bitmap = await createImageBitmap(blob, AS_STORED).catch(() => createImageBitmap(blob)).catch(() => null);
  if (!bitmap) {
    throw new PlainError(`The browser cannot read ${blob.name ?? "this image"}: JPEG, PNG and WebP work everywhere.`);
  }
  const found = pixelsOf(bitmap, bitmap.width, bitmap.height);
  return { bitmap, ...found, data: (hasAlpha(found.data) && asStored(bitmap)) || found.data };
}

function hasAlpha(data) {
  for (let at = 3; at < data.length; at += 4) if (data[at] !== 255) return true;
  return false;
}

/** The bytes of a picture with alpha: a canvas loses the colours of what is transparent, a texture keeps them. */
function asStored(bitmap) {
  const { width, height } = bitmap;
  const gl = document.createElement("canvas").getContext("webgl");
  if (!gl || Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return null;
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, gl.getParameter(gl.TEXTURE_BINDING_2D), 0);
  const data = new Uint8Array(4 * width * height);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, data);
  const failed = gl.getError() !== gl.NO_ERROR;
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return failed ? null : new Uint8ClampedArray(data.buffer);
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
    throw new PlainError(`The image (${width} x ${height}) is too large for this browser.`);
  }
}
