// What the model costs and how well it does, from model.json.

import { element, short } from "./dom.js";

export function factsOf(manifest) {
  const { about, file, preprocessing, precision } = manifest;
  const gate = about.gate;
  const { parameters, mult_adds: multAdds } = about.cost ?? {};
  const tiles = [[`${(file.bytes / 1e6).toFixed(2)} MB`, precision]];
  if (multAdds) tiles.unshift([short(multAdds), "mult-adds an image"]);
  if (parameters) tiles.unshift([short(parameters), "parameters"]);
  if (gate) tiles.push([metric(gate), `${gate.primary} on ${gate.pictures.toLocaleString("en")} of ${gate.split}`]);
  const rows = [
    ["Backbone", about.backbone],
    ["Task", manifest.task],
    ["Trained on", dataOf(about)],
    ["Looks at", `${preprocessing.width} × ${preprocessing.height} pixels, ${preprocessing.colours} (${preprocessing.fit})`],
    ["Made by", `mobilevision ${manifest.mobilevision}, ${String(about.made ?? "").slice(0, 10)}`],
  ];
  if (gate) rows.push(["Agrees with its checkpoint", `${(gate.agreement * 100).toFixed(1)} % (${gate.agreement_of})`]);
  return [
    element("h2", {}, "The model"),
    element("div", { class: "tiles" }, ...tiles.map(([value, name]) => tile(value, name))),
    element("details", {}, element("summary", {}, "More about it"), list(rows), classList(manifest)),
  ];
}

/** The data's name without how it was found: "Auto (clothing)" is clothing, of several parts each one's. */
export function dataOf(about) {
  return (about.data?.name ?? "").replace(/(^|: )[^(),:]+ \(([^)]+)\)(?=, |$)/g, "$1$2");
}

function metric({ artifact, primary }) {
  const value = artifact?.[primary];
  return typeof value === "number" ? value.toFixed(3) : "?";
}

function tile(value, name) {
  return element("div", { class: "tile" }, element("strong", {}, value), element("span", {}, name));
}

function list(rows) {
  const shown = rows.filter(([, value]) => value);
  return element("dl", {}, ...shown.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

function classList({ answer, classes }) {
  if (!classes.length || ["embedding", "places"].includes(answer)) return "";
  const names = classes.map((name) => name.replaceAll("_", " ")).join(", ");
  return element("p", { class: "quiet small" }, `Knows ${classes.length}: ${names}.`);
}
