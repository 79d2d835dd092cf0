"""An embedded data set of identities: drawn faces, a function of (seed, split, index). No file, no download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, final

import numpy as np

from mobilevision.data.decode import MODES, resample, to_mode
from mobilevision.data.formats.base import DataFormat
from mobilevision.data.formats.drawn import DrawnCount, DrawnSide, DrawnTrain
from mobilevision.data.formats.drawn_identities_drawing import draw, face, view
from mobilevision.data.identities import IdentityTargets
from mobilevision.data.records import Box, Pixels, Records, Splits
from mobilevision.errors import UserError
from mobilevision.ranges import Range, check_ranges

SPLITS = ("train", "val", "test")
WHO, HOW = 0, 1  # streams of random numbers: of an identity, of one of its pictures
BLOCK = 4
"""Pictures of one identity that follow each other, so that a few samples in a row show two identities and more."""


@final
class DrawnIdentities(DataFormat):
    """Drawn faces. Proportions, colours and hair make an identity; pose, light, expression and ground vary.

    The identities of train, val and test are different ones.

    Args:
        train: identities to learn.
        val: identities to choose by.
        test: identities to judge by.
        pictures: pictures of each identity.
        side: side of the drawn pictures in pixels.
    """

    kinds: ClassVar[tuple[str, ...]] = ("identity",)

    @check_ranges("data.format")
    def __init__(
        self,
        *,
        train: DrawnTrain = 250,
        val: DrawnCount = 30,
        test: DrawnCount = 60,
        pictures: Annotated[int, Range(min=2, max=1000)] = 16,
        side: DrawnSide = 64,
    ) -> None:
        self.sizes, self.pictures, self.side = (train, val, test), pictures, side

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        if channels not in MODES:
            raise UserError(f"data.channels={channels}: drawn faces have 1 (grey), 3 (RGB) or 4 (RGBA)")
        first = np.cumsum((0, *self.sizes))
        train, val, test = (
            DrawnRecords(
                split=split, first=int(first[split]), identities=n, pictures=self.pictures, side=self.side,
                channels=channels, seed=seed,
            )
            for split, n in enumerate(self.sizes)
        )  # fmt: skip
        classes = tuple(
            f"{name}_{number:03d}" for name, n in zip(SPLITS, self.sizes, strict=True) for number in range(n)
        )
        return Splits(train, val, test, classes, notes=[f"drawn faces, {self.side} px, seed {seed}"])


@final
class DrawnRecords(Records):
    """Drawn pictures of one split's identities.

    Args:
        split: 0 train, 1 val, 2 test; each has identities of its own.
        first: number of its first identity.
        identities: how many.
        pictures: of each.
        side: side in pixels.
        channels: 1, 3 or 4.
        seed: another seed, another set.
    """

    def __init__(
        self, *, split: int, first: int, identities: int, pictures: int, side: int, channels: int, seed: int
    ) -> None:
        self.split, self.side, self.channels, self.seed = split, side, channels, seed
        number = np.arange(identities * pictures, dtype=np.int64)
        rounds = [np.repeat(np.arange(identities), min(BLOCK, pictures - at)) for at in range(0, pictures, BLOCK)]
        self._number = np.concatenate(rounds) if len(number) else number
        self.targets = IdentityTargets(self._number + first, number)
        self.groups = self.targets.identities

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
        who = face(np.random.default_rng((self.seed, self.split, int(self._number[index]), WHO, 1)))
        rng = np.random.default_rng((self.seed, self.split, index, HOW, 1))
        return resample(to_mode(draw(rng, who, view(rng), self.side), self.channels), box, size)
