"""mobilevision export --quantize: smaller files, the same answers, or a refusal that says what helps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mobilevision
from mobilevision.deploy.artifact import Artifact
from mobilevision.deploy.formats.onnx_int8 import writing
from mobilevision.errors import UserError

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def whole(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return mobilevision.export(trained, out=tmp_path_factory.mktemp("whole") / "float32")


@pytest.fixture(scope="module")
def small(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return mobilevision.export(trained, quantize="int8", out=tmp_path_factory.mktemp("small") / "int8")


def test_int8_is_smaller_and_answers_alike(whole: Artifact, small: Artifact, coloured: Path) -> None:
    assert (whole.manifest.precision, small.manifest.precision) == ("float32", "int8")
    assert small.manifest.file.size < 0.5 * whole.manifest.file.size
    files = sorted((coloured / "test").rglob("*.png"))
    for one, two in zip(whole.predict(files), small.predict(files), strict=True):
        assert one["label"] == two["label"]
        assert one["score"] == pytest.approx(two["score"], abs=0.25)  # of a model this small, by one image


def test_the_description_says_how(small: Artifact) -> None:
    about = small.manifest.about
    assert about["quantised"] == {
        **{"calibration_pictures": 24, "float_layers": [], "finetune_epochs": 0},
        **{"largest_weight": 64, "can_saturate": False},
    }
    gate = about["gate"]
    assert gate["max_drop"] == 0.015
    assert set(gate["processor"]) == {"name", "vnni"}
    assert gate["agreement"] >= 0.97
    assert [row["class"] for row in gate["classes"]] == list(small.classes)
    assert all({"metric", "checkpoint", "artifact", "drop"} <= set(row) for row in gate["classes"])


def test_every_layer_has_a_step_for_each_channel(small: Artifact, trained: Path) -> None:
    folder = trained / "exports" / "onnx-int8"
    mobilevision.export(trained, quantize="int8", gate_samples=0)
    model = onnx.load(folder / "model.onnx")
    constants = {each.name: each for each in model.graph.initializer}
    scales = {name: value for name, value in constants.items() if name.endswith("weight_scale")}
    assert len(scales) == 28
    for name, scale in scales.items():
        weight = constants[name.removesuffix("_scale") + "_quantized"]
        assert weight.data_type == onnx.TensorProto.INT8
        assert list(scale.dims) == [weight.dims[0]]


def test_layers_can_stay_in_float(trained: Path, tmp_path: Path) -> None:
    found = mobilevision.export(
        trained, quantize="int8", keep_float=["backbone.model.blocks.0", "head"], gate_samples=0, out=tmp_path / "kept"
    )
    constants = {each.name for each in onnx.load(tmp_path / "kept" / "model.onnx").graph.initializer}
    assert "task.head.classifier.weight" in constants
    assert sum(name.endswith("weight_quantized") for name in constants) == 25
    assert found.manifest.about["quantised"]["float_layers"] == ["backbone.model.blocks.0", "head"]
    with pytest.raises(UserError, match="--keep-float haed: there is no such layer"):
        mobilevision.export(trained, quantize="int8", keep_float="haed", gate_samples=0, out=tmp_path / "none")


def test_float16_is_half_and_answers_alike(whole: Artifact, trained: Path, coloured: Path, tmp_path: Path) -> None:
    half = mobilevision.export(trained, quantize="float16", out=tmp_path / "half")
    assert half.manifest.file.size < 0.62 * whole.manifest.file.size
    files = sorted((coloured / "test").rglob("*.png"))
    for one, two in zip(whole.predict(files), half.predict(files), strict=True):
        assert one["label"] == two["label"]
        assert one["score"] == pytest.approx(two["score"], abs=5e-3)


@pytest.mark.slow
def test_what_int8_spoils_is_refused_with_layers_and_a_remedy(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow = writing.best
    monkeypatch.setattr(writing, "best", lambda values: tuple(0.02 * end for end in narrow(values)))
    monkeypatch.setattr("mobilevision.exporting.gate._REMEDY_COUNTS", (2,))  # the others are as quick to fail
    with pytest.raises(UserError, match=r"agreement 0\.\d+ is below 0.97") as caught:
        mobilevision.export(trained, quantize="int8", out=tmp_path / "bad")
    assert "none of up to 2 layers in float make it pass" in str(caught.value)
    assert "--finetune-epochs" in str(caught.value)
    hurt = json.loads((tmp_path / "bad.failed" / "model.json").read_text())["about"]["quantised"]["layers_that_hurt"]
    noise = [row["noise"] for row in hurt]
    assert noise == sorted(noise, reverse=True)
    assert not (tmp_path / "bad").exists()
    capsys.readouterr()
    mobilevision.load(tmp_path / "bad.failed")
    assert "the gate refused this model" in capsys.readouterr().err


@pytest.mark.slow
def test_training_on_with_the_rounding_felt(trained: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in trained.rglob("*.ckpt")}
    found = mobilevision.export(trained, quantize="int8", finetune_epochs=1, out=tmp_path / "tuned")
    assert found.manifest.about["quantised"]["finetune_epochs"] == 1
    assert found.manifest.about["gate"]["passed"]
    assert before == {path: path.read_bytes() for path in trained.rglob("*.ckpt")}
    plain = mobilevision.export(trained, quantize="int8", gate_samples=0, out=tmp_path / "plain")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    assert not np.array_equal(found.outputs(pixels)["probabilities"], plain.outputs(pixels)["probabilities"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--quantize", "int4"], "error: Invalid value for '--quantize': 'int4' is not one of 'int8', 'float16'"),
        (["--keep-float", "head"], "are about int8: add --quantize int8"),
        (["--finetune-epochs", "2"], "are about int8: add --quantize int8"),
        (["--quantize", "int8", "--keep-float", "haed"], "there is no such layer; did you mean head.classifier?"),
    ],
)
def test_a_mistake_is_one_line(options: list[str], said: str, trained: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from mobilevision.cli.commands import main; main()", "export", str(trained)]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "x"), *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_weights_are_rounded_for_other_formats_too(trained: Path) -> None:
    """On the steps that a tool finds which takes a row's largest weight for 127, and nearer than the nearest ones.

    By how much, of a model that has learnt more than this one: see ``test_real.py``.
    """
    import copy

    import torch

    from mobilevision.deploy.formats.onnx_int8.gptq import WHOLE, steps
    from mobilevision.deploy.formats.onnx_int8.prerounded_graph import rounded_graph
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision
    from mobilevision.exporting.finetuning import layer_names
    from mobilevision.exporting.subject import calibration_of, subject_of

    task, pixels = subject_of(trained, gated=False).task, calibration_of(trained, 24)
    graph = Graph(task, shape=(3, 32, 32))
    precision = Precision("int8", pixels, ("head",))
    found, nearest = rounded_graph(graph, precision, WHOLE), copy.deepcopy(graph)
    names = [name for name in layer_names(task) if not precision.keeps(name)]
    assert len(names) == 27
    for name in names:
        rows = found.task.get_submodule(name).weight.detach().flatten(1).numpy()
        whole = rows / steps(rows, WHOLE)[:, None]
        np.testing.assert_allclose(whole, np.rint(whole), atol=2e-3)
        weight = nearest.task.get_submodule(name).weight.data
        step = torch.from_numpy(steps(weight.flatten(1).numpy(), WHOLE)).float().view(-1, 1, 1, 1)
        weight.copy_((weight / step).round() * step)
    assert torch.equal(found.task.head.classifier.weight, task.head.classifier.weight)
    images = torch.from_numpy(pixels)
    with torch.no_grad():
        right, ours, usual = (each.task(images) for each in (graph, found, nearest))
    assert (ours - right).square().sum() < (usual - right).square().sum()


def test_what_is_advised_was_tried(tmp_path: Path) -> None:
    """More and more of the layers that hurt stay in float, beside those that stay anyway, until the gate is content."""
    from types import SimpleNamespace
    from typing import Any

    from mobilevision.deploy.precision import Precision
    from mobilevision.exporting.gate import remedy

    tried: list[tuple[str, ...]] = []
    form: Any = SimpleNamespace(
        file="model.onnx",
        noise=lambda path, precision: {name: 1.0 / place for place, name in enumerate("abcdefghij", 1)},
        write=lambda graph, path, precision: tried.append(precision.keep),
    )

    def judge(folder: Path) -> Any:
        passes = len(tried[-1]) > 3
        return SimpleNamespace(failures=() if passes else ("no",), facts={"agreement": 0.98})

    found = remedy(form, None, Precision("int8", keep=("z",)), tmp_path, judge)  # type: ignore[arg-type]
    assert tried == [("z", "a"), ("z", "a", "b"), ("z", "a", "b", "c", "d")]
    assert found["remedy"] == {"keep_float": list(tried[-1]), "agreement": 0.98}
    assert [row["layer"] for row in found["layers_that_hurt"]] == list("abcdefgh")
    never: Any = lambda folder: SimpleNamespace(failures=("no",))  # noqa: E731
    assert remedy(form, None, Precision("int8"), tmp_path, never)["remedy"] is None  # type: ignore[arg-type]
