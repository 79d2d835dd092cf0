"""The accelerators of ONNX Runtime: which operators each takes, and under which conditions, as they publish it.

- NNAPI and Core ML (as an ML program): the lists that ONNX Runtime brings along for its own check of models for phones,
  ``nnapi_supported_ops.md`` and ``coreml_supported_mlprogram_ops.md``, read where it is installed, and conditions that
  stand in their notes.
- XNNPACK: https://github.com/microsoft/onnxruntime, ``onnxruntime/core/providers/xnnpack``:
  ``detail/node_support_checker.cc`` as of commit 6479e4b and what it asks of each operator (``nn/conv_base.cc``,
  ``nn/average_pool.cc``, ``nn/softmax.cc`` and ``math/matmul.cc`` as of d6efbe4, ``nn/max_pool.cc`` as of 6479e4b,
  ``math/gemm.cc`` as of 2944c6f, ``tensor/resize.cc`` as of 590497b).
- QNN: https://github.com/onnxruntime/onnxruntime-qnn, ``docs/execution_providers/QNN-ExecutionProvider.md`` of
  version 2.5.0: "Supported ONNX operators" and "Model requirements".
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, final

from mobilevision.deploy.formats.onnx_sizes import Sized

Rule = Callable[[Any, Sized], str | None]
"""A node and its graph in, why it is not taken out; None where it is."""

OPEN = "a size is open"
MISSING = "no such operator"
_PLAIN = "takes planes of pixels only"
_COMPUTED = "weights or settings are computed"
_PATTERN = "taken in another company only"


@final
@dataclass(frozen=True)
class Runtime:
    """An execution provider of ONNX Runtime.

    Attributes:
        name: as people call it.
        operators: ``domain:operator``.
        rules: by operator, what else it asks.
        fixed: whether it takes nodes of known sizes only.
        most_sides: of a tensor; None: any number.
        in_pieces: whether it takes runs of nodes, and not one by one.
    """

    name: str
    operators: frozenset[str]
    rules: Mapping[str, Rule] = field(default_factory=dict)
    fixed: bool = True
    most_sides: int | None = None
    in_pieces: bool = True

    def refusal(self, node: Any, graph: Sized) -> str | None:
        """Why it does not take a node; None where it does."""
        if f"{node.domain or 'ai.onnx'}:{node.op_type}" not in self.operators:
            return MISSING
        if self.fixed and any(map(graph.is_open, node.input)):
            return OPEN
        if self.most_sides and any(len(graph.sides.get(name, ())) > self.most_sides for name in node.input):
            return f"more than {self.most_sides} sides"
        if (rule := self.rules.get(node.op_type)) is None:
            return None
        try:
            return rule(node, graph)
        except (
            IndexError,
            TypeError,
            ValueError,
        ):  # a stranger's node may lack inputs, or name a text where a number is
            return "not written as ONNX has it"


@functools.cache
def runtimes() -> tuple[Runtime, ...]:
    """All of them."""
    return (
        Runtime("NNAPI", _listed("nnapi_supported_ops.md"), _NNAPI),
        Runtime("Core ML", _listed("coreml_supported_mlprogram_ops.md"), _CORE_ML, most_sides=5),
        Runtime("QNN", _named(_QNN_OPERATORS), _QNN),
        Runtime("XNNPACK", _named(" ".join(_XNNPACK)), _XNNPACK, fixed=False, in_pieces=False),
    )


def _listed(name: str) -> frozenset[str]:
    """The operators of a list of ONNX Runtime's, which is not imported for it."""
    spec = find_spec("onnxruntime")
    assert spec is not None
    assert spec.origin is not None
    text = (Path(spec.origin).parent / "tools" / "mobile_helpers" / name).read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("|")]
    return frozenset(row[1].strip() for row in rows if len(row) > 2 and ":" in row[1])


def _named(operators: str) -> frozenset[str]:
    return frozenset(name if ":" in name else f"ai.onnx:{name}" for name in operators.split())


# Conditions.


def attribute(node: Any, name: str, default: Any) -> Any:
    """The value of a node's attribute, text as such."""
    from onnx import helper

    for each in node.attribute:
        if each.name == name:
            value = helper.get_attribute_value(each)
            return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return default


def _all(*rules: Rule) -> Rule:
    return lambda node, graph: next((why for rule in rules if (why := rule(node, graph))), None)


def _rank(*ranks: int) -> Rule:
    """The first input has so many sides, where that is known."""

    def rule(node: Any, graph: Sized) -> str | None:
        sides = graph.sides.get(node.input[0]) if node.input else None
        return _PLAIN if sides is not None and len(sides) not in ranks else None

    return rule


def _constant(*places: int) -> Rule:
    """Inputs at these places are constants, where they are there."""

    def rule(node: Any, graph: Sized) -> str | None:
        given = [node.input[place] for place in places if place < len(node.input) and node.input[place]]
        return None if all(map(graph.held, given)) else _COMPUTED

    return rule


def _typed(allowed: tuple[str, ...], *places: int) -> Rule:
    """Inputs at these places are of one of these types, as ONNX names them in small letters."""

    def rule(node: Any, graph: Sized) -> str | None:
        found = [type_of(node.input[place], graph) for place in places if place < len(node.input)]
        return next((f"takes {' or '.join(allowed)}, not {each}" for each in found if each not in allowed), None)

    return rule


def type_of(name: str, graph: Sized) -> str:
    """NumPy's name of a tensor's type."""
    from onnx import TensorProto

    number = graph.types.get(name, graph.stored[name].data_type if name in graph.stored else 0)
    if number not in TensorProto.DataType.values():
        return "an unknown type"
    told = str(TensorProto.DataType.Name(number)).lower()
    return {"float": "float32", "double": "float64", "undefined": "an unknown type"}.get(told, told)


def _set(name: str, default: Any, *allowed: Any) -> Rule:
    """An attribute has one of these values."""

    def rule(node: Any, graph: Sized) -> str | None:
        del graph
        value = attribute(node, name, default)
        return None if value in allowed else without(name, value)

    return rule


def without(name: str, value: Any) -> str:
    """Of a setting that a runtime lacks; the value may be a stranger's."""
    return f"not with {name}={str(value)[:24]}"


def _values(name: str, graph: Sized) -> list[Any] | None:
    """The numbers of a constant that is stored in the file; None where it is not, or is a large one."""
    from onnx import numpy_helper

    tensor = graph.stored.get(name)
    if tensor is None or tensor.data_location == tensor.EXTERNAL or sum(tensor.dims) > 64:
        return None
    try:
        return list(numpy_helper.to_array(tensor).ravel().tolist())
    except (ValueError, TypeError):  # fewer numbers than its sides say
        return None


def _not_negative(place: int) -> Rule:
    def rule(node: Any, graph: Sized) -> str | None:
        values = _values(node.input[place], graph) if place < len(node.input) else None
        return "not with negative numbers" if values is not None and min(values, default=0) < 0 else None

    return rule


_IMAGES, _QUANTISED = _rank(4), _constant(1, 2)

_NNAPI: dict[str, Rule] = {
    "Conv": _all(_IMAGES, _constant(1, 2)),
    "QLinearConv": _all(_IMAGES, _constant(1, 2, 3, 4, 5, 6, 7, 8)),
    **dict.fromkeys(("AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool", "Resize"), _IMAGES),
    "QLinearAveragePool": _all(_IMAGES, _constant(1, 2, 3, 4)),
    "QLinearSigmoid": _constant(1, 2, 3, 4),
    "QLinearAdd": _constant(1, 2, 4, 5, 6, 7),
    "QLinearMatMul": _constant(1, 2, 4, 5, 6, 7),
    "QuantizeLinear": _QUANTISED,
    "DequantizeLinear": _QUANTISED,
    "DepthToSpace": _set("mode", "DCR", "DCR"),
    "Gather": lambda node, graph: None if type_of(node.input[1], graph) == "int32" else _constant(1)(node, graph),
    "Pad": _all(_set("mode", "constant", "constant"), _constant(1, 2), _not_negative(1)),
    "Split": _constant(1),
    "Squeeze": _constant(1),
    "Unsqueeze": _constant(1),
}

_CORE_ML: dict[str, Rule] = {
    "And": _typed(("bool",), 0, 1),
    "Conv": _all(_rank(3, 4), _constant(2)),
    "ConvTranspose": _all(_constant(1, 2), _set("auto_pad", "NOTSET", "NOTSET", "VALID")),
    **dict.fromkeys(("AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool", "GridSample"), _IMAGES),
    "GatherND": _set("batch_dims", 0, 0),
    "Gemm": _constant(1),
    "Pow": _typed(("float32",), 0, 1),
    "Slice": _constant(1, 2, 3, 4),
    "Split": _constant(1),
    "Where": _typed(("float32", "float16"), 1, 2),
}

_QNN_OPERATORS = """
Abs Add And ArgMax ArgMin Asin Atan AveragePool BatchNormalization Cast CastLike Ceil Clip Concat Conv ConvInteger
ConvTranspose Cos CumSum DepthToSpace DequantizeLinear DynamicQuantizeLinear Div Einsum Elu Equal Exp Expand Flatten
Floor Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GridSample GRU
GroupNormalization HardSigmoid HardSwish Identity InstanceNormalization Inverse IsInf IsNaN LRN LSTM LayerNormalization
LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization LpPool MatMul MatMulInteger Max MaxPool Mean Min Mod Mul Neg
NonMaxSuppression NonZero Not Or OneHot PRelu Pad Pow QLinearMatMul QuantizeLinear RandomNormalLike RandomUniformLike
Range Reciprocal ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu RMSNormalization
Reshape Resize RoiAlign Round RotaryEmbedding STFT ScatterElements ScatterND Selu Shape Sigmoid Sign Sin Slice Softmax
Softplus SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Unsqueeze Upsample Where
Xor com.microsoft:DequantizeLinear com.microsoft:FusedMatMul com.microsoft:Gelu com.microsoft:GatherBlockQuantized
com.microsoft:GroupQueryAttention com.microsoft:MatMulNBits com.microsoft:QuantizeLinear com.microsoft:RMSNormalization
com.microsoft:QuickGelu com.microsoft:RotaryEmbedding com.microsoft:SimplifiedLayerNormalization
"""


def _fused(node: Any, graph: Sized) -> str | None:
    """An integer product is taken together with the node that quantises for it."""
    maker = graph.maker(node.input[0])
    return None if maker is not None and maker.op_type == "DynamicQuantizeLinear" else _PATTERN


def _quantises_for_a_product(node: Any, graph: Sized) -> str | None:
    users = {each.op_type for each in graph.consumers(node.output[0])}
    return None if users & {"ConvInteger", "MatMulInteger"} else _PATTERN


_QNN: dict[str, Rule] = {
    "ConvInteger": _fused,
    "MatMulInteger": _fused,
    "DynamicQuantizeLinear": _quantises_for_a_product,
    "LpNormalization": _set("p", 2, 2),
    "LpPool": _set("p", 2, 1, 2),
    "NonMaxSuppression": _all(_constant(2, 3, 4), _set("center_point_box", 0, 0)),
    "OneHot": _constant(1, 2),
    "Range": _constant(0, 1, 2),
}


# XNNPACK: node by node, on the CPU itself; of images it must know all but how many.


def _planes(node: Any, graph: Sized) -> str | None:
    sides = graph.sides.get(node.input[0])
    if sides is not None and len(sides) != 4:
        return _PLAIN
    return OPEN if sides is None or None in sides[1:] else None


_PADDING = _set("auto_pad", "NOTSET", "NOTSET", "VALID", "SAME_UPPER")


def _pooled(node: Any, graph: Sized) -> str | None:
    window = list(attribute(node, "kernel_shape", []))
    if len(window) != 2 or window == [1, 1]:
        return without("kernel_shape", window)
    if attribute(node, "ceil_mode", 0):
        return without("ceil_mode", 1)
    if len(node.output) > 1 and node.output[1]:
        return "not with places beside the values"
    counted = bool(attribute(node, "count_include_pad", 0))
    if node.op_type == "AveragePool" and counted != quantised(node, graph):  # in whole numbers it counts the padding
        return without("count_include_pad", int(counted))
    return None


def quantised(node: Any, graph: Sized) -> bool:
    """Whether a layer stands between nodes that dequantise and quantise, so that it runs in whole numbers."""
    maker = graph.maker(node.input[0])
    users = graph.consumers(node.output[0])
    return (
        maker is not None
        and maker.op_type == "DequantizeLinear"
        and bool(users)
        and all(each.op_type == "QuantizeLinear" for each in users)
        and node.output[0] not in graph.outputs
    )


def _convolution(node: Any, graph: Sized) -> str | None:
    if why := _planes(node, graph) or _PADDING(node, graph):
        return why
    if quantised(node, graph):
        maker, weights = graph.maker(node.input[0]), graph.maker(node.input[1])
        if weights is None or weights.op_type != "DequantizeLinear" or not graph.held(node.input[1]):
            return _COMPUTED
        kinds = type_of(maker.input[0], graph), type_of(weights.input[0], graph)
        if kinds not in (("int8", "int8"), ("uint8", "uint8")):
            return f"takes images and weights of one type, not {kinds[0]} and {kinds[1]}"
        return None
    stored = all(name in graph.constants for name in node.input[1:] if name)
    return _typed(("float32",), 0)(node, graph) or (None if stored else _COMPUTED)


def _product(node: Any, graph: Sized) -> str | None:
    """Of vectors with a constant matrix."""
    if why := _typed(("float32",), 0)(node, graph):
        return why
    if any(name not in graph.constants for name in node.input[1:] if name):
        return _COMPUTED
    known = [graph.sides.get(name) for name in node.input[:2]]
    if any(sides is None or len(sides) > 2 for sides in known):
        return "takes matrices only"
    if node.op_type == "MatMul":
        return OPEN if any(None in (sides or ()) for sides in known) else None
    return _all(_set("alpha", 1.0, 1.0), _set("beta", 1.0, 1.0))(node, graph)


def _softmax(node: Any, graph: Sized) -> str | None:
    sides = graph.sides.get(node.input[0])
    if not sides or sides[-1] is None:
        return OPEN
    last = attribute(node, "axis", -1 if graph.opset >= 13 else 1) in (-1, len(sides) - 1)
    if graph.opset >= 13 and not last:
        return without("axis", attribute(node, "axis", -1))
    if quantised(node, graph):
        return _typed(("uint8",), 0)(graph.maker(node.input[0]), graph)
    return _typed(("float32",), 0)(node, graph)


def _resized(node: Any, graph: Sized) -> str | None:
    sides, made = graph.sides.get(node.input[0]), graph.sides.get(node.output[0])
    if sides is not None and len(sides) != 4:
        return _PLAIN
    if sides is None or sides[1] is None:
        return OPEN
    how = attribute(node, "coordinate_transformation_mode", "half_pixel" if graph.opset > 10 else "asymmetric")
    known = made is not None and all(each and each > 1 for each in made[2:])
    if how not in ("asymmetric", "half_pixel", "align_corners") and not (how == "pytorch_half_pixel" and known):
        return without("coordinate_transformation_mode", how)
    plain = {"antialias": 0, "exclude_outside": 0, "extrapolation_value": 0.0, "keep_aspect_ratio_policy": "stretch"}
    settings = {**plain, "axes": None, "mode": "linear"}
    for name, value in settings.items():
        if (found := attribute(node, name, "nearest" if name == "mode" else value)) != value:
            return without(name, found)
    if not any(name in graph.constants for name in node.input[1:] if name):
        return _COMPUTED
    return _typed(("float32", "uint8", "int8"), 0)(node, graph)


def _activation(node: Any, graph: Sized) -> str | None:
    """Joins the layer before it."""
    before = graph.maker(node.input[0])
    joins = before is not None and before.op_type in ("Conv", "MaxPool", "AveragePool") and not quantised(before, graph)
    if not joins or _XNNPACK[before.op_type](before, graph) is not None:
        return "taken only behind a layer that is taken"
    stored = all(name in graph.constants for name in node.input[1:] if name)
    return None if stored else _COMPUTED


def _quantisation(node: Any, graph: Sized) -> str | None:
    """Goes with the layer that it quantises for."""
    layers = [graph.maker(node.input[0])] if node.op_type == "QuantizeLinear" else graph.consumers(node.output[0])
    goes = [
        layer is not None
        and layer.op_type in ("Conv", "MaxPool", "AveragePool", "Softmax", "Resize")
        and quantised(layer, graph)
        and _XNNPACK[layer.op_type](layer, graph) is None
        for layer in layers
    ]
    return None if goes and all(goes) else "taken only beside a layer that is taken"


_XNNPACK: dict[str, Rule] = {
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "QLinearConv": _all(_planes, _PADDING, _constant(1, 2, 3, 4, 5, 6, 7, 8)),
    "MaxPool": _all(_planes, _PADDING, _typed(("float32", "uint8", "int8"), 0), _pooled),
    "AveragePool": _all(_planes, _PADDING, _typed(("float32",), 0), _pooled),
    "Softmax": _softmax,
    "Resize": _resized,
    "Gemm": _product,
    "MatMul": _product,
    "Clip": _activation,
    "Relu": _activation,
    "QuantizeLinear": _quantisation,
    "DequantizeLinear": _quantisation,
}
