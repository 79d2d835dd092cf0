// Where the model runs, so that the page stays smooth: {id, kind, ...} comes in, {id, progress | done | error} goes out.

import { PlainError } from "./plain_error.js";
import { prepare } from "./preprocess.js";
import { download, haveSimd, sha256 } from "./download.js";

const MOST_THREADS = 4; // more hardly help models of this size
const near = (path) => new URL(path, import.meta.url).href;
const BUILDS = {
  wasm: { module: "ort.wasm.min.mjs", binary: "ort-wasm-simd-threaded" },
  webgpu: { module: "ort.jspi.min.mjs", binary: "ort-wasm-simd-threaded.jspi" },
};
const JOBS = { load, run };
let ort, session, manifest, how;

self.onmessage = async ({ data: { id, kind, ...rest } }) => {
  try {
    const done = await JOBS[kind](rest, (progress) => self.postMessage({ id, progress }));
    self.postMessage({ id, done });
  } catch (error) {
    self.postMessage({ id, error: String(error?.message ?? error), plain: error instanceof PlainError });
  }
};

async function load({ manifest: given, gpu }, say) {
  manifest = given;
  const pillow = Number.parseInt(manifest.about.versions?.pillow ?? "13", 10);
  how = { ...manifest.preprocessing, tallFirst: pillow >= 13 };
  if (!haveSimd()) {
    throw new PlainError(
      "This browser has no WebAssembly SIMD, which the model needs: Chrome 91, Firefox 89 and Safari 16.4 have it.",
    );
  }
  const build = BUILDS[gpu ? "webgpu" : "wasm"];
  const threads = self.crossOriginIsolated && !gpu ? Math.min(MOST_THREADS, navigator.hardwareConcurrency ?? 1) : 1;
  const part = { wasm: 0, model: 0 };
  const told = (name) => (share) => say({ ...part, [name]: (part[name] = share) });
  const [wasm, model] = await Promise.all([
    download(near(`runtime/${build.binary}.wasm`), told("wasm")),
    download(near(`model/${manifest.file.name}`), told("model"), manifest.file.bytes),
  ]);
  await checkModel(model);
  await start(build, wasm, threads);
  try {
    session = await ort.InferenceSession.create(model, { executionProviders: [gpu ? "webgpu" : "wasm"], logSeverityLevel: 3 });
  } catch (error) {
    throw new PlainError(`The browser's runtime cannot use the model: ${error.message}`);
  }
  const blank = { data: new Uint8ClampedArray(4 * 480 * 360), width: 480, height: 360 };
  await infer(prepare(blank, how).pixels); // the first time is slower, of both
  return { threads, version: ort.env.versions?.web ?? "" };
}

async function start({ module, binary }, wasm, threads) {
  try {
    ort = await import(`./runtime/${module}`);
  } catch {
    throw new PlainError(`runtime/${module} is not there: copy the whole folder of this page again.`);
  }
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = { mjs: near(`runtime/${binary}.mjs`) };
  ort.env.wasm.wasmBinary = wasm.buffer;
}

async function checkModel(bytes) {
  const { name, bytes: length, sha256: wanted } = manifest.file;
  const found = bytes.length === length ? await sha256(bytes) : "";
  if (found !== null && found !== wanted) {
    throw new PlainError(`model/${name} is not the file that model.json describes: copy the whole folder again.`);
  }
}

async function run({ picture }) {
  const begin = performance.now();
  const { pixels, toPicture } = prepare(picture, how);
  const ready = performance.now();
  const outputs = await infer(pixels);
  const end = performance.now();
  return { outputs, toPicture, milliseconds: { preparation: ready - begin, model: end - ready } };
}

/** Outputs of one picture by name, as plain or typed arrays without the batch. */
async function infer(pixels) {
  const { name, type } = manifest.input;
  const values = type === "float32" ? Float32Array.from(pixels) : pixels;
  const input = new ort.Tensor(type, values, [1, how.channels, how.height, how.width]);
  const found = await session.run({ [name]: input });
  const whole = (data) => (data instanceof BigInt64Array ? Array.from(data, Number) : data.slice());
  const outputs = Object.fromEntries(manifest.outputs.map((port) => [port.name, whole(found[port.name].data)]));
  for (const tensor of Object.values(found)) tensor.dispose();
  return outputs;
}
