"""From a graph in float32 to one in int8."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.formats.base import quiet
from mobilevision.deploy.formats.onnx_int8.gptq import REDUCED, rounded, steps
from mobilevision.deploy.formats.onnx_int8.layers import LINEAR, WEIGHTLESS_OPERATORS, Layer, layers, weightless_nodes
from mobilevision.deploy.formats.onnx_int8.ranges import Gram, best, observe
from mobilevision.deploy.precision import Precision

Bounds = tuple[float, float]


def quantise(source: Path, target: Path, precision: Precision, most: int = REDUCED) -> None:
    """Write a float32 graph again in int8, for ONNX Runtime: QDQ, uint8 activations, int8 weights a channel.

    Weights are in 7 bits, so that no kernel of a processor without VNNI saturates
    (:data:`mobilevision.deploy.formats.onnx_int8.gptq.REDUCED`). uint8 weights round 128, which are computed
    exactly everywhere, too, take 1.6 times as long where there is VNNI.

    Args:
        source: the graph in float32.
        target: the file to be written.
        precision: calibration images, and the layers to leave alone.
        most: steps of a channel's largest weight.
    """
    from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

    assert precision.calibration is not None
    model = load_model_with_shape_infer(source)
    every = layers(model)
    chosen = [layer for layer in every if not precision.keeps(layer.name)]
    beside = list(weightless_nodes(model))
    ranges, grams = calibrate(model, chosen, beside, precision.calibration)
    overrides = round_weights(model, chosen, grams, most)
    kept = [layer for layer in every if layer not in chosen]
    protect(model, kept, ranges)
    with_integers(model, chosen, beside, ranges, overrides).save_model_to_file(str(target))


def calibrate(
    model: Any, chosen: Sequence[Layer], beside: Iterable[Any], pixels: NDArray[np.uint8]
) -> tuple[dict[str, Bounds], dict[str, Gram]]:
    """The range of every tensor that is to be held in integers, and how the layers' inputs go together."""
    constants = {each.name for each in model.graph.initializer}
    nodes = [*(layer.node for layer in chosen), *beside]
    tensors = dict.fromkeys(name for node in nodes for name in (*node.input[:2], node.output[0]) if name)
    values, grams = observe(model, chosen, [name for name in tensors if name not in constants], pixels)
    return {name: best(each) for name, each in values.items()}, grams


def round_weights(
    model: Any, chosen: Sequence[Layer], grams: Mapping[str, Gram], most: int = REDUCED
) -> dict[str, list[dict[str, Any]]]:
    """Put rounded weights, and biases that make good for it, into the model.

    Returns:
        The step of each channel of each weight, as ONNX Runtime's quantiser is told of it.
    """
    from onnx import TensorProto, numpy_helper
    from onnxruntime.quantization import QuantType

    constants = {each.name: each for each in model.graph.initializer}
    told = {}
    for layer in chosen:
        weight, shift = rounded(layer.rows, grams[layer.name].mean, most)
        name = layer.node.input[1]
        constants[name].CopyFrom(numpy_helper.from_array(layer.shaped(weight), name))
        if len(layer.node.input) > 2:
            bias = constants[layer.node.input[2]]
            moved = (numpy_helper.to_array(bias) + shift).astype(np.float32)
            bias.CopyFrom(numpy_helper.from_array(moved, bias.name))
        kind = {"axis": layer.axis, "quant_type": QuantType.QInt8}
        zero = np.array(0, np.int8)
        told[name] = [{**kind, "scale": np.float32(each), "zero_point": zero} for each in steps(layer.rows, most)]
    assert all(each.data_type != TensorProto.UNDEFINED for each in constants.values())
    return told


def protect(model: Any, kept: Sequence[Layer], ranges: dict[str, Bounds]) -> None:
    """Keep ONNX Runtime from putting layers that are to stay in float32 into integers on its own.

    It does so, a whole tensor at a step, with every layer whose input and output are held in integers with nothing in
    between, and it takes out activations that their range repeats. So something has to be in between that the range
    does not repeat: a clip to a range whose lower end is one step above the lowest integer.
    """
    from onnx import helper, numpy_helper

    for layer in kept:
        after = layer.result
        users = [node for node in model.graph.node if after in node.input]
        if len(users) == 1 and users[0].op_type in ("Clip", "Relu"):
            after = users[0].output[0]
        if after not in ranges:
            continue
        low, high = ranges[after]
        ranges[after] = (low - (high - low) / 254, high)
        if after != layer.result:
            continue
        ends = {"low": low, "high": high}.items()
        bounds = [numpy_helper.from_array(np.array(value, np.float32), f"{after}_{end}") for end, value in ends]
        model.graph.initializer.extend(bounds)
        layer.node.output[0] = f"{after}_whole"
        names = [layer.node.output[0], *(each.name for each in bounds)]
        clip = helper.make_node("Clip", names, [after], name=f"{layer.node.name}_clip")
        model.graph.node.insert(list(model.graph.node).index(layer.node) + 1, clip)


def with_integers(
    model: Any,
    chosen: Sequence[Layer],
    beside: Iterable[Any],
    ranges: Mapping[str, Bounds],
    overrides: Mapping[str, list[dict[str, Any]]],
) -> Any:
    """ONNX Runtime's quantiser on these nodes; the model is changed."""
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    names = [*(layer.node.name for layer in chosen), *(node.name for node in beside)]
    known = {name: tuple(np.float32(end) for end in bounds) for name, bounds in ranges.items()}
    quantiser = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, known),
        nodes_to_quantize=names,
        nodes_to_exclude=[],
        op_types_to_quantize=[*LINEAR, *WEIGHTLESS_OPERATORS],
        extra_options={
            # A matrix product can give float32 from integers: scores need no rounding.
            "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"],
            "TensorQuantOverrides": dict(overrides),
        },
    )
    with quiet():
        quantiser.quantize_model()
    return quantiser.model
