"""Graphs of one batch size and of older operator sets answer as those that they were made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mobilevision import export
from mobilevision.config.compose import compose
from mobilevision.deploy.artifact import Artifact
from mobilevision.deploy.formats.onnx import Onnx
from mobilevision.deploy.formats.onnx_compatibility import DEFAULT_OPSET, OPSETS, in_opset, oldest_runtime, with_batch
from mobilevision.deploy.formats.onnx_placement import placement
from mobilevision.deploy.graph import Graph
from mobilevision.deploy.precision import FLOAT32
from mobilevision.engine.build import build
from mobilevision.errors import UserError

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

SMALL = ["backbone.width=0.25", "logger=none", "data.workers=0"]
MODELS = {
    "classification": (13, ["task=classification", "data.resolution=32"]),
    "geolocalization": (13, ["task=geolocalization", "data.resolution=32"]),
    "mobilenet_v3": (14, ["task=classification", "backbone=mobilenet_v3", "data.resolution=64"]),
    "ssd": (15, ["task=detection", "head=ssd", "data.resolution=96"]),
    "picodet, one to one": (15, ["task=detection", "head=picodet", "head.one_to_one=true", "data.resolution=96"]),
    "faster_rcnn_fpn": (16, ["task=detection", "head=faster_rcnn_fpn", "data.resolution=96"]),
    "multitask": (15, ["task=multitask", "data.resolution=96"]),
}
"""Of each model, the oldest operator set that has what it takes."""


OFTEN = ("classification", "picodet, one to one")


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=() if name == "classification" else pytest.mark.slow) for name in MODELS],
)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any, Any]:
    """A model's name, its graph in torch and in ONNX."""
    torch.manual_seed(0)
    task = build(compose([*MODELS[request.param][1], *SMALL])).task.eval()
    graph = Graph(task, shape=(3, *task.data_spec.resolution)).eval()
    path = tmp_path_factory.mktemp("written") / "model.onnx"
    Onnx().write(graph, path, FLOAT32)
    return request.param, graph, onnx.load(path)


def outputs(model: Any, images: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, {session.get_inputs()[0].name: images}))


def test_one_image_at_a_time_is_the_same(written: tuple[str, Any, Any]) -> None:
    name, graph, model = written
    fixed = with_batch(model, 1)
    for image in graph.example(2).numpy():
        for mine, theirs in zip(outputs(fixed, image[None]), outputs(model, image[None]), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    for port in (*fixed.graph.input, *fixed.graph.output):
        assert all(side.HasField("dim_value") for side in port.type.tensor_type.shape.dim), port.name
    used = {node.op_type for node in fixed.graph.node}
    assert not used & {"Loop", "If"}
    if name not in ("ssd", "faster_rcnn_fpn", "multitask"):  # suppression lists as many boxes as it finds
        assert "Shape" not in used
        assert {each.name for each in fixed.graph.value_info} >= {
            out for node in fixed.graph.node[:-1] for out in node.output if out not in graph.names
        }


def test_every_operator_set_gives_the_same_or_is_refused(written: tuple[str, Any, Any]) -> None:
    name, graph, model = written
    oldest, image = MODELS[name][0], graph.example(1).numpy()
    expected = outputs(model, image)
    for opset, (ir, _) in OPSETS.items():
        if opset < oldest:
            with pytest.raises(UserError, match=f"--opset {opset}: .* take --opset {oldest}$"):
                in_opset(model, opset)
            continue
        other = in_opset(model, opset)
        assert (other.opset_import[0].version, other.ir_version) == (opset, ir)
        for mine, theirs in zip(outputs(other, image), expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)


MISREAD = {
    "mobilenet_v3": "OpenCV takes x * hard-sigmoid(y) for hard-swish(y)",
    "faster_rcnn_fpn": "OpenCV's suppression wants a threshold on scores that is not negative",
}


def test_opencv_finds_the_same(written: tuple[str, Any, Any], tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    name, graph, model = written
    if name in MISREAD:
        pytest.skip(MISREAD[name])
    if int(cv2.__version__.split(".")[0]) < 5 and name not in OFTEN:
        pytest.skip(f"OpenCV {cv2.__version__} reads no booleans, which suppression needs")
    image = graph.example(1).numpy()
    onnx.save(with_batch(model, 1), tmp_path / "model.onnx")
    network = cv2.dnn.readNetFromONNX(str(tmp_path / "model.onnx"))
    network.setInput(image)
    found = dict(zip(names := network.getUnconnectedOutLayersNames(), network.forward(names), strict=True))
    for key, mine in zip(graph.names, outputs(model, image), strict=True):
        if not key.endswith(("boxes", "labels")):  # of equal scores, another may be first
            np.testing.assert_allclose(found[key], mine, atol=1e-5)


TAKEN = {"classification": 1.0, "picodet, one to one": 0.93, "ssd": 0.8, "multitask": 0.8}
"""Least share of the nodes that NNAPI takes."""


def test_accelerators_take_a_fixed_batch_alone(written: tuple[str, Any, Any]) -> None:
    name, _, model = written
    placed = [placement(each) for each in (with_batch(model, 1), model)]
    fixed, unfixed = (each["NNAPI"] for each in placed if each is not None)
    assert fixed["taken"] / fixed["nodes"] >= TAKEN.get(name, 0.5)
    assert unfixed["taken"] <= 0.05 * unfixed["nodes"]


@pytest.mark.parametrize("precision", [None, "float16", "int8"])
@pytest.mark.slow
def test_the_file_says_what_it_needs_and_answers_the_same(
    precision: Any, trained: Path, coloured: Path, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"quantize": precision, "calibration_samples": 10, "latency": False}
    usual = export(trained, out=tmp_path / "usual", **given)
    fixed = export(trained, out=tmp_path / "fixed", batch=1, opset=15, **given)
    told, of_fixed = usual.manifest.about["onnx"], fixed.manifest.about["onnx"]
    assert (told["opset"], told["ir"], told["oldest_onnxruntime"]) == (DEFAULT_OPSET, 8, "1.14")
    assert (of_fixed["opset"], of_fixed["ir"], of_fixed["oldest_onnxruntime"]) == (15, 8, "1.10")
    taken, of_fixed_taken = (each["accelerators"]["NNAPI"]["taken"] for each in (told, of_fixed))
    of_weights = 56 if precision == "int8" else 0  # what dequantises them does not look at images
    assert taken == of_weights
    assert of_fixed_taken > 0.9 * of_fixed["accelerators"]["NNAPI"]["nodes"]
    assert (usual.manifest.input.shape[0], fixed.manifest.input.shape[0]) == (None, 1)
    assert fixed.manifest.about["gate"]["passed"]
    assert fixed.manifest.size < 1.02 * usual.manifest.size
    files = sorted((coloured / "test").rglob("*.png"))
    images = np.stack([usual.prepare(file).pixels for file in files])
    for port in usual.manifest.outputs:
        np.testing.assert_array_equal(fixed.outputs(images)[port.name], usual.outputs(images)[port.name])
    card = (tmp_path / "fixed" / "README.md").read_text(encoding="utf-8")
    assert (
        "operator set 15 (file format 8), which ONNX Runtime 1.10 and later load; it takes one image at a time" in card
    )
    assert Artifact(tmp_path / "fixed").manifest == fixed.manifest


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"opset": 12}, "--opset 12: there are 13 to 20"),
        ({"batch": 2}, "--batch 2: a file takes one image"),
        ({"format": "openvino", "opset": 17}, "--opset 17: only --format onnx has operator sets"),
        ({"format": "openvino", "batch": 1}, "--batch 1: format openvino takes any number of images"),
    ],
)
def test_what_a_format_has_not_is_one_line(given: dict[str, Any], said: str, trained: Path) -> None:
    with pytest.raises(UserError, match=said):
        export(trained, **given)


def test_operators_of_others_are_left_to_them() -> None:
    """The checker knows no operator of a plugin's domain; outputs without a batch keep their shape."""
    from onnx import TensorProto, helper

    ports = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3])]
    outs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("a", ["batch", 3]), ("b", []))
    ]
    nodes = [
        helper.make_node("Ours", ["image"], ["a"], domain="mine"),
        helper.make_node("ReduceSum", ["a"], ["b"], keepdims=0),
    ]
    sets = [helper.make_opsetid("", DEFAULT_OPSET), helper.make_opsetid("mine", 1)]
    model = helper.make_model(helper.make_graph(nodes, "plugin", ports, outs), opset_imports=sets, ir_version=10)
    fixed = in_opset(with_batch(model, 1), DEFAULT_OPSET)
    assert fixed.ir_version == OPSETS[DEFAULT_OPSET][0]
    assert [[side.dim_value for side in each.type.tensor_type.shape.dim] for each in fixed.graph.output] == [[1, 3], []]


def test_what_an_older_set_cannot_say_is_refused_not_left_out() -> None:
    """An addition that became an assignment would be a wrong answer without an error."""
    from onnx import TensorProto, helper

    data = helper.make_tensor_value_info("data", TensorProto.FLOAT, [4])
    out = helper.make_tensor_value_info("sum", TensorProto.FLOAT, [4])
    constants = [
        helper.make_tensor("places", TensorProto.INT64, [2, 1], [1, 1]),
        helper.make_tensor("more", TensorProto.FLOAT, [2], [1.0, 2.0]),
    ]
    node = helper.make_node("ScatterND", ["data", "places", "more"], ["sum"], reduction="add")
    graph = helper.make_graph([node], "sums", [data], [out], initializer=constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", DEFAULT_OPSET)], ir_version=8)
    assert outputs(in_opset(model, 16), np.zeros(4, np.float32))[0].tolist() == [0, 3, 0, 0]
    with pytest.raises(UserError, match=r"--opset 15: .* take --opset 16"):
        in_opset(model, 15)


@pytest.mark.parametrize(
    ("opset", "ir", "oldest"),
    [(7, 3, "0.1"), (11, 6, "1.0"), (12, 7, "1.7"), (18, 9, "1.15"), (21, 10, "1.18"), (99, 9, None), (18, 99, None)],
)
def test_the_oldest_runtime_has_both_the_set_and_the_file_format(opset: int, ir: int, oldest: str | None) -> None:
    assert oldest_runtime(opset, ir) == oldest


def test_the_oldest_runtime_of_our_own_files() -> None:
    assert [oldest_runtime(opset, ir) for opset, (ir, _) in OPSETS.items()] == [first for _, first in OPSETS.values()]
