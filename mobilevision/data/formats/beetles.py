"""An embedded data set of species: drawn beetles, a function of (seed, index). No file, no download."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, final

import numpy as np

from mobilevision.data.decode import MODES, resample, to_mode
from mobilevision.data.formats.base import DataFormat
from mobilevision.data.formats.beetles_drawing import CLASSES, GROUPS, draw
from mobilevision.data.formats.drawn import DrawnCount, DrawnSide, DrawnTrain
from mobilevision.data.records import Box, Pixels, Records, Splits
from mobilevision.errors import UserError
from mobilevision.ranges import check_ranges

SPLITS = ("train", "val", "test")


@final
class Beetles(DataFormat):
    """Twelve species in three families, in random colours, turned at random, in the grass.

    A family shows by its outline. Species of a family differ in a small mark on the wing cases alone, whose area and
    colour are the same for all: where a model sees too coarsely for it, it knows the family and guesses the species.

    Args:
        train: number of training pictures.
        val: number of validation pictures.
        test: number of test pictures.
        side: side of the drawn pictures in pixels.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)

    @check_ranges("data.format")
    def __init__(
        self, *, train: DrawnTrain = 3000, val: DrawnCount = 480, test: DrawnCount = 960, side: DrawnSide = 96
    ) -> None:
        self.sizes, self.side = (train, val, test), side

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        if channels not in MODES:
            raise UserError(f"data.channels={channels}: drawn beetles have 1 (grey), 3 (RGB) or 4 (RGBA)")
        classes = CLASSES[: self.sizes[0]]  # a handful to overfit shows only as many
        train, val, test = (
            BeetleRecords(split=split, n=n, side=self.side, channels=channels, seed=seed, classes=len(classes))
            for split, n in enumerate(self.sizes)
        )
        notes = [f"beetles: drawn on the fly, {self.side} px, seed {seed}"]
        return Splits(train, val, test, classes, groups=dict(GROUPS), notes=notes)


@final
class BeetleRecords(Records):
    """Drawn beetles; species take turns, so that every split is balanced.

    Args:
        split: 0 train, 1 val, 2 test; each has pictures of its own.
        n: number of pictures.
        side: side in pixels.
        channels: 1, 3 or 4.
        seed: another seed, another set.
        classes: how many of the species occur.
    """

    def __init__(self, *, split: int, n: int, side: int, channels: int, seed: int, classes: int = len(CLASSES)) -> None:
        self.split, self.side, self.channels, self.seed = split, side, channels, seed
        self.targets = np.arange(n, dtype=np.int64) % classes

    def name(self, index: int) -> str:
        """``beetles/train/17``."""
        return f"beetles/{SPLITS[self.split]}/{index}"

    def shape(self, index: int) -> tuple[int, int]:
        """The drawn side, both ways."""
        return self.side, self.side

    def pixels(
        self, index: int, *, box: Box | None = None, size: tuple[int, int] | None = None, exact: bool = False
    ) -> Pixels:
        """See :class:`Records`."""
        rng = np.random.default_rng((self.seed, self.split, index, 2))
        image = draw(rng, int(self.targets[index]), self.side)
        return resample(to_mode(image, self.channels), box, size)
