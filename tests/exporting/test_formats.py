"""Every format: what is exported answers as the checkpoint does, in its own runtime, in every precision."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mobilevision
from mobilevision import export
from mobilevision.deploy.artifact import Artifact
from mobilevision.deploy.formats import FORMATS
from mobilevision.deploy.formats.base import Format
from mobilevision.deploy.manifest import ModelFile
from mobilevision.errors import UserError
from mobilevision.prediction.model import Model
from mobilevision.tools.benchmarking.command import benchmark

SLOWLY = pytest.mark.slow
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}  # as our runner has it; bfloat16 is the default on some processors
OTHERS = ("openvino", "executorch", "litert")
SLOW = {
    ("executorch", "float32"),
    ("executorch", "int8"),
    ("litert", "float32"),
    ("litert", "int8"),
    ("openvino", "float16"),
}
CASES = [
    pytest.param(name, precision, marks=[SLOWLY] if (name, precision) in SLOW else [])
    for name in OTHERS
    for precision in FORMATS[name].precisions
]


FOLDERS: dict[int, Path] = {}


def folder_of(artifact: Artifact) -> Path:
    return FOLDERS[id(artifact)]


def weights(artifact: Artifact) -> int:
    """Bytes of the file that holds them."""
    return max(file.size for file in artifact.manifest.files)


def needed(name: str, precision: str = "float32") -> Format:
    """The format, or skip with what is missing."""
    try:
        FORMATS[name].can_write(precision)
    except UserError as error:
        pytest.skip(str(error))
    return FORMATS[name]


@pytest.fixture(scope="module")
def made(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Exports by format and precision, each made once."""
    known: dict[tuple[str, str], Artifact] = {}

    def one(name: str, precision: str) -> Artifact:
        needed(name, precision)
        if (name, precision) not in known:
            out = tmp_path_factory.mktemp("export") / f"{name}-{precision}"
            quantize: Any = None if precision == "float32" else precision
            known[name, precision] = export(trained, format=name, quantize=quantize, calibration_samples=20, out=out)
            FOLDERS[id(known[name, precision])] = out
        return known[name, precision]

    return one


@pytest.mark.parametrize(("name", "precision"), CASES)
def test_it_answers_as_the_checkpoint(name: str, precision: str, made: Any, trained: Path, coloured: Path) -> None:
    artifact = made(name, precision)
    files = sorted((coloured / "test").rglob("*.png"))
    model = Model(mobilevision.prediction.model.load(trained, device="cpu").task)
    near = {"float32": 1e-5, "float16": 2e-2, "int8": 0.2}[precision]
    for mine, theirs in zip(model.predict(files), artifact.predict(files, batch_size=4), strict=True):
        assert mine["label"] == theirs["label"]
        assert mine["score"] == pytest.approx(theirs["score"], abs=near)
    gate = artifact.manifest.about["gate"]
    assert gate["passed"]
    assert gate["agreement"] == 1
    assert artifact.manifest.precision == precision
    if precision != "float32":
        assert weights(artifact) < 0.6 * weights(made(name, "float32"))


@pytest.mark.parametrize("name", ["openvino", *(pytest.param(name, marks=SLOWLY) for name in ("executorch", "litert"))])
def test_its_time_is_taken_and_threads_are_heeded(name: str, made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    artifact = made(name, "float32")
    folder = folder_of(artifact)
    assert artifact.manifest.input.shape[0] == FORMATS[name].batch
    rows = benchmark([str(folder)], batch="1,2", seconds=0.05, threads="1")
    assert [row.subject.name.split()[-1] for row in rows] == [name] * 2
    capsys.readouterr()
    pixels = np.zeros((3, 3, 32, 32), np.uint8)
    one, any_number = (Artifact(folder, threads=threads).outputs(pixels) for threads in (1, None))
    for key, port in zip(one, artifact.manifest.outputs, strict=True):
        assert (key, one[key].dtype, one[key].shape[1:]) == (port.name, np.dtype(port.dtype), port.shape[1:])
        np.testing.assert_allclose(one[key], any_number[key], atol=1e-6)


@pytest.mark.parametrize("name", ["openvino", *(pytest.param(name, marks=SLOWLY) for name in ("executorch", "litert"))])
def test_a_damaged_folder_is_one_line(name: str, made: Any, tmp_path: Path) -> None:
    copy = shutil.copytree(folder_of(made(name, "float32")), tmp_path / "copy")
    about = json.loads((copy / "model.json").read_text(encoding="utf-8"))
    more = [*about["outputs"], {"name": "more", "type": "float32", "shape": [None]}]
    (copy / "model.json").write_text(json.dumps(about | {"outputs": more}), encoding="utf-8")
    with pytest.raises(UserError, match=r"as model\.json says"):
        Artifact(copy)
    for note in [about["file"], *about.get("parts", ())]:
        file = copy / note["name"]
        whole = file.read_bytes()
        file.write_bytes(whole[:-1] + b"!")
        (copy / "model.json").write_text(json.dumps(about), encoding="utf-8")
        with pytest.raises(UserError, match=r"is not the file that model\.json describes"):
            Artifact(copy)
        file.unlink()
        with pytest.raises(UserError, match="is missing"):
            Artifact(copy)
        file.write_bytes(whole)
    (copy / about["file"]["name"]).write_bytes(b"nothing")
    about["file"] = ModelFile.of(copy / about["file"]["name"]).to_dict()
    (copy / "model.json").write_text(json.dumps(about), encoding="utf-8")
    with pytest.raises(UserError, match="cannot load it"):
        Artifact(copy)


def test_openvino_answers_the_same_whatever_the_batch(made: Any, coloured: Path) -> None:
    """Others than our runner leave the batch open; int8 with the default ranges then went wrong."""
    import openvino

    artifact = made("openvino", "int8")
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(folder_of(artifact) / "model.xml"), "CPU", EXACT)
    pixels = np.stack([artifact.prepare(file).pixels for file in sorted((coloured / "test").rglob("*.png"))])
    np.testing.assert_allclose(compiled([pixels])[0], artifact.outputs(pixels)["probabilities"], atol=2e-2)


def test_signals_are_handled_after_openvinos_models_are_freed(made: Any) -> None:
    """Freed in the order in which they came, they left handlers a stack of unmapped memory."""
    program = """
import gc, os, signal, sys
import numpy as np
from mobilevision.deploy.artifact import Artifact

signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
first, second = Artifact(sys.argv[1]), Artifact(sys.argv[1])
for artifact in (first, second):
    artifact.outputs(np.zeros((1, 3, 32, 32), np.uint8))
del artifact, first
gc.collect()
del second
gc.collect()
os.kill(os.getpid(), signal.SIGUSR1)
"""
    command = [sys.executable, "-c", program, str(folder_of(made("openvino", "float32")))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_openvinos_weights_are_integers_that_cannot_saturate(made: Any) -> None:
    """Those of depthwise layers, too."""
    import openvino

    artifact = made("openvino", "int8")
    assert (
        artifact.manifest.about["quantised"] | {"largest_weight": 64, "can_saturate": False}
        == (artifact.manifest.about["quantised"])
    )
    model = openvino.Core().read_model(folder_of(artifact) / "model.xml")
    kinds = [each.get_type_name() for each in model.get_ordered_ops()]
    integers = [each for each in model.get_ordered_ops() if each.get_element_type().get_type_name() == "i8"]
    assert kinds.count("GroupConvolution") >= 5
    assert len(integers) == sum(kinds.count(kind) for kind in ("Convolution", "GroupConvolution", "MatMul"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openvino", "executorch"])
def test_a_layer_can_stay_in_float(name: str, made: Any, trained: Path, tmp_path: Path) -> None:
    needed(name, "int8")
    given: dict[str, Any] = {"format": name, "quantize": "int8", "calibration_samples": 4, "gate_samples": 0}
    with pytest.raises(UserError, match=r"--keep-float head.clasifier: there is no such layer; did you mean head"):
        export(trained, out=tmp_path / "none", keep_float=["head.clasifier"], **given)
    part = export(trained, out=tmp_path / "part", keep_float=["backbone.model.blocks"], **given)
    assert weights(part) > 1.5 * weights(made(name, "int8"))


def test_what_is_missing_is_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mobilevision.deploy.formats import base

    monkeypatch.setattr(base, "find_spec", lambda name: None)
    with pytest.raises(UserError) as caught:
        export(tmp_path, format="litert")
    assert str(caught.value) == (
        "format litert needs litert_torch, ai_edge_litert (litert_torch needs torch < 2.15: add --environment auto; or,"
        ' in an environment of its own): pip install "mobilevision[litert]"'
    )
    with pytest.raises(UserError, match="--quantize float16: format executorch has float32, int8"):
        export(tmp_path, format="executorch", quantize="float16")
