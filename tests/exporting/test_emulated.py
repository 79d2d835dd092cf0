"""int8 on a processor without VNNI: the same answers, tried with QEMU where it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mobilevision
from mobilevision.deploy.artifact import Artifact
from mobilevision.exporting import emulated

onnx = pytest.importorskip("onnx")

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("emulated") / "int8"
    mobilevision.export(trained, quantize="int8", gate_samples=0, latency=False, out=out)
    return out


@pytest.fixture
def qemu() -> list[str]:
    if (path := emulated.emulator()) is None:
        pytest.skip("needs qemu-x86_64 (Debian's package qemu-user) on an x86-64 machine")
    return [path, "-cpu", emulated.PROCESSOR]


def test_the_other_process_gives_the_files_outputs(folder: Path) -> None:
    """On this processor, so without emulation: the way there and back."""
    found = emulated.outputs([], folder, IMAGES)
    assert isinstance(found, dict)
    np.testing.assert_array_equal(found["probabilities"], Artifact(folder, threads=1).outputs(IMAGES)["probabilities"])


def test_what_cannot_be_tried_is_said_in_a_line(folder: Path, tmp_path: Path) -> None:
    assert (
        emulated.outputs([str(tmp_path / "none")], folder, IMAGES) == f"{tmp_path / 'none'}: No such file or directory"
    )
    found = emulated.outputs([], tmp_path, IMAGES)
    assert isinstance(found, str)
    assert found.startswith("exit code 1: ")
    assert "\n" not in found


@pytest.mark.slow
def test_int8_on_arm_is_what_it_is_here(folder: Path) -> None:
    """Where MOBILEVISION_ARM64 names the folder that benchmarks/arm64.py made with --work."""
    if not (work := os.environ.get("MOBILEVISION_ARM64")):
        pytest.skip("needs MOBILEVISION_ARM64, a folder made by benchmarks/arm64.py --work FOLDER")
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "arm64.py"
    line = [sys.executable, str(script), str(folder), "--work", work, "--number", "2"]
    said = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert "| onnx | int8 | 1.0000 |" in said


def layer(file: Path, pixels: np.ndarray, command: list[str]) -> np.ndarray:
    """What ONNX Runtime makes of a file, on the processor that the command stands for."""
    script = (
        "import sys, numpy, onnxruntime as o\n"
        "s = o.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])\n"
        "numpy.save(sys.argv[3], s.run(None, {s.get_inputs()[0].name: numpy.load(sys.argv[2])})[0])"
    )
    given, found = file.with_suffix(".images.npy"), file.with_suffix(".found.npy")
    np.save(given, pixels)
    typed = [*command, sys.executable, "-c", script, str(file), str(given), str(found)]
    subprocess.run(typed, check=True, capture_output=True)
    result: np.ndarray = np.load(found)
    return result


@pytest.mark.slow
def test_sums_as_large_as_can_be_are_right_in_7_bits_and_wrong_in_8(qemu: list[str], tmp_path: Path) -> None:
    """A layer whose weights are all alike, on white images: every pair of products is the largest that there is."""
    import torch

    from mobilevision.deploy.formats.onnx_int8.gptq import REDUCED, WHOLE
    from mobilevision.deploy.formats.onnx_int8.writing import quantise
    from mobilevision.deploy.precision import Precision

    class White(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(4, 8, 1, bias=False)
            torch.nn.init.ones_(self.conv.weight)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.conv(image.float() / 255)

    pixels = np.full((2, 4, 16, 16), 255, np.uint8)
    example = (torch.from_numpy(pixels),)
    torch.onnx.export(White().eval(), example, dynamo=True, verbose=False).save(tmp_path / "float32.onnx")
    found = {}
    for most in (REDUCED, WHOLE):
        file = tmp_path / f"{most}.onnx"
        quantise(tmp_path / "float32.onnx", file, Precision("int8", pixels), most)
        found[most] = layer(file, pixels, qemu)
    np.testing.assert_allclose(found[REDUCED], 4.0, atol=0.02)
    assert np.abs(found[WHOLE] - 4.0).max() > 0.5


@pytest.mark.slow
def test_the_gate_runs_both_ways_and_the_answers_are_the_same(
    qemu: list[str], trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found: Any = mobilevision.export(trained, quantize="int8", latency=False, out=tmp_path / "int8")
    about = found.manifest.about
    assert about["quantised"]["can_saturate"] is False
    tried = about["gate"]["without_vnni"]
    assert (tried["processor"], tried["images"], tried["agreement"]) == ("Haswell", 4, 1.0)
    assert tried["largest_difference"] < 1e-3
    assert "a processor without VNNI (emulated: Haswell)" in capsys.readouterr().out
    assert "a processor without VNNI (emulated: Haswell)" in (tmp_path / "int8" / "README.md").read_text(
        encoding="utf-8"
    )
