"""How the numbers of an exported model are held: float32, float16, or int8 by what real pictures showed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

PrecisionName = Literal["float32", "float16", "int8"]


@final
@dataclass(frozen=True)
class Precision:
    """What a format is to write.

    Attributes:
        name: ``float32``; ``float16``; or ``int8``, static ranges of the weights for each channel that goes out and of
            the activations for each tensor.
        calibration: for ``int8``, uint8 [N, C, H, W]: pictures of training as the model takes them, whose activations
            give the ranges.
        keep: layers that stay in float32 although the rest does not, by their names in the task, such as
            ``head.classifiers.0``.
    """

    name: PrecisionName = "float32"
    calibration: NDArray[np.uint8] | None = None
    keep: tuple[str, ...] = ()


FLOAT32 = Precision()
