"""int8 for LiteRT: ranges from images, by AI Edge Quantizer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ai_edge_quantizer import qtyping, quantizer

from mobilevision.errors import UserError

if TYPE_CHECKING:
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision

_LAYERS = (
    qtyping.TFLOperationName.CONV_2D,
    qtyping.TFLOperationName.DEPTHWISE_CONV_2D,
    qtyping.TFLOperationName.FULLY_CONNECTED,
)


def quantize(path: Path, graph: Graph, precision: Precision) -> None:
    """Replace a file in float32 by one whose layers are in int8.

    Raises:
        UserError: a layer is to stay in float32: the file does not say which is which.
    """
    assert precision.calibration is not None
    if precision.keep:
        raise UserError(f"--keep-float {precision.keep[0]}: format litert quantises every layer; leave it out")
    dtype = np.uint8 if graph.dtype == "uint8" else np.float32
    work = quantizer.Quantizer(path.read_bytes())
    for layer in _LAYERS:
        work.add_static_config(regex=".*", operation_name=layer, activation_num_bits=8, weight_num_bits=8)
    images = [{"args_0": each[None].astype(dtype)} for each in precision.calibration]
    ranges = work.calibrate({"serving_default": images}, num_threads=1)
    path.write_bytes(bytes(work.quantize(ranges, enable_progress_report=False).quantized_model))
