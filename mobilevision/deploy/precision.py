"""How the numbers of an exported model are held: float32, float16, or int8 by what real images showed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.errors import UserError

PrecisionName = Literal["float32", "float16", "int8"]


@final
@dataclass(frozen=True)
class Precision:
    """What a format is to write.

    Attributes:
        name: ``float32``; ``float16``; or ``int8``, static ranges of the weights for each channel that goes out and of
            the activations for each tensor.
        calibration: for ``int8``, uint8 [N, C, H, W]: images of training as the model takes them, whose activations
            give the ranges.
        keep: layers that stay in float32 although the rest does not, by their names in the task, such as
            ``head.classifiers.0``.
    """

    name: PrecisionName = "float32"
    calibration: NDArray[np.uint8] | None = None
    keep: tuple[str, ...] = ()

    def keeps(self, layer: str) -> bool:
        """Whether a layer stays in float32: ``keep`` has its name, or that of a module around it."""
        return any(f"{layer}.".startswith(f"{name}.") for name in self.keep)

    def check(self, layers: Sequence[str]) -> None:
        """See that ``keep`` names what is there.

        Args:
            layers: the names of all layers.

        Raises:
            UserError: a name that no layer has, with the nearest one.
        """
        for name in self.keep:
            if not any(f"{layer}.".startswith(f"{name}.") for layer in layers):
                near = get_close_matches(name, layers, n=1, cutoff=0.3)
                hint = f"did you mean {near[0]}? " if near else ""
                first = ", ".join(layers[:4])
                raise UserError(f"--keep-float {name}: there is no such layer; {hint}the first are {first}")


FLOAT32 = Precision()
