"""What accelerators take of a graph, and for each reason why they leave a node to the CPU, a small graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mobilevision.deploy.formats.onnx_placement import BATCH, FLOAT, SUPPRESSION, placement, reason
from mobilevision.deploy.formats.onnx_runtimes import MISSING, OPEN, runtimes
from mobilevision.deploy.formats.onnx_sizes import Sized

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

Sides = list[int | str]


def model(
    *nodes: tuple[Any, ...], sides: Sides | None = None, dtype: str = "FLOAT", opset: int = 18, **constants: Any
) -> Any:
    """A graph from ``x`` through (operator, inputs, outputs, attributes) to ``y``."""
    from onnx import TensorProto, helper, numpy_helper

    made = []
    for operator, given, out, *more in nodes:
        domain, _, name = operator.rpartition(":")
        made.append(
            helper.make_node(name, given.split(","), out.split(","), domain=domain, **(more[0] if more else {}))
        )
    ports = [helper.make_tensor_value_info("x", getattr(TensorProto, dtype), sides or [1, 3, 8, 8])]
    outs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    sets = [helper.make_opsetid("", opset), helper.make_opsetid("mine", 1)]
    return helper.make_model(helper.make_graph(made, "graph", ports, outs, stored), opset_imports=sets, ir_version=8)


def left(name: str, *nodes: tuple[Any, ...], **more: Any) -> dict[str, str]:
    """By operator, why a runtime leaves it."""
    found = placement(model(*nodes, **more))
    assert found is not None
    return {operator: row["why"] for row in found[name]["left"] for operator in row["operators"]}


W = np.ones((4, 3, 3, 3), np.float32)
SQUARE = np.ones((8, 8), np.float32)
CONV = ("Conv", "x,w", "y")
LINEAR = {"mode": "linear"}


@pytest.mark.parametrize(
    ("name", "nodes", "more", "expected"),
    [
        ("NNAPI", [CONV], {"w": W}, {}),
        ("NNAPI", [("mine:Relu", "x", "y")], {}, {"Relu": MISSING}),
        ("NNAPI", [CONV], {"w": W, "sides": ["n", 3, 8, 8]}, {"Conv": OPEN}),
        (
            "NNAPI",
            [CONV],
            {"w": np.ones((4, 3, 3), np.float32), "sides": [1, 3, 8]},
            {"Conv": "takes planes of pixels only"},
        ),
        ("NNAPI", [("Abs", "x", "a"), ("Conv", "x,a", "y")], {}, {"Conv": "weights or settings are computed"}),
        ("NNAPI", [("Pad", "x,p", "y", {"mode": "edge"})], {"p": np.zeros(8, np.int64)}, {"Pad": "not with mode=edge"}),
        ("NNAPI", [("Pad", "x,p", "y")], {"p": np.full(8, -1)}, {"Pad": "not with negative numbers"}),
        (
            "NNAPI",
            [("DepthToSpace", "x,", "y", {"blocksize": 1, "mode": "CRD"})],
            {},
            {"DepthToSpace": "not with mode=CRD"},
        ),
        ("NNAPI", [("Clip", "x,,most", "y")], {"most": np.float32(6)}, {}),  # what is left out has no size
        ("Core ML", [("Relu", "x", "y")], {"sides": [1] * 6}, {"Relu": "more than 5 sides"}),
        ("Core ML", [("Pow", "x,x", "y")], {"dtype": "INT64"}, {"Pow": "takes float32, not int64"}),
        ("Core ML", [("Pad", "x,p", "y")], {"p": np.zeros(8, np.int64)}, {"Pad": MISSING}),
        ("QNN", [("TopK", "x,k", "y,i")], {"k": np.array([2])}, {}),
        ("QNN", [("LpNormalization", "x", "y", {"p": 1})], {}, {"LpNormalization": "not with p=1"}),
        (
            "QNN",
            [("ConvInteger", "x,w", "y")],
            {"dtype": "UINT8", "w": W.astype("uint8")},
            {"ConvInteger": "taken in another company only"},
        ),
        ("XNNPACK", [CONV], {"w": W, "sides": ["n", 3, 8, 8]}, {}),  # any number of images
        ("XNNPACK", [CONV], {"w": W, "sides": [1, 3, "h", 8]}, {"Conv": OPEN}),
        ("XNNPACK", [CONV], {"w": W.astype("float16"), "dtype": "FLOAT16"}, {"Conv": "takes float32, not float16"}),
        ("XNNPACK", [("Conv", "x,w", "a"), ("Relu", "a", "y")], {"w": W}, {}),
        ("XNNPACK", [("Relu", "x", "y")], {}, {"Relu": "taken only behind a layer that is taken"}),
        ("XNNPACK", [("MatMul", "x,w", "y")], {"sides": ["n", 8], "w": SQUARE}, {"MatMul": OPEN}),
        ("XNNPACK", [("MatMul", "x,w", "y")], {"sides": [2, 8], "w": SQUARE}, {}),
        ("XNNPACK", [("MatMul", "x,w", "y")], {"w": SQUARE}, {"MatMul": "takes matrices only"}),
        (
            "XNNPACK",
            [("Gemm", "x,w", "y", {"alpha": 2.0})],
            {"sides": ["n", 8], "w": SQUARE},
            {"Gemm": "not with alpha=2.0"},
        ),
        ("XNNPACK", [("Softmax", "x", "y", {"axis": 1})], {}, {"Softmax": "not with axis=1"}),
        ("XNNPACK", [("Softmax", "x", "y")], {}, {}),
        ("XNNPACK", [("MaxPool", "x", "y", {"kernel_shape": [1, 1]})], {}, {"MaxPool": "not with kernel_shape=[1, 1]"}),
        (
            "XNNPACK",
            [("AveragePool", "x", "y", {"kernel_shape": [2, 2], "ceil_mode": 1})],
            {},
            {"AveragePool": "not with ceil_mode=1"},
        ),
        (
            "XNNPACK",
            [("AveragePool", "x", "y", {"kernel_shape": [2, 2], "count_include_pad": 1})],
            {},
            {"AveragePool": "not with count_include_pad=1"},
        ),
        ("XNNPACK", [("Resize", "x,,s", "y")], {"s": np.float32([1, 1, 2, 2])}, {"Resize": "not with mode=nearest"}),
        ("XNNPACK", [("Resize", "x,,s", "y", LINEAR)], {"s": np.float32([1, 1, 2, 2])}, {}),
    ],
)
def test_each_reason(name: str, nodes: list[Any], more: dict[str, Any], expected: dict[str, str]) -> None:
    assert left(name, *nodes, **more) == expected


def quantised_convolution(weights: str) -> Any:
    """A layer in int8 as it is written: dequantised before, quantised behind."""
    return model(
        ("QuantizeLinear", "x,s,z", "q"),
        ("DequantizeLinear", "q,s,z", "d"),
        ("DequantizeLinear", "w,s,v", "e"),
        ("Conv", "d,e", "c"),
        ("QuantizeLinear", "c,s,z", "r"),
        ("DequantizeLinear", "r,s,z", "y"),
        **{"s": np.float32(0.1), "z": np.uint8(0), "v": np.zeros((), weights), "w": W.astype(weights)},
    )


def test_layers_in_int8() -> None:
    mixed, same = placement(quantised_convolution("int8")), placement(quantised_convolution("uint8"))
    assert mixed is not None
    assert same is not None
    assert mixed["NNAPI"]["taken"] == mixed["QNN"]["taken"] == 6
    assert mixed["XNNPACK"]["taken"] == 0
    assert mixed["XNNPACK"]["left"][1] == {
        "why": "takes images and weights of one type, not uint8 and int8", "operators": {"Conv": 1}, "help": FLOAT
    }  # fmt: skip
    assert same["XNNPACK"]["taken"] == 4  # the layer, what dequantises for it and what quantises behind
    assert same["Core ML"]["left"] == [
        {"why": MISSING, "operators": {"DequantizeLinear": 3, "QuantizeLinear": 2}, "help": FLOAT}
    ]


def test_what_helps_is_said() -> None:
    boxes = [
        ("NonMaxSuppression", "x,scores", "kept"),
        ("Cast", "kept", "y", {"to": 1}),
    ]
    scores = {"scores": np.ones((1, 1, 5), np.float32)}
    fixed, unfixed = (
        placement(model(*boxes, sides=[1, 5, 4], **scores)),
        placement(model(CONV, w=W, sides=["n", 3, 8, 8])),
    )
    assert fixed is not None
    assert unfixed is not None
    assert [row["help"] for row in fixed["NNAPI"]["left"]] == [SUPPRESSION, SUPPRESSION]
    assert fixed["QNN"]["taken"] == 1
    assert fixed["XNNPACK"]["left"] == [{"why": MISSING, "operators": {"NonMaxSuppression": 1, "Cast": 1}}]
    assert unfixed["QNN"]["left"] == [{"why": OPEN, "operators": {"Conv": 1}, "help": BATCH}]


def test_constants_and_what_depends_on_them_alone_do_not_count() -> None:
    halved = model(("Cast", "w", "v", {"to": 1}), ("Identity", "v", "u"), ("Conv", "x,u", "y"), w=W.astype("float16"))
    found = placement(halved)
    assert found is not None
    assert {(each["nodes"], each["taken"]) for each in found.values()} == {(1, 1)}


def test_pieces_and_mult_adds_are_those_that_onnx_runtime_counts() -> None:
    """A way to the accelerator and back for each; the cumulative sum runs on the CPU and one branch waits for it."""
    from onnxruntime.tools.mobile_helpers.usability_checker import check_coreml_partitions, check_nnapi_partitions

    nodes = [
        ("Conv", "x,w", "a"),
        ("Relu", "a", "b"),
        ("CumSum", "b,axis", "c"),
        ("Sigmoid", "b", "d"),
        ("Add", "c,d", "e"),
        ("Conv", "e,u", "y"),
    ]
    made = model(*nodes, w=W, u=np.ones((2, 4, 1, 1), np.float32), axis=np.int64(1))
    found = placement(made)
    assert found is not None
    whole = onnx.shape_inference.infer_shapes(made)
    theirs = {
        "NNAPI": check_nnapi_partitions(whole, True),
        "Core ML": check_coreml_partitions(whole, True, "coreml_supported_mlprogram_ops.md"),
    }
    for name, each in theirs.items():
        told = found[name]
        assert (told["nodes"], told["taken"], told["pieces"]) == (
            each.num_nodes, each.num_supported_nodes, each.num_partitions
        )  # fmt: skip
    assert found["NNAPI"]["pieces"] == 2
    assert found["XNNPACK"]["pieces"] is None
    unread = placement(model(("Conv", "x,w", "a"), ("MatMul", "a,k", "y"), w=W, k=np.ones((6, 5), np.float32)))
    assert unread is not None
    multiplied = 6 * 6 * 4 * 27, 6 * 6 * 4 * 5
    assert unread["XNNPACK"]["mult_adds"] == pytest.approx(multiplied[0] / sum(multiplied), abs=1e-4)


def test_graphs_within_nodes_are_not_looked_into() -> None:
    from onnx import TensorProto, helper

    out = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    inner = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["z"])],
        "branch",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
    )
    node = helper.make_node("If", ["sure"], ["y"], then_branch=inner, else_branch=inner)
    ports = [
        helper.make_tensor_value_info("sure", TensorProto.BOOL, []),
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]),
    ]
    made = helper.make_model(
        helper.make_graph([node], "g", ports, out), opset_imports=[helper.make_opsetid("", 18)], ir_version=8
    )
    found = placement(made)
    assert found is not None
    assert {row["why"] for each in found.values() for row in each["left"]} == {
        "holds graphs of its own, which are not looked into"
    }


def test_nodes_that_are_none_are_left_to_the_cpu() -> None:
    from onnx import helper

    for damage in ("input", "output", "attribute"):
        made = model(("MaxPool", "x", "y", {"kernel_shape": [2, 2]}))
        made.graph.node[0].ClearField(damage)
        if damage == "attribute":
            made.graph.node[0].attribute.append(helper.make_attribute("kernel_shape", 2))
        graph = Sized(made, made)
        why = {each.name: each.refusal(graph.nodes[0], graph) for each in runtimes()}
        assert damage == "output" or why["XNNPACK"] == "not written as ONNX has it"


def test_a_reason_in_words() -> None:
    row = {"why": MISSING, "operators": {"TopK": 2, "Where": 1, "CumSum": 1}}
    assert reason(row, 3) == "TopK 2, Where 1, CumSum 1: no such operator"
    assert reason(row, 1) == "TopK 2 and 2 more: no such operator"


def test_the_lists_are_read_whole() -> None:
    sizes = {each.name: len(each.operators) for each in runtimes()}
    assert sizes["NNAPI"] > 40
    assert sizes["Core ML"] > 40
    assert {"ai.onnx:Conv", "ai.onnx:Relu"} <= runtimes()[1].operators
