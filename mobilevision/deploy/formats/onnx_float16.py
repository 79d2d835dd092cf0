"""ONNX with its weights in float16 and its sums in float32: half the file, for every runtime and at its usual speed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

_FEWEST = 64  # smaller constants are sizes and bounds, which gain nothing


def halve(source: Path, target: Path) -> None:
    """Write a float32 graph again with weights in float16, which the runtime widens once, when it loads the file."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(source)
    widening = []
    for constant in model.graph.initializer:
        if constant.data_type != TensorProto.FLOAT or np.prod(constant.dims, dtype=int) < _FEWEST:
            continue
        name, largest = constant.name, float(np.finfo(np.float16).max)
        halved = numpy_helper.to_array(constant).clip(-largest, largest).astype(np.float16)
        constant.CopyFrom(numpy_helper.from_array(halved, f"{name}_half"))
        widening.append(helper.make_node("Cast", [constant.name], [name], name=f"{name}_widened", to=TensorProto.FLOAT))
    for place, node in enumerate(widening):
        model.graph.node.insert(place, node)
    onnx.save(model, target)
