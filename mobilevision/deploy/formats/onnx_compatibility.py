"""ONNX graphs for runtimes that take less: of one batch size, in an older operator set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilevision.errors import UserError

OPSETS = {
    13: (7, "1.7"),
    14: (7, "1.8"),
    15: (8, "1.10"),
    16: (8, "1.11"),
    17: (8, "1.12"),
    18: (8, "1.14"),
    19: (9, "1.15"),
    20: (9, "1.17"),
}
"""Operator set -> the version of the file format (IR) that it takes, and the first ONNX Runtime that has both."""

_FIRST_WITH_OPSET = (
    {8: "0.1", 9: "0.3", 10: "0.4", 11: "1.0", 12: "1.3"}
    | {opset: first for opset, (_, first) in OPSETS.items()}
    | {21: "1.18"}
)
_FIRST_WITH_IR = {3: "0.1", 5: "0.4", 6: "1.0", 7: "1.7", 8: "1.10", 9: "1.15", 10: "1.18"}


def oldest_runtime(opset: int, ir: int) -> str | None:
    """The first ONNX Runtime that has both; None of those that came after its table (1.20), or of none.

    As https://onnxruntime.ai/docs/reference/compatibility.html says, later where older ones were tried and failed.
    """
    found = []
    for wanted, table in ((opset, _FIRST_WITH_OPSET), (ir, _FIRST_WITH_IR)):
        if wanted > max(table):
            return None
        found.append(next(first for number, first in table.items() if number >= wanted))
    return max(found, key=lambda version: [int(part) for part in version.split(".")])


DEFAULT_OPSET = 18
"""The operator set of graphs as they are traced."""

_LARGEST = 4_000_000  # elements of a constant that is computed ahead
_KEPT = ("DequantizeLinear", "QuantizeLinear")  # a runtime reads layers in int8 off them


# One batch size: what depends on it becomes constants.


def with_batch(model: Any, batch: int) -> Any:
    """A graph for so many images at once, in which no size is computed any more.

    NNAPI and Core ML take no graph with an open size, and OpenCV reads none.

    Args:
        model: an ``onnx.ModelProto`` whose inputs and outputs have the batch first; it is left as it is.
        batch: images at once.
    """
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    graph = fixed.graph
    del graph.value_info[:]
    for port in (*graph.input, *graph.output):
        sides = port.type.tensor_type.shape.dim
        if len(sides) and not sides[0].HasField("dim_value"):
            sides[0].dim_value = batch
    while True:
        shapes = _shapes(fixed)
        constants = {each.name: each for each in graph.initializer}
        if not _fold(fixed, shapes, constants):
            break
    _drop_unused(graph)
    graph.value_info.extend(onnx.shape_inference.infer_shapes(fixed).graph.value_info)
    return fixed


def _shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """Of every tensor whose sides are all known."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    found = {each.name: tuple(each.dims) for each in graph.initializer}
    for port in (*graph.input, *graph.value_info, *graph.output):
        kind = port.type.tensor_type
        if kind.HasField("shape") and all(side.HasField("dim_value") for side in kind.shape.dim):
            found[port.name] = tuple(side.dim_value for side in kind.shape.dim)
    return found


def _fold(model: Any, shapes: Mapping[str, tuple[int, ...]], constants: dict[str, Any]) -> bool:
    """Put constants in place of what they alone decide; whether anything was found."""
    from onnx import numpy_helper

    graph, changed, left = model.graph, False, []
    same: dict[str, str] = {}
    outputs = {port.name for port in graph.output}
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = same.get(name, name)
        values = _value_of(node, model, shapes, constants)
        if values is not None:
            for name, value in zip(node.output, values, strict=True):
                constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
                graph.initializer.append(constants[name])
            changed = True
        elif _does_nothing(node, shapes) and node.output[0] not in outputs:
            same[node.output[0]] = node.input[0]
            changed = True
        else:
            left.append(node)
    kept = [type(node).FromString(node.SerializeToString()) for node in left]
    del graph.node[:]
    graph.node.extend(kept)
    return changed


def _value_of(
    node: Any, model: Any, shapes: Mapping[str, tuple[int, ...]], constants: Mapping[str, Any]
) -> list[NDArray[Any]] | None:
    """What a node gives, where that is known before any image is; None where it is not."""
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    if node.op_type == "Shape" and node.input[0] in shapes:
        given = {each.name: each.i for each in node.attribute}
        sides = shapes[node.input[0]][given.get("start", 0) : given.get("end")]
        return [np.array(sides, np.int64)]
    known = [constants[name] for name in node.input if name in constants]
    if node.op_type in _KEPT or len(known) < len([name for name in node.input if name]):
        return None
    if any(each.data_type == TensorProto.FLOAT16 for each in known):  # weights stay in 16 bits
        return None
    if any(name in shapes and np.prod(shapes[name], dtype=float) > _LARGEST for name in node.output):
        return None
    ports = [helper.make_empty_tensor_value_info(name) for name in node.output]
    alone = helper.make_graph([node], "constants", [], ports, initializer=known)
    model = helper.make_model(alone, opset_imports=model.opset_import, ir_version=model.ir_version)
    return list(ReferenceEvaluator(model).run(None, {}))


def _does_nothing(node: Any, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a node repeats a tensor that has the shape asked for, or gives it as it is."""
    if node.op_type == "Identity":
        return True
    there = [shapes.get(name) for name in (node.input[0], node.output[0])] if node.op_type == "Expand" else [None]
    return there[0] is not None and there[0] == there[-1]


def _drop_unused(graph: Any) -> None:
    used = {name for node in graph.node for name in node.input} | {port.name for port in graph.output}
    kept = [type(each).FromString(each.SerializeToString()) for each in graph.initializer if each.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


# An older operator set: each operator as that one writes it.


def in_opset(model: Any, opset: int) -> Any:
    """The same graph in another operator set, in the oldest version of the file format that has it.

    Args:
        model: an ``onnx.ModelProto`` of :data:`DEFAULT_OPSET`; it is left as it is.
        opset: one of :data:`OPSETS`.

    Raises:
        UserError: the graph has an operator that the set lacks.
    """
    older = _rewritten(model, opset)
    if (
        operator_set(model).version == opset
    ):  # as it was traced; a plugin may have operators that the checker does not know
        return older
    if (why := _problem(older)) is not None:
        fits = [each for each in OPSETS if opset < each <= DEFAULT_OPSET and _problem(_rewritten(model, each)) is None]
        fix = f"take --opset {fits[0]}" if fits else "leave --opset out"
        raise UserError(f"--opset {opset}: this model has operators that came later ({why}): {fix}")
    return older


def _rewritten(model: Any, opset: int) -> Any:
    import onnx

    if opset > operator_set(model).version:
        other = onnx.version_converter.convert_version(model, opset)
    else:
        other = onnx.ModelProto()
        other.CopyFrom(model)
        for node in other.graph.node:
            if node.domain in ("", "ai.onnx") and opset < operator_set(model).version:
                _rewrite(node, {each.name: each for each in other.graph.initializer})
        _drop_unused(other.graph)
        operator_set(other).version = opset
    other.ir_version = OPSETS[opset][0]
    return other


def operator_set(model: Any) -> Any:
    """The note of a model's operator set of ONNX itself, beside those of other domains."""
    return next(each for each in model.opset_import if each.domain in ("", "ai.onnx"))


def _problem(model: Any) -> str | None:
    """What is no valid ONNX in a model; None where it is valid."""
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # of several classes, C++'s among them
        return " ".join(str(error).partition("==>")[0].split())[:160]
    return None


_LATER: dict[str, dict[str, Any]] = {
    "ReduceMean": {"noop_with_empty_axes": 0},
    "ReduceMax": {"noop_with_empty_axes": 0},
    "ReduceMin": {"noop_with_empty_axes": 0},
    "ReduceL2": {"noop_with_empty_axes": 0},
    "Reshape": {"allowzero": None},  # no side is 0
    "Resize": {"antialias": 0, "keep_aspect_ratio_policy": b"stretch"},
    "ScatterElements": {"reduction": b"none"},
    "ScatterND": {"reduction": b"none"},
    "Split": {"num_outputs": None},
}
"""By operator, attributes that came after set 13, and the value that is as if they were not there; None: any."""

_AXES = ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceL2")  # an input from 18 on, an attribute before


def _rewrite(node: Any, constants: Mapping[str, Any]) -> None:
    """Write a node as sets before 18 do; what cannot be written so is left, and is then no valid ONNX."""
    from onnx import helper, numpy_helper

    plain = _LATER.get(node.op_type, {})
    kept = [
        each
        for each in node.attribute
        if each.name not in plain or plain[each.name] not in (None, helper.get_attribute_value(each))
    ]
    del node.attribute[:]
    node.attribute.extend(kept)
    if node.op_type in _AXES and len(node.input) > 1 and node.input[1] in constants:
        node.attribute.append(helper.make_attribute("axes", numpy_helper.to_array(constants[node.input[1]]).tolist()))
        del node.input[1:]
