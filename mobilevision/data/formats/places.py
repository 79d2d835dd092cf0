"""An embedded data set of places: drawn scenes whose look depends on where they are, a function of (seed, index)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, final

import numpy as np

from mobilevision.data.coordinates import CoordinateTargets
from mobilevision.data.decode import MODES, resample, to_mode
from mobilevision.data.formats.base import DataFormat
from mobilevision.data.formats.drawn import DrawnCount, DrawnSide, DrawnTrain
from mobilevision.data.formats.places_drawing import draw
from mobilevision.data.formats.places_land import TOWNS, sample
from mobilevision.data.records import Box, Pixels, Records, Splits
from mobilevision.errors import UserError
from mobilevision.ranges import check_ranges

SPLITS = ("train", "val", "test")


@final
class Places(DataFormat):
    """Scenes from all over the world, which show where they were taken as photos do: none by one thing alone.

    Args:
        train: number of training pictures.
        val: number of validation pictures.
        test: number of test pictures.
        side: side of the drawn pictures in pixels.
    """

    kinds: ClassVar[tuple[str, ...]] = ("coordinate",)

    @check_ranges("data.format")
    def __init__(
        self, *, train: DrawnTrain = 5000, val: DrawnCount = 600, test: DrawnCount = 1000, side: DrawnSide = 64
    ) -> None:
        self.sizes, self.side = (train, val, test), side

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        if channels not in MODES:
            raise UserError(f"data.channels={channels}: drawn places have 1 (grey), 3 (RGB) or 4 (RGBA)")
        train, val, test = (
            PlaceRecords(split=split, n=n, side=self.side, channels=channels, seed=seed)
            for split, n in enumerate(self.sizes)
        )
        note = f"places: drawn on the fly, {TOWNS} towns and the land between, {self.side} px, seed {seed}"
        return Splits(train, val, test, notes=[note])


@final
class PlaceRecords(Records):
    """Drawn scenes.

    Args:
        split: 0 train, 1 val, 2 test; each has pictures of its own.
        n: number of pictures.
        side: side in pixels.
        channels: 1, 3 or 4.
        seed: another seed, other photos of the same world.
    """

    def __init__(self, *, split: int, n: int, side: int, channels: int, seed: int) -> None:
        self.split, self.side, self.channels, self.seed = split, side, channels, seed
        spots = sample(np.random.default_rng((seed, split)), n)
        self.targets = CoordinateTargets(np.stack([spots.latitude, spots.longitude], axis=1))
        self.towns = spots.town

    def name(self, index: int) -> str:
        """``places/train/17``."""
        return f"places/{SPLITS[self.split]}/{index}"

    def shape(self, index: int) -> tuple[int, int]:
        """The drawn side, both ways."""
        return self.side, self.side

    def pixels(
        self, index: int, *, box: Box | None = None, size: tuple[int, int] | None = None, exact: bool = False
    ) -> Pixels:
        """See :class:`Records`."""
        rng = np.random.default_rng((self.seed, self.split, index, 1))
        latitude, longitude = self.targets[index].tolist()
        scene = draw(rng, latitude, longitude, int(self.towns[index]), self.side)
        return resample(to_mode(scene, self.channels), box, size)
