"""Records whose pictures all lie in one array."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilevision.data.decode import resample, to_mode
from mobilevision.data.records import Box, Pixels, Records


@final
class ArrayRecords(Records):
    """Small pictures of one size, in memory.

    Args:
        pictures: uint8 [n, height, width, 3].
        targets: what is to be learnt, sample first.
        channels: 1, 3 or 4.
        label: what the names begin with, say ``cifar10/train``.
    """

    def __init__(self, *, pictures: NDArray[np.uint8], targets: NDArray[Any], channels: int, label: str) -> None:
        self._pictures, self.targets, self._channels, self._label = pictures, targets, channels, label

    def name(self, index: int) -> str:
        """``cifar10/train/17``."""
        return f"{self._label}/{index}"

    def shape(self, index: int) -> tuple[int, int]:
        """(height, width), the same for all."""
        _, height, width, _ = self._pictures.shape
        return height, width

    def pixels(
        self, index: int, *, box: Box | None = None, size: tuple[int, int] | None = None, exact: bool = False
    ) -> Pixels:
        """See :class:`Records`."""
        return resample(to_mode(Image.fromarray(self._pictures[index]), self._channels), box, size)
