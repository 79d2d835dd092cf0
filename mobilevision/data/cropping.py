"""Pictures of which only a part counts, such as the face in a photo."""

from __future__ import annotations

import math
from typing import final

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.records import Records
from mobilevision.images.decode import UnreadablePictureError
from mobilevision.images.framing import CropBox
from mobilevision.images.pixels import Pixels


@final
class Cropped(Records):
    """Other records, of each picture only the part in its box, to whole pixels.

    Args:
        records: the pictures.
        boxes: float [n, 4], (x, y, width, height) in upright pixels; what lies outside the picture is cut off.
    """

    def __init__(self, records: Records, boxes: NDArray[np.float64]) -> None:
        self.records, self.boxes = records, boxes
        self.targets, self.groups = records.targets, records.groups

    def name(self, index: int) -> str:
        """As in the records underneath."""
        return self.records.name(index)

    def shape(self, index: int) -> tuple[int, int]:
        """(height, width) of the part."""
        _, _, width, height = self._part(index)
        return int(height), int(width)

    def pixels(
        self, index: int, *, box: CropBox | None = None, size: tuple[int, int] | None = None, exact: bool = False
    ) -> Pixels:
        """See :class:`Records`; ``box`` lies within the part."""
        left, top, width, height = self._part(index)
        x, y, w, h = box or (0.0, 0.0, width, height)
        return self.records.pixels(index, box=(left + x, top + y, w, h), size=size, exact=exact)

    def largest(self, index: int) -> tuple[str, float] | None:
        """As in the records underneath."""
        return self.records.largest(index)

    def scale(self, white_level: float) -> None:
        """Of the records underneath."""
        self.records.scale(white_level)

    def _part(self, index: int) -> CropBox:
        high, wide = self.records.shape(index)
        x, y, width, height = self.boxes[index].tolist()
        left, top = max(math.floor(x), 0), max(math.floor(y), 0)
        right, bottom = min(math.ceil(x + width), wide), min(math.ceil(y + height), high)
        if right <= left or bottom <= top:
            raise UnreadablePictureError(
                f"{self.name(index)}: the box to cut out ({x:g}, {y:g}, {width:g} x {height:g}) lies outside"
                f" the {wide} x {high} pixels of the picture"
            )
        return float(left), float(top), float(right - left), float(bottom - top)
