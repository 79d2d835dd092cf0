"""WebGPU on the page: it answers where it says what the CPU says, and the page tells who answers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from mobilevision.exporting.command import export
from mobilevision.tools.demo.files import write_page
from mobilevision.tools.demo.runtime import FILES, Runtime
from tests.tools.demo.conftest import Serve

# An engine with models that are told what they say; gives who answered each picture, and what the page was told.
PLAY = """async ([cpu, gpu, pictures]) => {
  const { Engine } = await import("./engine.js");
  const told = [];
  const model = (answers) => ({
    load: async () => { if (answers === null) throw new Error("no device"); },
    run: async ({ data }) => {
      if (data.length !== 4) throw new Error("bytes are gone");
      structuredClone(data, { transfer: [data.buffer] });
      const outputs = answers.shift();
      if (typeof outputs === "string") throw new Error(outputs);
      return { outputs: structuredClone(outputs) };
    },
    end: () => {},
  });
  const engine = new Engine(model(cpu), ({ on, text }) => told.push([on, text]), () => model(gpu));
  await engine.useGpu({}, () => {});
  const who = [];
  for (let k = 0; k < pictures; k++) who.push((await engine.run({ data: new Uint8ClampedArray(4) })).by);
  return [who, told.at(-1)];
}"""
SAME = {"probabilities": [0.2, 0.8]}
CLOSE = {"probabilities": [0.2004, 0.7996]}
OTHER = {"probabilities": [0.21, 0.79]}
NOTHING = {"probabilities": [float("nan"), 0.8]}
FOUND = {"car/scores": [0.9, 0.001, 0.001], "car/labels": [1, 2, 3], "car/boxes": [10, 10, 90, 90, *range(8)]}
TIES = {"car/scores": [0.9, 0.001, 0.001], "car/labels": [1, 3, 2], "car/boxes": [10.05, 10, 90, 90, *range(8, 16)]}
SCORED = {**FOUND, "car/scores": [0.9, 0.001, 0.1]}
MOVED = {**FOUND, "car/boxes": [11, 10, 90, 90, *range(8)]}


@pytest.mark.parametrize(
    ("cpu", "gpu", "who", "said"),
    [
        ([SAME], [SAME, OTHER], ["GPU", "GPU"], "The GPU answers"),
        ([SAME], [CLOSE, SAME], ["GPU", "GPU"], "(difference: 4e-4)"),
        ([SAME, SAME], [OTHER], ["CPU", "CPU"], "says something else (difference: 1e-2)"),
        ([SAME, SAME], [NOTHING], ["CPU", "CPU"], "says something else"),
        ([SAME, SAME], None, ["CPU", "CPU"], "the GPU cannot (no device)"),
        ([SAME, SAME], ["device lost"], ["CPU", "CPU"], "the GPU failed (device lost)"),
        ([SAME, SAME, SAME], [SAME, "device lost"], ["GPU", "CPU", "CPU"], "the GPU failed (device lost)"),
        ([FOUND], [TIES], ["GPU"], "The GPU answers"),
        ([FOUND], [SCORED], ["CPU"], "says something else"),
        ([FOUND], [MOVED], ["CPU"], "says something else"),
    ],
)
def test_who_answers(page: Any, cpu: Any, gpu: Any, who: list[str], said: str) -> None:
    found, (on, text) = page.evaluate(PLAY, [cpu, gpu, len(who)])
    assert found == who
    assert said in text
    assert on == (who[-1] == "GPU")
    assert text.startswith(f"The {who[-1]} answers")


@pytest.mark.slow
def test_a_gpu_says_what_the_cpu_says(
    trained: Path, coloured: Path, runtime: Runtime, gpu_browser: Any, serve: Serve, tmp_path: Path
) -> None:
    if runtime.files == FILES:
        pytest.skip("needs the runtime's build for WebGPU")
    export(trained, out=tmp_path / "model", gate_samples=0)
    (tmp_path / "pictures").mkdir()
    shutil.copy(coloured / "test" / "red" / "0.png", tmp_path / "pictures" / "0.png")
    write_page(tmp_path / "page", tmp_path / "model", runtime, examples=tmp_path / "pictures")
    page = gpu_browser.new_page(service_workers="block")
    page.goto(serve(tmp_path / "page"))
    page.wait_for_selector("html[data-ready=yes]", timeout=60_000)
    page.wait_for_selector(".headline strong:visible")
    before = page.inner_text("#answer")
    if not page.evaluate("navigator.gpu?.requestAdapter().then(Boolean)"):
        pytest.skip("this Chromium has no WebGPU")
    page.click("#gpu button")
    page.wait_for_selector("#gpu:has-text('The GPU answers')", timeout=120_000)
    page.wait_for_selector(".timing dd:text-is('WebGPU')")
    assert page.inner_text("#answer") == before
    page.click("#gpu button")
    page.wait_for_selector("#gpu:has-text('The CPU answers')")
    page.wait_for_selector(".timing dt:has-text('thread')")
    page.close()
