// model.json: read, and refused in one line where this page does not know what it asks for.

import { PlainError } from "./plain_error.js";

const VERSION = 1; // as mobilevision/deploy/manifest.py counts
const PINNED = { exif: "upright", resize: "bilinear", antialias: true, resize_in: "uint8" };
const NEEDED = ["answer", "file", "input", "preprocessing", "outputs", "classes", "decision", "facts", "about"];

export async function readManifest(url) {
  const found = await fetch(url, { cache: "no-cache" }).catch(() => null);
  if (!found?.ok) throw new PlainError("model/model.json is not there: copy the whole folder of this page again.");
  const manifest = await found.json().catch(() => {
    throw new PlainError("model/model.json is not readable: copy the whole folder of this page again.");
  });
  check(manifest);
  return manifest;
}

function check(manifest) {
  const version = manifest?.mobilevision_artifact;
  if (!Number.isInteger(version)) throw new PlainError("model/model.json was not written by mobilevision export.");
  if (version > VERSION) {
    const made = `mobilevision ${manifest.mobilevision ?? "?"}, format ${version}`;
    throw new PlainError(`The model was made by ${made}; this page reads up to format ${VERSION}: make it again.`);
  }
  const missing = NEEDED.filter((name) => !(name in manifest));
  if (missing.length) throw new PlainError(`model/model.json lacks ${missing.join(", ")}: export the model again.`);
  if (manifest.format !== "onnx") throw new PlainError(`The model is in the format ${manifest.format}, not onnx.`);
  const how = manifest.preprocessing;
  const other = Object.keys(PINNED).filter((name) => how[name] !== PINNED[name]);
  if (!["crop", "stretch", "letterbox"].includes(how.fit)) other.push("fit");
  if (![1, 3, 4].includes(how.channels)) other.push("channels");
  if (other.length) {
    const asked = other.map((name) => `${name} = ${how[name]}`).join(", ");
    throw new PlainError(`The model asks for images prepared in a way that this page does not know (${asked}).`);
  }
}
