// Getting large files with their progress, and knowing them.

import { PlainError } from "./plain_error.js";

/** All bytes of a file; `say` hears the share that has come, `length` is how many are expected. */
export async function download(url, say, length = 0) {
  const name = url.split("/").slice(-2).join("/");
  const found = await fetch(url).catch(() => null);
  if (!found?.ok) throw new PlainError(`${name} is not there: copy the whole folder of this page again.`);
  const expected = length || Number(found.headers.get("content-length")) || 0;
  const [parts, reader] = [[], found.body.getReader()];
  let come = 0;
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    parts.push(value);
    come += value.length;
    say(expected ? Math.min(come / expected, 1) : 0);
  }
  say(1);
  const bytes = new Uint8Array(come);
  parts.reduce((at, part) => (bytes.set(part, at), at + part.length), 0);
  return bytes;
}

/** As hexadecimal digits; null where the browser keeps hashing for secure pages. */
export async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) return null;
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whether the browser takes vector instructions: the least module with one of them. */
export function haveSimd() {
  const head = [0, 97, 115, 109, 1, 0, 0, 0];
  const type = [1, 5, 1, 96, 0, 1, 123]; // a function that returns a vector
  const declared = [3, 2, 1, 0];
  const code = [10, 8, 1, 6, 0, 65, 0, 253, 15, 11]; // a number, spread over the lanes of one
  return typeof WebAssembly === "object" && WebAssembly.validate(new Uint8Array([...head, ...type, ...declared, ...code]));
}
