// Where a picture comes to lie in the model's input: the same as mobilevision/images/framing.py.
// Sizes are {width, height}; a mapping takes x to x * scaleX + shiftX, and y likewise.

/** Python's round: halves go to the even neighbour. */
function round(value) {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** The part of a picture that is looked at, the size it is resized to, and its place in the input. */
export function frame(picture, how) {
  const input = { width: how.width, height: how.height };
  if (how.fit === "crop") return { box: centreBox(picture, input, how.crop), size: input, place: { left: 0, top: 0 } };
  const whole = { x: 0, y: 0, width: picture.width, height: picture.height };
  if (how.fit === "stretch") return { box: whole, size: input, place: { left: 0, top: 0 } };
  return { box: whole, ...fitted(picture, input) };
}

/** From pixels of the model's input to those of the picture. */
export function toPicture({ box, size, place }) {
  const [scaleX, scaleY] = [box.width / size.width, box.height / size.height];
  return { scaleX, scaleY, shiftX: box.x - place.left * scaleX, shiftY: box.y - place.top * scaleY };
}

/** A box [left, top, right, bottom] moved by a mapping. */
export function mapBox([left, top, right, bottom], { scaleX, scaleY, shiftX, shiftY }) {
  return [left * scaleX + shiftX, top * scaleY + shiftY, right * scaleX + shiftX, bottom * scaleY + shiftY];
}

function centreBox(picture, input, crop) {
  const scale = crop * Math.min(picture.height / input.height, picture.width / input.width);
  const [width, height] = [input.width * scale, input.height * scale];
  return { x: (picture.width - width) / 2, y: (picture.height - height) / 2, width, height };
}

function fitted(picture, input) {
  const scale = Math.min(input.height / picture.height, input.width / picture.width);
  const size = {
    width: Math.max(1, round(picture.width * scale)),
    height: Math.max(1, round(picture.height * scale)),
  };
  const place = {
    left: Math.floor((input.width - size.width) / 2),
    top: Math.floor((input.height - size.height) / 2),
  };
  return { size, place };
}
