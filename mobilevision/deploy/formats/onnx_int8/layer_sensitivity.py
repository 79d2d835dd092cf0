"""Which layers int8 hurts most: each alone in integers, all others as they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.formats.onnx_int8.layers import REMOVED, Layer, copied, layers, open_session, weightless_nodes
from mobilevision.deploy.formats.onnx_int8.writing import calibrate, round_weights, with_integers
from mobilevision.deploy.precision import Precision

_IMAGES = 16
_FEW = 3  # where hundreds of regions of each are looked at
_RANGE_IMAGES = 64  # for ranges: an order of layers needs fewer images than their best ranges
_CHOICES = ("NonMaxSuppression", "TopK")  # what comes after them jumps

Found = dict[str, NDArray[Any]]


def noise(source: Path, precision: Precision) -> dict[str, float]:
    """The error that each layer alone brings into the last layers' outputs, as a share of their mean square.

    Args:
        source: the graph in float32.
        precision: as for :func:`mobilevision.deploy.formats.onnx_int8.writing.quantise`.

    Returns:
        By the layer's name, the largest first.
    """
    from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

    assert precision.calibration is not None
    pixels = precision.calibration[:: max(1, len(precision.calibration) // _RANGE_IMAGES)]
    plain = load_model_with_shape_infer(source)
    chosen = [layer for layer in layers(plain) if not precision.keeps(layer.name)]
    beside = list(weightless_nodes(plain))
    ranges, grams = calibrate(plain, chosen, beside, pixels)
    run = _Ends(plain, pixels)
    found = {}
    for layer in chosen:
        model = copied(plain)
        alone = next(each for each in layers(model) if each.name == layer.name)
        overrides = round_weights(model, [alone], grams)
        own = [node for node in weightless_nodes(model) if node.input[0] == alone.result and node.op_type in REMOVED]
        found[layer.name] = run.error(with_integers(model, [alone], own, ranges, overrides).model)
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


@final
class _Ends:
    """The outputs of a model's last layers on some images, before anything is chosen by them.

    Regions that a second stage looks at stay those of the model in float32: another choice among like ones would be
    taken for an error.
    """

    def __init__(self, plain: Any, pixels: NDArray[np.uint8]) -> None:
        self.names = [layer.result for layer in _last(plain)]
        self.regions = [node.input[1] for node in plain.graph.node if node.op_type == "RoiAlign"]
        self.feed: Found = {plain.graph.input[0].name: pixels[: _FEW if self.regions else _IMAGES]}
        outputs = self._run(plain, [*self.names, *self.regions])
        self.reference = {name: outputs[name] for name in self.names}
        self.feed |= {f"{name}_reference": outputs[name] for name in self.regions}

    def error(self, model: Any) -> float:
        """Squared error over mean square, the mean over the last layers."""
        fixed = copied(model)
        for node in fixed.graph.node:
            if node.op_type == "RoiAlign":
                node.input[1] = f"{node.input[1]}_reference"
        outputs = self._run(fixed, self.names)
        shares = [_share(self.reference[name], outputs[name]) for name in self.names]
        return float(np.mean(shares))

    def _run(self, model: Any, names: Sequence[str]) -> Found:
        from onnx import TensorProto, helper

        wider = copied(model)
        del wider.graph.output[:]
        wider.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
        for name in self.feed.keys() - {port.name for port in wider.graph.input}:
            wider.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 4]))
        session = open_session(wider)
        kinds = {port.name: np.float32 if "float" in port.type else np.uint8 for port in session.get_inputs()}
        given = {name: self.feed[name].astype(kind) for name, kind in kinds.items()}
        return dict(zip(names, session.run(list(names), given), strict=True))


def _last(model: Any) -> list[Layer]:
    """The layers whose results reach no other layer, but through a choice among them."""
    found = layers(model)
    users: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if node.op_type not in _CHOICES and not (node.op_type == "RoiAlign" and place == 1):
                users.setdefault(name, []).append(node)
    nodes = {layer.node.name for layer in found}
    return [layer for layer in found if not _reaches(layer.result, users, nodes)]


def _reaches(start: str, users: Mapping[str, Sequence[Any]], nodes: set[str]) -> bool:
    waiting, seen = [start], {start}
    while waiting:
        for node in users.get(waiting.pop(), ()):
            if node.name in nodes:
                return True
            waiting += (fresh := [name for name in node.output if name not in seen])
            seen.update(fresh)
    return False


def _share(right: NDArray[Any], wrong: NDArray[Any]) -> float:
    right, wrong = right.astype(np.float64), wrong.astype(np.float64)
    return float(np.square(right - wrong).sum() / max(np.square(right).sum(), 1e-12))
