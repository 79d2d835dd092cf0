"""What ``export --for`` chooses, that it says it, and that what is typed stays."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilevision import export
from mobilevision.config.compose import compose
from mobilevision.engine.build import build
from mobilevision.errors import UserError
from mobilevision.exporting.command import _suppresses
from mobilevision.exporting.targets import TARGETS, find_target

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "consumer"
QUICK = ("opencv", {}, "--format onnx --quantize float32 --input float --batch 1", ("onnx", "float32", "float32", 1))
SLOW = [
    ("phone", {}, "--format onnx --quantize float32 --input uint8 --batch 1", ("onnx", "float32", "uint8", 1)),
    (
        "phone",
        {"format": "openvino"},
        "--format openvino --quantize float32 --input uint8",
        ("openvino", "float32", "uint8", None),
    ),
    (
        "server",
        {"input": "float"},
        "--format onnx --quantize float32 --input float",
        ("onnx", "float32", "float32", None),
    ),
    ("pi", {}, "--format onnx --quantize int8 --input uint8 --batch 1", ("onnx", "int8", "uint8", 1)),
    (
        "pi",
        {"quantize": "float16"},
        "--format onnx --quantize float16 --input uint8 --batch 1",
        ("onnx", "float16", "uint8", 1),
    ),
]


@pytest.mark.parametrize(
    ("target", "given", "said", "file"), [QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]
)
def test_it_is_said_and_done(
    target: str, given: dict[str, Any], said: str, file: tuple[Any, ...], trained: Path, tmp_path: Path, capsys: Any
) -> None:
    made = export(trained, target=target, out=tmp_path / "model", latency=False, gate_samples=0, **given).manifest
    assert f"for {target}: {said}  ({TARGETS[target].why})" in capsys.readouterr().out
    assert (made.format, made.precision, made.input.dtype, made.input.shape[0]) == file


def test_the_recipe_for_opencv_gives_the_same(
    trained: Path, coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cv2")
    made = export(trained, target="opencv", out=tmp_path / "cats", latency=False, gate_samples=0)
    shutil.copy(next((coloured / "test").rglob("*.png")), tmp_path / "image.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLE)
    (recipe,) = re.findall(r"```python\n(.*?)```", (EXAMPLE / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(recipe, names)
    expected = made.outputs(made.prepare("image.png").pixels[None].astype(np.float32))
    np.testing.assert_allclose(names["answers"]["probabilities"], expected["probabilities"], atol=1e-5)


@pytest.mark.parametrize(
    ("overrides", "suppresses"),
    [
        (["task=detection", "head=ssd"], True),
        (["task=detection", "head=picodet"], True),
        (["task=detection", "head=picodet", "head.one_to_one=true"], False),
        (["task=classification"], False),
    ],
)
def test_suppression_is_left_out_where_there_is_some(overrides: list[str], suppresses: bool) -> None:
    small = [
        "backbone.width=0.25",
        "data.resolution=96",
        "data.format.train=8",
        "data.format.val=4",
        "data.format.test=4",
    ]
    assert _suppresses(build(compose([*overrides, *small, "logger=none", "data.workers=0"])).task) is suppresses


def test_a_target_that_there_is_not_is_named(trained: Path) -> None:
    with pytest.raises(UserError, match="--for fridge; there are: browser, micro, opencv, phone, pi, server"):
        export(trained, target="fridge")


def test_opencv_gets_no_int8(trained: Path) -> None:
    with pytest.raises(UserError, match="--for opencv --quantize int8: OpenCV 5 gives other numbers"):
        export(trained, target="opencv", quantize="int8")


def test_what_opencv_would_misread_is_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    image = onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1])
    out = onnx.helper.make_tensor_value_info("gate", onnx.TensorProto.FLOAT, [1])
    for operator in ("HardSigmoid", "Sigmoid"):
        graph = onnx.helper.make_graph([onnx.helper.make_node(operator, ["image"], ["gate"])], operator, [image], [out])
        onnx.save(onnx.helper.make_model(graph), tmp_path / f"{operator}.onnx")
    find_target("opencv").check("opencv", tmp_path / "Sigmoid.onnx")
    find_target("phone").check("phone", tmp_path / "HardSigmoid.onnx")
    with pytest.raises(UserError, match=r"--for opencv: OpenCV 4\.12 and 5\.0 take the gates"):
        find_target("opencv").check("opencv", tmp_path / "HardSigmoid.onnx")
