"""Files for microcontrollers: what the interpreter of boards says of them, and the C++ beside them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mobilevision.cost import Cost
from mobilevision.deploy.formats import FORMATS
from mobilevision.deploy.formats.micro import HEADER, SOURCE, Micro, register_call, write_source
from mobilevision.deploy.graph import Graph
from mobilevision.deploy.precision import Precision
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.errors import UserError

ABOUT: dict[str, Any] = {
    "arena_bytes": 65_920,
    "input": {"type": "int8", "shape": [1, 64, 48, 3]},
    "outputs": [{"type": "int8", "shape": [1, 2], "scale": 0.00390625, "zero_point": -128}],
    "operators": {"CONV_2D": 14, "FULLY_CONNECTED": 1, "RESIZE_NEAREST_NEIGHBOR": 1, "BATCH_MATMUL": 1},
}
LOOK = Preprocessing("crop", 0.875, 3, 64, 48)
HOSTILE = 'a "quoted" \\ name??/\n}; // 猫'
NO_LIBRARY = """#define TENSORFLOW_LITE_MICRO_MICRO_MUTABLE_OP_RESOLVER_H_
enum TfLiteStatus { kTfLiteOk, kTfLiteError };
namespace tflite { template <unsigned int N> struct MicroMutableOpResolver {
  int calls = 0; TfLiteStatus add() { return ++calls <= (int)N ? kTfLiteOk : kTfLiteError; }
  TfLiteStatus AddConv2D() { return add(); } TfLiteStatus AddFullyConnected() { return add(); }
  TfLiteStatus AddResizeNearestNeighbor() { return add(); } TfLiteStatus AddBatchMatMul() { return add(); }
}; }
"""
PROGRAM = """#include "model_data.h"
#include <cstdio>
int main() {
  tflite::MicroMutableOpResolver<kOperators> resolver;
  if (RegisterOperators(resolver) != kTfLiteOk) return 1;
  unsigned sum = 0;
  for (int i = 0; i < kModelBytes; i++) sum += kModelData[i];
  std::printf("%d %d %d %d %d %u ", kHeight, kWidth, kChannels, kArenaBytes, kClasses, sum);
  for (const char* name : kClassNames) for (const char* c = name; *c; c++) std::printf("%02x", (unsigned char)*c);
}
"""


def test_names_of_the_resolvers_functions() -> None:
    assert register_call("DEPTHWISE_CONV_2D") == "AddDepthwiseConv2D"
    assert register_call("PADV2") == "AddPadV2"
    assert register_call("L2_NORMALIZATION") == "AddL2Normalization"


@pytest.mark.skipif(which("g++") is None, reason="there is no C++ compiler (g++)")
def test_the_source_compiles_and_holds_what_the_file_holds(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5 + b"end"
    (tmp_path / "model.tflite").write_bytes(data)
    write_source(tmp_path / "model.tflite", ABOUT, LOOK, ["disk", HOSTILE])
    library = tmp_path / "tensorflow" / "lite" / "micro"
    library.mkdir(parents=True)
    (library / "micro_mutable_op_resolver.h").write_text(NO_LIBRARY)
    (tmp_path / "main.cc").write_text(PROGRAM)
    words = ["g++", "-std=c++17", "-Wall", "-Werror", "-I.", "main.cc", SOURCE, "-o", "program"]
    subprocess.run(words, cwd=tmp_path, check=True)
    said = subprocess.run(["./program"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout.split()
    assert said[:6] == ["64", "48", "3", "65920", "2", str(sum(data))]
    assert bytes.fromhex(said[6]).decode() == "disk" + HOSTILE


def test_the_header_says_what_numbers_mean(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"x")
    write_source(tmp_path / "model.tflite", ABOUT, LOOK, [])
    text = (tmp_path / HEADER).read_text(encoding="utf-8")
    assert "(v - -128) * 0.00390625" in text
    assert 'kFit = "crop"' in text
    assert "kCrop = 0.875" in text
    assert "a pixel of 0 to 255 goes in as its value less 128" in text


# With the converter and the interpreter.


@pytest.fixture(autouse=True)
def _needed(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("slow"):
        try:
            FORMATS["micro"].can_write("int8")
        except UserError as error:
            pytest.skip(str(error))


def task_of(*words: str) -> Any:
    """An untrained task whose batch norms know what passes through them."""
    from mobilevision.config.compose import compose
    from mobilevision.engine.build import build

    torch.manual_seed(0)
    task = build(compose([*words, "data.resolution=64", "backbone.width=0.25"])).task
    for module in task.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        task.train()(torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8))
    return task.eval()


def written(task: Any, folder: Path, *, most_arena: int | None = None) -> tuple[Graph, Micro]:
    form, graph = Micro(most_arena), Graph(task, shape=(3, 64, 64), raw=task.raw_answers is not None)
    form.write(graph, folder / form.file, Precision("int8", graph.example(3).numpy()))
    return graph, form


WORDS = {
    "classification": ["task=classification"],
    "attributes": ["task=face_attributes"],
    "embedding": ["task=face_embedding"],
    "ssd": ["task=detection", "head=ssd"],  # 1.7 MB: the quantizer appends its weights behind the FlatBuffer
    "one_to_one": ["task=detection", "head=picodet", "head.one_to_one=true"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WORDS)
def test_it_answers_as_litert_does_without_delegates(name: str, tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    graph, form = written(task_of(*WORDS[name]), tmp_path)
    about = form.about(tmp_path / form.file)["micro"]
    assert about["input"] == {
        **{"type": "int8", "shape": [1, 64, 64, 3], "scale": pytest.approx(1.0), "zero_point": -128},
        **{"layout": "NHWC", "values": "pixel - 128"},
    }
    runner, images = form.open(tmp_path / form.file, outputs=graph.names), graph.example(3).numpy()
    found = runner(images)
    other = Interpreter(
        str(tmp_path / form.file), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    other.allocate_tensors()
    details = {each["index"]: each for each in other.get_output_details()}
    for place in range(3):
        pixels = (images[place].transpose(1, 2, 0).astype(np.int16) - 128).astype(np.int8)
        other.set_tensor(other.get_input_details()[0]["index"], pixels[None])
        other.invoke()
        for index, each in details.items():
            values = other.get_tensor(index)[0]
            scale, zero = each["quantization"]
            expected = (values.astype(np.float32) - zero) * np.float32(scale) if values.dtype == np.int8 else values
            number = int(re.search(r"output_(\d+)", each["name"])[1])  # type: ignore[index]
            step = 1.01 * scale if values.dtype == np.int8 else 0  # their softmax rounds otherwise
            np.testing.assert_allclose(found[graph.names[number]][place], expected, atol=step)
    if name == "embedding":
        np.testing.assert_allclose(np.linalg.norm(found["embedding"], axis=1), 1, atol=0.03)


@pytest.mark.slow
def test_memory_is_what_was_counted_before(tmp_path: Path) -> None:
    from mobilevision.engine.build import measure

    task = task_of("task=classification")
    counted: Cost = measure(task)
    _, form = written(task, tmp_path)
    about = form.about(tmp_path / form.file)["micro"]
    assert counted.arena() == pytest.approx(about["arena_bytes"], rel=0.03)
    assert counted.flash() == pytest.approx((tmp_path / form.file).stat().st_size, rel=0.03)
    assert f"kArenaBytes = {about['arena_bytes']}" in (tmp_path / HEADER).read_text(encoding="utf-8")
    with pytest.raises(UserError, match=r"--max-arena: the model needs a tensor arena of .* smaller data.resolution"):
        written(task, tmp_path, most_arena=30_000)


@pytest.mark.slow
def test_what_boards_lack_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Microcontrollers cannot load it .*TOPK_V2.*--format litert"):
        written(task_of("task=geolocalization"), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kept", [0, 5_000, 0.5])
def test_a_damaged_file_ends_no_process(kept: float, tmp_path: Path) -> None:
    _, form = written(task_of("task=classification"), tmp_path)
    data = (tmp_path / form.file).read_bytes()
    size = int(kept * len(data)) if kept < 1 else int(kept)
    (tmp_path / form.file).write_bytes(data[:size] + bytes(len(data) - size))
    with pytest.raises(UserError, match="is damaged, or no file of --for micro"):
        form.open(tmp_path / form.file, outputs=("probabilities",))
