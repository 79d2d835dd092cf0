// Pillow's resize with BILINEAR, to the bit: antialiased, one axis after the other, in whole numbers.
// A picture is {data, width, height, channels}, its bytes interleaved.

const BITS = 22; // 32 bits less 8 of a pixel and 2 for sums beyond it
const HALF = 1 << (BITS - 1);

/**
 * A part of a picture, resized.
 * @param {{left: number, top: number, right: number, bottom: number}} part in pixels, fractions allowed
 * @param {{width: number, height: number}} size
 * @param {boolean} tallFirst whether a picture that loses much more height than width loses its height first: Pillow
 *   does so from 13 on, and up to 12 always began with the width; bytes may differ by one
 * @returns {Uint8ClampedArray} [height, width, channels]
 */
export function resample(picture, part, size, tallFirst = true) {
  const [left, top, right, bottom] = [part.left, part.top, part.right, part.bottom].map(Math.fround);
  const wide = left !== 0 || right !== size.width || size.width !== picture.width;
  const high = top !== 0 || bottom !== size.height || size.height !== picture.height;
  const lost = { width: picture.width - size.width, height: picture.height - size.height };
  const width = (from) => (wide ? narrowed(from, weights(from.width, left, right, size.width)) : from);
  const height = (from) => (high ? lowered(from, weights(from.height, top, bottom, size.height)) : from);
  if (tallFirst && lost.height > 0 && lost.height > 2 * lost.width) return width(height(picture)).data;
  return height(width(picture)).data;
}

/** What each output along one axis is made of: its first input, and whole-numbered weights from there on. */
function weights(length, from, to, outputs) {
  const scale = Math.fround(to - from) / outputs;
  const reach = Math.max(scale, 1);
  const size = Math.ceil(reach) * 2 + 1;
  const made = { first: new Int32Array(outputs), counts: new Int32Array(outputs), size };
  made.table = new Int32Array(outputs * size);
  for (let place = 0; place < outputs; place++) {
    const centre = from + (place + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const count = Math.min(Math.trunc(centre + reach + 0.5), length) - start;
    const shares = Array.from({ length: count }, (_, k) => triangle((k + start - centre + 0.5) * (1 / reach)));
    const total = shares.reduce((sum, share) => sum + share, 0) || 1;
    made.first[place] = start;
    made.counts[place] = count;
    shares.forEach((share, k) => {
      made.table[place * size + k] = Math.trunc(0.5 + (share / total) * (1 << BITS));
    });
  }
  return made;
}

function triangle(x) {
  return Math.max(0, 1 - Math.abs(x));
}

/** Each row made shorter or longer. */
function narrowed({ data, width, height, channels }, { first, counts, table, size }) {
  const columns = first.length;
  const found = new Uint8ClampedArray(columns * height * channels);
  let to = 0;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < columns; column++) {
      const from = (row * width + first[column]) * channels;
      for (let channel = 0; channel < channels; channel++) {
        found[to++] = summed(data, from + channel, channels, table, column * size, counts[column]);
      }
    }
  }
  return { data: found, width: columns, height, channels };
}

/** Each column made shorter or longer. */
function lowered({ data, width, channels }, { first, counts, table, size }) {
  const [rows, line] = [first.length, width * channels];
  const found = new Uint8ClampedArray(rows * line);
  let to = 0;
  for (let row = 0; row < rows; row++) {
    const from = first[row] * line;
    for (let at = 0; at < line; at++) {
      found[to++] = summed(data, from + at, line, table, row * size, counts[row]);
    }
  }
  return { data: found, width, height: rows, channels };
}

function summed(data, from, step, table, row, count) {
  let sum = HALF;
  for (let k = 0, at = from; k < count; k++, at += step) sum += data[at] * table[row + k];
  return sum >> BITS;
}
