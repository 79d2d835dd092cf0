// What is drawn over a picture: the part that the model looks at, layers, lines, points, and boxes with their names, best first.

const COLOURS = ["#2f6fde", "#c4500c", "#18814f", "#c2378a", "#7a5cd6", "#8f7009", "#117d93", "#d33b3b"]; // white is read on each
const TALL = 22; // pixels of a name
const LETTERS = "600 13px system-ui, sans-serif";

export function colourOf(label) {
  return COLOURS[label % COLOURS.length];
}

/**
 * @param {HTMLCanvasElement} canvas that lies over the picture and has its shape
 * @param {?{width: number, height: number, mirrored?: boolean}} picture in its own pixels
 * @param {{seen?: object, boxes?: {box: number[], text: string, colour: string}[],
 *   layers?: {image: CanvasImageSource, box: number[]}[], lines?: {from: number[], to: number[], colour: string}[],
 *   points?: {at: number[], colour: string}[]}} marks in the same pixels; a layer's image fills its box
 */
export function drawMarks(canvas, picture, { seen, boxes = [], layers = [], lines = [], points = [] }) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const dense = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [Math.round(width * dense), Math.round(height * dense)];
  if (!picture || !width) return;
  const context = canvas.getContext("2d");
  context.scale(dense, dense);
  const place = placed(picture, width, height);
  if (seen) drawSeen(context, place([seen.x, seen.y, seen.x + seen.width, seen.y + seen.height]), width, height);
  for (const layer of layers) drawLayer(context, layer, picture, width / picture.width, height / picture.height);
  const at = ([x, y]) => [(picture.mirrored ? picture.width - x : x) * (width / picture.width), y * (height / picture.height)];
  for (const { from, to, colour } of lines) drawLine(context, at(from), at(to), colour);
  for (const point of points) drawPoint(context, at(point.at), point.colour);
  for (const { box, colour } of [...boxes].reverse()) drawBox(context, place(box), colour);
  const taken = [];
  const sheet = { wide: width, high: height };
  for (const mark of boxes) taken.push(drawName(context, place(mark.box), mark, taken, sheet));
}

/** From pixels of the picture to those of the canvas, which may show a mirror of it. */
function placed({ width, height, mirrored }, wide, high) {
  return ([left, top, right, bottom]) => {
    const [x, y] = [wide / width, high / height];
    const [from, to] = mirrored ? [width - right, width - left] : [left, right];
    const within = (value, most) => Math.min(Math.max(value, 0), most);
    const [x0, x1] = [within(from * x, wide), within(to * x, wide)];
    const [y0, y1] = [within(top * y, high), within(bottom * y, high)];
    return { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
  };
}

/** An image over its box, which may reach beyond the picture. */
function drawLayer(context, { image, box: [left, top, right, bottom] }, { width, mirrored }, x, y) {
  context.save();
  if (mirrored) context.transform(-1, 0, 0, 1, width * x, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(image, left * x, top * y, (right - left) * x, (bottom - top) * y);
  context.restore();
}

function drawLine(context, from, to, colour) {
  context.lineCap = "round";
  for (const [wide, ink] of [[6, "rgb(255 255 255 / 55%)"], [3, colour]]) {
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    [context.lineWidth, context.strokeStyle] = [wide, ink];
    context.stroke();
  }
}

function drawPoint(context, [x, y], colour) {
  context.beginPath();
  context.arc(x, y, 4.5, 0, 2 * Math.PI);
  [context.fillStyle, context.strokeStyle, context.lineWidth] = [colour, "#fff", 1.5];
  context.fill();
  context.stroke();
}

/** What the model does not see is veiled. */
function drawSeen(context, { x, y, width, height }, wide, high) {
  if (width * height > 0.98 * wide * high) return;
  context.beginPath();
  context.rect(0, 0, wide, high);
  context.roundRect?.(x, y, width, height, 10);
  if (!context.roundRect) context.rect(x, y, width, height);
  context.fillStyle = "rgb(10 14 20 / 42%)";
  context.fill("evenodd");
}

function drawBox(context, { x, y, width, height }, colour) {
  context.lineWidth = 5;
  context.strokeStyle = "rgb(255 255 255 / 55%)";
  context.strokeRect(x, y, width, height);
  context.lineWidth = 2.5;
  context.strokeStyle = colour;
  context.strokeRect(x, y, width, height);
}

/** A name over its box, or where it covers no other name; gives the place that it took. */
function drawName(context, { x, y, height }, { text, colour }, taken, { wide, high }) {
  context.font = LETTERS;
  const room = context.measureText(text).width + 14;
  const left = Math.max(Math.min(x - 1, wide - room), 0);
  const tops = [y - TALL, y, y + height, y + height - TALL].filter((top) => top >= 0 && top + TALL <= high);
  const free = (top) => taken.every((other) => !overlap({ left, top, room }, other));
  const top = tops.find(free) ?? tops[0] ?? 0;
  context.fillStyle = colour;
  context.beginPath();
  if (context.roundRect) context.roundRect(left, top, room, TALL, 5);
  else context.rect(left, top, room, TALL);
  context.fill();
  context.fillStyle = "#fff";
  context.textBaseline = "middle";
  context.fillText(text, left + 7, top + TALL / 2 + 0.5);
  return { left, top, room };
}

function overlap(one, two) {
  const across = one.left < two.left + two.room && two.left < one.left + one.room;
  return across && Math.abs(one.top - two.top) < TALL;
}
