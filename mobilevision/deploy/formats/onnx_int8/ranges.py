"""The range of a tensor that 256 steps are spread over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.formats.onnx_int8.observed import Values

_STEPS = 255
_SHARES = np.linspace(1.0, 0.3, 29)  # of the whole range


def best(values: Values) -> tuple[float, float]:
    """The part of the range that gives the least squared error: rare large values may cost everything else its steps.

    Returns:
        (lowest, highest); 0 lies in it.
    """
    some = values.some
    ranges = [(values.low * share, values.high * share) for share in _SHARES]
    return min(ranges, key=lambda bounds: _error(some, *bounds))


def _error(values: NDArray[np.float32], low: float, high: float) -> float:
    step = (high - low) / _STEPS or 1.0
    zero = round(-low / step)
    rounded = (np.clip(np.rint(values / step) + zero, 0, _STEPS) - zero) * step
    return float(np.square(rounded - values).mean())
