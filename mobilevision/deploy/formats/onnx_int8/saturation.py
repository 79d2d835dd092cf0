"""Whether the weights of an int8 file can make kernels saturate, read from the file itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np

_LARGEST_SUM = 2**15 - 1  # of two products, in 16 bits
_LARGEST_ACTIVATION = 255


def can_saturate(largest_weight: int) -> bool:
    """Whether two products of activations (0 to 255) and weights up to this one may not fit in 16 bits together."""
    return 2 * _LARGEST_ACTIVATION * largest_weight > _LARGEST_SUM


def largest_weight(path: Path) -> int:
    """The largest weight of an ONNX file in int8, in steps and without its sign; 0 where none is in integers.

    Zero points are taken off. Biases, which are int32, are not weights.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    constants = {each.name: each for each in model.graph.initializer}
    largest = 0
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in constants:
            continue
        weight = numpy_helper.to_array(constants[node.input[0]])
        if weight.dtype in (np.int8, np.uint8):
            zeros = numpy_helper.to_array(constants[node.input[2]]).astype(int) if len(node.input) > 2 else np.array(0)
            middle = zeros if zeros.ndim == 0 else zeros.ravel()[0]  # symmetric: one for all channels
            largest = max(largest, int(np.abs(weight.astype(int) - middle).max(initial=0)))
    return largest
