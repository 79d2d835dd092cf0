// The page: loads the model, takes pictures from wherever they come, and shows what the model says.

import { answerOf, loadPlugins } from "./answers/index.js";
import { decode } from "./decode.js";
import { element, milliseconds, pressable } from "./dom.js";
import { Engine } from "./engine.js";
import { showExamples } from "./examples.js";
import { dataOf, factsOf } from "./facts.js";
import { frame } from "./framing.js";
import { GpuSwitch, haveGpu } from "./gpu.js";
import { listen } from "./inputs.js";
import { Live } from "./live.js";
import { readManifest } from "./manifest.js";
import { Model } from "./model.js";
import { keepOffline } from "./offline.js";
import { PlainError } from "./plain_error.js";
import { Slot } from "./slot.js";

const by = (id) => document.getElementById(id);
const model = new Model();
const engine = new Engine(model, (state) => offered?.tell(state));
let manifest, answer, live, threads, offered, shown;
let [slots, results, active, asked, running] = [[], [], 0, 0, 0];

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
  if (await haveGpu()) offerGpu();
}

/** The picture that is shown is looked at again, by whoever answers then. */
function offerGpu() {
  const again = () => (shown && !live.on && slots.length === 1 ? take(shown) : null);
  const turnOn = async () => {
    await engine.useGpu(manifest, () => {});
    await again();
  };
  const turnOff = () => {
    engine.useCpu();
    again();
  };
  offered = new GpuSwitch(by("gpu"), { turnOn, turnOff });
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
  slots.forEach((slot, place) => {
    if (slots.length === 1) slot.element.addEventListener("click", () => tapped(place)); // "Choose" is for the keyboard
    else pressable(slot.element, () => tapped(place));
  });
  const last = slots.length - 1;
  live = new Live(slots[last], { guarded, ask: (picture) => look(last, picture), cleared: () => forget(last), redraw, say });
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
  if (slots.length > 1) slots.forEach((slot, other) => slot.choose(other === place));
}

/** Show a picture file, or the one that a promise brings, and ask the model. */
async function take(given) {
  live.stop();
  const [place, mine] = [active, ++asked];
  const wanted = () => mine === asked || slots.length > 1; // else a later one was quicker
  await guarded(async () => {
    busy(1);
    try {
      const blob = await given;
      const { bitmap, ...picture } = await decode(blob);
      if (!wanted()) return;
      shown = blob;
      slots[place].showStill(bitmap, bitmap.width, bitmap.height, blob.name ?? "An image");
      bitmap.close();
      results[place] = null;
      if (slots.length > 1) choose((place + 1) % slots.length);
      const result = await engine.run(picture);
      if (!wanted()) return;
      tell(place, result);
      say(headlines() || "The answer is there.");
    } catch (error) {
      if (!wanted()) return;
      forget(place);
      throw error;
    } finally {
      busy(-1);
    }
  });
}

/** Ask the model of a frame of the camera. */
async function look(place, picture) {
  const mine = asked;
  const result = await engine.run(picture);
  if (live.on && mine === asked) tell(place, result);
}

function tell(place, result) {
  results[place] = result;
  by("answer").hidden = false;
  answer.update(results);
  redraw();
  showTiming(result);
}

/** Nothing is known of a place any more: no answer stays that belongs to another picture. */
function forget(place) {
  results[place] = shown = null;
  slots[place].clear();
  const some = results.some(Boolean);
  if (some) answer.update(results);
  by("answer").hidden = !some;
  by("timing").hidden = !some;
}

/** Of how many pictures the model has still to say something. */
function busy(change) {
  running += change;
  by("busy").hidden = !running;
  by("answer").parentElement.setAttribute("aria-busy", String(running > 0));
  if (change > 0) say("Looking at the image …");
}

/** For those who hear the page. */
function say(text) {
  by("status").textContent = text;
}

function headlines() {
  const lines = [...by("answer").querySelectorAll(".headline")];
  return lines.map((line) => Array.from(line.children, (part) => part.textContent).join(" ").trim()).join("; ");
}

function redraw() {
  slots.forEach((slot, place) => {
    if (!slot.size || !results[place]) return;
    const { box } = frame(slot.size, manifest.preprocessing);
    slot.draw({ seen: box, ...answer.marks?.(results[place]) });
  });
}

function showTiming({ milliseconds: { model: time, preparation }, by: whose }) {
  const runs = whose === "GPU" ? ["WebGPU", "runs it"] : [threads, threads === 1 ? "thread" : "threads"];
  const rows = [[milliseconds(time), "model"], [milliseconds(preparation), "preparation"], runs];
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
  by("trouble").scrollIntoView({ block: "nearest" });
  say("");
}

start().catch((error) => {
  by("loading").hidden = true;
  document.documentElement.dataset.ready = "no";
  trouble(error);
});
