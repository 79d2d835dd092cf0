"""Weights in few bits that leave a layer's outputs as they were: GPTQ (Frantar et al. 2023, arXiv 2210.17323).

Each weight is rounded in turn, and what that does to the outputs is made good by the weights that still are to come, as
far as the inputs go together; the bias, which needs no rounding, comes last. On MobileNets of real runs this left a
thirtieth of the noise of rounding each weight to its nearest step.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

WHOLE = 127
"""Steps of a row's largest weight where all 8 bits are used."""

REDUCED = 64
"""The same in 7 bits. Kernels of x86 processors without VNNI (vpmaddubsw of AVX2 and AVX-512BW, pmaddubsw of SSE) add
two products of an activation (0 to 255) and a weight in 16 bits, and cut off what does not fit: 2 x 255 x 127 does not,
2 x 255 x 64 does, whichever two weights a kernel puts together."""

_DAMP = 0.01  # of the mean square of the inputs: what images did not show must not blow up


def steps(weight: NDArray[np.floating], most: int) -> Doubles:
    """The step of each row of [O, d]: its largest weight becomes ``most`` of them."""
    step = np.abs(weight.astype(np.float64)).max(axis=1) / most
    return np.where(step > 0, step, 1.0)


def rounded(weight: NDArray[np.floating], gram: Doubles, most: int) -> tuple[Doubles, Doubles]:
    """Round weights.

    Args:
        weight: [O, d], a row for each channel that goes out.
        gram: [groups, d + 1, d + 1], the mean of x x' over the layer's sums, x ending with a 1.
        most: steps of a row's largest weight: :data:`WHOLE` or :data:`REDUCED`.

    Returns:
        Weights [O, d], each a whole multiple of its row's :func:`steps`, the largest of a row as it was, and what is to
        be added to the bias [O].
    """
    groups, size = len(gram), weight.shape[1]
    step = steps(weight, most).reshape(groups, -1)
    waiting = np.zeros((groups, step.shape[1], size + 1))
    waiting[..., :size] = weight.reshape(groups, -1, size)
    first, largest = waiting.copy(), np.abs(waiting).argmax(axis=2)
    factor = _factor(gram)
    done = np.zeros_like(waiting[..., :size])
    for place in range(size):
        now = waiting[..., place]
        on_step = np.clip(np.rint(now / step), -most, most) * step
        done[..., place] = np.where(largest == place, first[..., place], on_step)
        missing = (now - done[..., place]) / factor[:, place, place][:, None]
        waiting[..., place + 1 :] -= missing[..., None] * factor[:, None, place, place + 1 :]
    return done.reshape(weight.shape), waiting[..., size].ravel()


def _factor(gram: Doubles) -> Doubles:
    """The upper Cholesky factor of the inverse, as in the paper's algorithm 1."""
    damped, diagonal = gram.copy(), np.arange(gram.shape[1])
    damped[:, diagonal, diagonal] += _DAMP * gram[:, diagonal, diagonal].mean(axis=1)[:, None] + 1e-9
    factor: Doubles = np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1)
    return factor


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
