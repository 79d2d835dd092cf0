"""An embedded data set of attributes: drawn faces, a function of (seed, split, index). No file, no download."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, final

import numpy as np

from mobilevision.data.decode import MODES, resample, to_mode
from mobilevision.data.formats.base import DataFormat
from mobilevision.data.formats.drawn import DrawnCount, DrawnSide, DrawnTrain
from mobilevision.data.formats.drawn_faces_drawing import ATTRIBUTES, attributes, draw
from mobilevision.data.records import Box, Pixels, Records, Splits
from mobilevision.errors import UserError
from mobilevision.ranges import check_ranges

SPLITS = ("train", "val", "test")


@final
class DrawnFaces(DataFormat):
    """Faces with fifteen attributes, some rare, some that go with others, in any colours, places and turns.

    Args:
        train: number of training pictures.
        val: number of validation pictures.
        test: number of test pictures.
        side: side of the drawn pictures in pixels.
    """

    kinds: ClassVar[tuple[str, ...]] = ("attributes",)

    @check_ranges("data.format")
    def __init__(
        self, *, train: DrawnTrain = 4000, val: DrawnCount = 800, test: DrawnCount = 1000, side: DrawnSide = 64
    ) -> None:
        self.sizes, self.side = (train, val, test), side

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        if channels not in MODES:
            raise UserError(f"data.channels={channels}: drawn faces have 1 (grey), 3 (RGB) or 4 (RGBA)")
        train, val, test = (
            FaceRecords(split=split, n=n, side=self.side, channels=channels, seed=seed)
            for split, n in enumerate(self.sizes)
        )
        note = f"faces: drawn on the fly, {len(ATTRIBUTES)} attributes, {self.side} px, seed {seed}"
        return Splits(train, val, test, ATTRIBUTES, notes=[note])


@final
class FaceRecords(Records):
    """Drawn faces.

    Args:
        split: 0 train, 1 val, 2 test; each has pictures of its own.
        n: number of pictures.
        side: side in pixels.
        channels: 1, 3 or 4.
        seed: another seed, another set.
    """

    def __init__(self, *, split: int, n: int, side: int, channels: int, seed: int) -> None:
        self.split, self.side, self.channels, self.seed = split, side, channels, seed
        self.targets = attributes(np.random.default_rng((seed, split)).random((n, len(ATTRIBUTES))))

    def name(self, index: int) -> str:
        """``faces/train/17``."""
        return f"faces/{SPLITS[self.split]}/{index}"

    def shape(self, index: int) -> tuple[int, int]:
        """The drawn side, both ways."""
        return self.side, self.side

    def pixels(
        self, index: int, *, box: Box | None = None, size: tuple[int, int] | None = None, exact: bool = False
    ) -> Pixels:
        """See :class:`Records`."""
        rng = np.random.default_rng((self.seed, self.split, index, 1))
        has = dict(zip(ATTRIBUTES, (self.targets[index] > 0.5).tolist(), strict=True))
        return resample(to_mode(draw(rng, has, self.side), self.channels), box, size)
