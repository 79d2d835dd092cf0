"""int8 for OpenVINO: ranges from pictures, by NNCF."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mobilevision.deploy.formats.silence import silent

if TYPE_CHECKING:
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision


def quantized(model: Any, source: Path, graph: Graph, precision: Precision) -> Any:
    """The model in int8.

    Args:
        model: an ``openvino.Model``.
        source: the ONNX file that it was read from, whose names its operations bear.
        graph: what was written.
        precision: with pictures, and layers that are to stay in float32.
    """
    assert precision.calibration is not None
    kept = _operations(source, [name for name, _ in graph.task.named_modules() if precision.keeps(name)])
    dtype = np.uint8 if graph.dtype == "uint8" else np.float32
    pictures = [each[None].astype(dtype) for each in precision.calibration]
    with _alone():
        import nncf

        names = [each.get_friendly_name() for each in model.get_ordered_ops()]
        ignored = [name for name in names if name.partition("/")[0] in kept]
        return nncf.quantize(
            model,
            nncf.Dataset(pictures),
            subset_size=len(pictures),
            # Ranges round 0, the default, come out wrong on some processors where the batch is not fixed.
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=ignored, validate=False),
        )


def largest_weight(model: Any) -> int:
    """The largest weight of a model in int8, in steps and without its sign; 0 where none is in integers."""
    largest = 0
    for each in model.get_ordered_ops():
        if each.get_type_name() != "Constant" or each.get_element_type().get_type_name() != "i8" or not each.shape:
            continue
        weight, middle = each.data.astype(int), _zero_point(each)
        largest = max(largest, int(np.abs(weight - middle).max(initial=0)))
    return largest


def _zero_point(weight: Any) -> Any:
    """What is subtracted from an integer weight after its conversion to float32; 0 where nothing is."""
    for user in [port.get_node() for port in weight.output(0).get_target_inputs()]:
        for then in [port.get_node() for port in user.output(0).get_target_inputs()]:
            if user.get_type_name() == "Convert" and then.get_type_name() == "Subtract":
                constant = then.input_value(1).get_node()
                if constant.get_type_name() == "Convert":
                    constant = constant.input_value(0).get_node()
                return np.rint(constant.data).astype(int)
    return 0


def _operations(source: Path, layers: Sequence[str]) -> set[str]:
    """Names of the ONNX file's operations that take a weight of these layers."""
    import onnx

    weights = tuple(f"task.{layer}." for layer in layers)
    nodes = onnx.load(source).graph.node
    return {node.name for node in nodes if any(name.startswith(weights) for name in node.input)} if weights else set()


@contextmanager
def _alone() -> Iterator[None]:
    """NNCF without its notes to the console, and without those that it sends home about its use."""
    quiet, disabled = os.environ.get("NNCF_CI"), logging.root.manager.disable
    os.environ["NNCF_CI"] = "1"
    logging.disable(logging.ERROR)
    try:
        with silent(), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(disabled)
        if quiet is None:
            del os.environ["NNCF_CI"]
