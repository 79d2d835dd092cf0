// The page: loads the model, takes pictures from wherever they come, and shows what the model says.

import { answerOf, loadPlugins } from "./answers/index.js";
import { decode } from "./decode.js";
import { element, milliseconds } from "./dom.js";
import { showExamples } from "./examples.js";
import { dataOf, factsOf } from "./facts.js";
import { frame } from "./framing.js";
import { listen } from "./inputs.js";
import { Live } from "./live.js";
import { readManifest } from "./manifest.js";
import { Model } from "./model.js";
import { keepOffline } from "./offline.js";
import { PlainError } from "./plain_error.js";
import { Slot } from "./slot.js";

const by = (id) => document.getElementById(id);
const model = new Model();
let manifest, answer, live, threads;
let [slots, results, active, asked] = [[], [], 0, 0];

async function start() {
  manifest = await readManifest("model/model.json");
  await loadPlugins();
  answer = answerOf(manifest, redraw);
  describe();
  makeSlots();
  const known = await model.load(manifest, progress);
  threads = known.threads;
  by("loading").hidden = true;
  by("answer").append(answer.element);
  listen({ take });
  live.buttons();
  by("stage").inert = false;
  document.documentElement.dataset.ready = "yes";
  await showExamples(by("examples"), take, answer.slots);
  const begun = asked;
  keepOffline(by("offline"), () => asked === begun && !live.on);
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
  const ways = touched ? "Choose an image" : "Choose, drop or paste an image";
  const invitation = `${ways}, or point the camera at something.`;
  const texts = answer.slots === 1 ? [invitation] : ["First image", "Second image"];
  slots = texts.map((text) => new Slot(text));
  results = slots.map(() => null);
  by("slots").classList.toggle("two", slots.length > 1);
  by("slots").replaceChildren(...slots.map((slot) => slot.element));
  slots.forEach((slot, place) => slot.element.addEventListener("click", () => tapped(place)));
  const last = slots.length - 1;
  live = new Live(slots[last], { guarded, ask: (picture) => look(last, picture), cleared: () => (results[last] = null), redraw });
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
  live.stop();
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

/** Ask the model of a frame of the camera. */
async function look(place, picture) {
  const mine = asked;
  const result = await model.run(picture);
  if (live.on && mine === asked) tell(place, result);
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
