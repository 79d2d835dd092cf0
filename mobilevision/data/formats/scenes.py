"""An embedded data set for detection: drawn scenes, a function of (seed, split, index). No file, no download."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, final

import numpy as np

from mobilevision.data.boxes import BoxTargets, boxes_of
from mobilevision.data.decode import MODES, resample, to_mode
from mobilevision.data.formats.base import DataFormat
from mobilevision.data.formats.drawn import DrawnCount, DrawnSide, DrawnTrain
from mobilevision.data.formats.scenes_drawing import CLASSES, Scene, draw, scene
from mobilevision.data.records import Box, Pixels, Records, Splits
from mobilevision.errors import UserError
from mobilevision.ranges import check_ranges

SPLITS = ("train", "val", "test")
PLACES, PAINT = 0, 1  # streams of random numbers of one picture


@final
class Scenes(DataFormat):
    """Pictures with up to six forms of six classes on cluttered ground, some pictures without any.

    Classes differ in form; colours say nothing. Sizes run from a fifth of the picture to seven tenths, forms are
    stretched, tilted and overlap, and some pictures are not square.

    Args:
        train: number of training pictures.
        val: number of validation pictures.
        test: number of test pictures.
        side: longer side of the drawn pictures in pixels.
    """

    kinds: ClassVar[tuple[str, ...]] = ("boxes",)

    @check_ranges("data.format")
    def __init__(
        self, *, train: DrawnTrain = 2400, val: DrawnCount = 300, test: DrawnCount = 500, side: DrawnSide = 144
    ) -> None:
        self.sizes, self.side = (train, val, test), side

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        if channels not in MODES:
            raise UserError(f"data.channels={channels}: drawn scenes have 1 (grey), 3 (RGB) or 4 (RGBA)")
        classes = CLASSES[: self.sizes[0]]  # a handful to overfit shows only as many
        train, val, test = (
            SceneRecords(split=split, n=n, side=self.side, channels=channels, seed=seed, classes=len(classes))
            for split, n in enumerate(self.sizes)
        )
        return Splits(train, val, test, classes, notes=[f"scenes: drawn on the fly, {self.side} px, seed {seed}"])


@final
class SceneRecords(Records):
    """Drawn scenes.

    Args:
        split: 0 train, 1 val, 2 test; each has pictures of its own.
        n: number of pictures.
        side: longer side in pixels.
        channels: 1, 3 or 4.
        seed: another seed, another set.
        classes: how many of the classes occur.
    """

    def __init__(self, *, split: int, n: int, side: int, channels: int, seed: int, classes: int = len(CLASSES)) -> None:
        self.split, self.side, self.channels, self.seed, self.classes = split, side, channels, seed, classes
        scenes = [self._scene(index) for index in range(n)]
        self.targets = BoxTargets.of([boxes_of(each.boxes, each.labels) for each in scenes])
        self._shapes = np.array([each.shape for each in scenes], dtype=np.int64).reshape(-1, 2)

    def name(self, index: int) -> str:
        """``scenes/train/17``."""
        return f"scenes/{SPLITS[self.split]}/{index}"

    def shape(self, index: int) -> tuple[int, int]:
        """(height, width); the longer one is the drawn side."""
        height, width = self._shapes[index].tolist()
        return height, width

    def pixels(
        self, index: int, *, box: Box | None = None, size: tuple[int, int] | None = None, exact: bool = False
    ) -> Pixels:
        """See :class:`Records`."""
        image = draw(self._rng(index, PAINT), self._scene(index))
        return resample(to_mode(image, self.channels), box, size)

    def _scene(self, index: int) -> Scene:
        return scene(self._rng(index, PLACES), index, side=self.side, classes=self.classes)

    def _rng(self, index: int, stream: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, self.split, index, stream))
