// The page: loads the model, takes pictures from wherever they come, and shows what the model says.

import { answerOf } from "./answers/index.js";
import { Camera, noCamera } from "./camera.js";
import { decode } from "./decode.js";
import { element, milliseconds } from "./dom.js";
import { showExamples } from "./examples.js";
import { dataOf, factsOf } from "./facts.js";
import { frame } from "./framing.js";
import { listen } from "./inputs.js";
import { readManifest } from "./manifest.js";
import { Model } from "./model.js";
import { keepOffline } from "./offline.js";
import { PlainError } from "./plain_error.js";
import { Slot } from "./slot.js";

const by = (id) => document.getElementById(id);
const model = new Model();
let manifest, answer, camera, threads;
let [slots, results, active, asked] = [[], [], 0, 0];

async function start() {
  manifest = await readManifest("model/model.json");
  answer = answerOf(manifest, redraw);
  describe();
  makeSlots();
  const known = await model.load(manifest, progress);
  threads = known.threads;
  by("loading").hidden = true;
  by("answer").append(answer.element);
  listen({ take });
  cameraButtons();
  by("stage").inert = false;
  document.documentElement.dataset.ready = "yes";
  await showExamples(by("examples"), take, answer.slots);
  const begun = asked;
  keepOffline(by("offline"), () => asked === begun && !camera.on);
}

function describe() {
  const { about } = manifest;
  by("title").textContent = answer.question;
  const data = dataOf(about);
  by("subtitle").textContent = [about.backbone, data && `trained on ${data}`].filter(Boolean).join(" · ");
  document.title = [answer.question, about.backbone].filter(Boolean).join(" ");
  by("facts").replaceChildren(...factsOf(manifest));
  by("facts").hidden = false;
}

function makeSlots() {
  const touched = matchMedia("(pointer: coarse)").matches;
  const ways = touched ? "Choose a picture" : "Choose, drop or paste a picture";
  const invitation = `${ways}, or point the camera at something.`;
  const texts = answer.slots === 1 ? [invitation] : ["First picture", "Second picture"];
  slots = texts.map((text) => new Slot(text));
  results = slots.map(() => null);
  by("slots").classList.toggle("two", slots.length > 1);
  by("slots").replaceChildren(...slots.map((slot) => slot.element));
  slots.forEach((slot, place) => slot.element.addEventListener("click", () => tapped(place)));
  camera = new Camera(slots.at(-1).video);
  choose(0);
}

/** An empty place asks for a picture; a full one of several becomes the next to be filled. */
function tapped(place) {
  const wasActive = place === active || slots.length === 1;
  choose(place);
  if (!slots[place].size && wasActive) by("file").click();
}

function choose(place) {
  active = place;
  slots.forEach((slot, other) => slot.element.classList.toggle("active", slots.length > 1 && other === place));
}

/** Show a picture file, and ask the model. */
async function take(blob) {
  stopCamera();
  const [place, mine] = [active, ++asked];
  await guarded(async () => {
    const { bitmap, ...picture } = await decode(blob);
    if (mine !== asked && slots.length === 1) return; // a later one was quicker
    slots[place].showStill(bitmap, bitmap.width, bitmap.height);
    bitmap.close();
    results[place] = null;
    if (slots.length > 1) choose((place + 1) % slots.length);
    const result = await model.run(picture);
    if (mine === asked || slots.length > 1) tell(place, result);
  });
}

function tell(place, result) {
  results[place] = result;
  by("answer").hidden = false;
  answer.update(results);
  redraw();
  showTiming(result.milliseconds);
}

function redraw() {
  slots.forEach((slot, place) => {
    if (!slot.size || !results[place]) return;
    const { box } = frame(slot.size, manifest.preprocessing);
    slot.draw({ seen: box, ...answer.marks?.(results[place]) });
  });
}

function showTiming({ model: time, preparation }) {
  const rows = [[milliseconds(time), "model"], [milliseconds(preparation), "preparation"], [threads, threads === 1 ? "thread" : "threads"]];
  by("timing").hidden = false;
  const cells = rows.map(([value, name]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  by("timing").replaceChildren(...cells);
}

function progress({ wasm, model: share }) {
  const done = (wasm + share) / 2;
  by("progress").value = done;
  by("loading-text").textContent = done < 1 ? "Loading runtime and model …" : "Starting the model …";
}

function cameraButtons() {
  const why = noCamera();
  by("camera").disabled = why !== "";
  by("hint").textContent = why;
  by("hint").hidden = !why;
  by("camera").addEventListener("click", () => guarded(() => (camera.on ? stopCamera(true) : live())));
  by("turn").addEventListener("click", () => guarded(() => camera.turn()));
  by("hold").addEventListener("click", () => stopCamera(false));
}

async function live() {
  await camera.start();
  cameraShown(true);
  by("turn").hidden = !(await camera.several());
  try {
    await watch(slots.length - 1);
  } finally {
    stopCamera();
  }
}

/** Ask the model of one frame after the other until the camera is off. */
async function watch(place) {
  while (camera.on) {
    const [picture, mine] = [camera.frame(), asked];
    if (picture) {
      slots[place].showCamera(camera.mirrored);
      const result = await model.run(picture);
      if (camera.on && mine === asked) tell(place, result);
    }
    await new Promise(requestAnimationFrame);
  }
}

/** Stop it, and leave either the last frame or an empty place. */
function stopCamera(clear = true) {
  if (document.documentElement.dataset.camera !== "on") return;
  const [slot, place] = [slots.at(-1), slots.length - 1];
  const { videoWidth, videoHeight } = slot.video;
  if (clear || !videoWidth) {
    slot.clear();
    results[place] = null;
  } else {
    slot.showStill(slot.video, videoWidth, videoHeight);
    redraw();
  }
  camera.stop();
  cameraShown(false);
}

function cameraShown(on) {
  const [icon, text] = [by("camera").querySelector("use"), by("camera").querySelector("span")];
  icon.setAttribute("href", `icons.svg#${on ? "stop" : "camera"}`);
  text.textContent = on ? "Stop" : "Camera";
  by("camera").classList.toggle("on", on);
  by("hold").hidden = !on;
  by("file").parentElement.hidden = on;
  by("turn").hidden ||= !on;
  document.documentElement.dataset.camera = on ? "on" : "off";
}

/** Say what went wrong where everybody sees it. */
async function guarded(work) {
  by("trouble").hidden = true;
  try {
    await work();
  } catch (error) {
    trouble(error);
  }
}

function trouble(error) {
  if (!(error instanceof PlainError)) console.error(error);
  by("trouble").textContent = error instanceof PlainError ? error.message : `Something went wrong: ${error.message}`;
  by("trouble").hidden = false;
}

start().catch((error) => {
  by("loading").hidden = true;
  document.documentElement.dataset.ready = "no";
  trouble(error);
});
