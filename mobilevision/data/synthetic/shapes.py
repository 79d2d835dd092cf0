"""An embedded data set: drawn pictures of shapes, a function of (seed, index). No file, no download."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mobilevision.data.data_format import DataFormat
from mobilevision.data.records import Records, Splits
from mobilevision.data.synthetic.drawn import DrawnCount, DrawnSide, DrawnTrain
from mobilevision.errors import UserError
from mobilevision.images.decode import MODES, resample, to_mode
from mobilevision.images.framing import CropBox
from mobilevision.images.pixels import Pixels
from mobilevision.ranges import check_ranges

# How one picture of the embedded shapes is drawn.

Points = NDArray[np.float64]
Colour = tuple[int, int, int]
Part = tuple[Points, int]
"""A polygon [n, 2] around the origin within the unit circle, and the number of the colour that fills it."""

GROUND, INNER, FIRST, SECOND = range(4)


def draw(rng: np.random.Generator, label: int, side: int) -> Image.Image:
    """Draw a picture of class ``label``, ``side`` pixels wide and high, RGB."""
    canvas = side * 2  # drawn twice as large, for smooth edges
    colours = _colours(rng)
    image = backdrop(rng, colours[GROUND], (canvas, canvas))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(1, 5)):
        _clutter(rng, pen, canvas)
    radius = canvas * rng.uniform(0.32, 0.46)
    centre = rng.uniform(radius, canvas - radius, 2)
    turn = rng.uniform(0, 2 * np.pi)
    stretch = np.diag([1.0, rng.uniform(0.8, 1.0)])
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    for points, fill in FORMS[label](rng):
        placed = points @ (stretch @ spin) * radius + centre
        pen.polygon(placed.ravel().tolist(), fill=colours[fill])
    return grain(rng, image.resize((side, side), Image.Resampling.BOX))


def _colours(rng: np.random.Generator) -> list[Colour]:
    # Ground and inner fill dark, the two outer fills bright, or the other way round.
    colours = np.concatenate([rng.integers(0, 110, (2, 3)), rng.integers(120, 256, (2, 3))])
    return [(int(r), int(g), int(b)) for r, g, b in (colours if rng.random() < 0.5 else 255 - colours)]


def backdrop(rng: np.random.Generator, ground: Colour, size: tuple[int, int]) -> Image.Image:
    """A ground of ``size`` (width, height) that runs from one colour near ``ground`` to others."""
    corners = np.asarray(ground) + rng.normal(0, 22, (2, 2, 3))
    small = Image.fromarray(np.clip(corners, 0, 255).astype(np.uint8))
    return small.resize(size, Image.Resampling.BILINEAR)


def _clutter(rng: np.random.Generator, pen: ImageDraw.ImageDraw, canvas: int) -> None:
    colour = tuple(rng.integers(0, 256, 3).tolist())
    start = rng.uniform(0, canvas, 2)
    if rng.random() < 0.5:
        end = start + rng.normal(0, canvas / 4, 2)
        pen.line([*start, *end], fill=colour, width=int(rng.integers(1, 4)))
    else:
        pen.polygon((start + rng.normal(0, canvas / 22, (3, 2))).ravel().tolist(), fill=colour)


def grain(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """The picture with the noise of a camera on it."""
    pixels = np.asarray(image, dtype=np.float32)
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(rng.uniform(1, 8))
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def regular(corners: int, radius: float = 1.0, at: tuple[float, float] = (0.0, 0.0)) -> Points:
    """Corners of a regular polygon around ``at``; with many, a disk."""
    angles = np.arange(corners) * 2 * np.pi / corners
    points: Points = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius + np.asarray(at)
    return points


def rays(corners: int, inner: float) -> Points:
    """Corners of a star whose inner ones lie ``inner`` from the middle, the outer ones 1."""
    points = regular(2 * corners)
    points[1::2] *= inner
    return points


def _plus(rng: np.random.Generator) -> list[Part]:
    w = rng.uniform(0.25, 0.35)
    corners = [
        (w, w),
        (w, 1),
        (-w, 1),
        (-w, w),
        (-1, w),
        (-1, -w),
        (-w, -w),
        (-w, -1),
        (w, -1),
        (w, -w),
        (1, -w),
        (1, w),
    ]
    return [(np.array(corners) * 0.95, FIRST)]


def _one(points: Points, rng: np.random.Generator) -> list[Part]:
    return [(points, FIRST)]


def _ring(rng: np.random.Generator) -> list[Part]:
    return [(regular(DISK), FIRST), (regular(DISK, rng.uniform(0.5, 0.65)), GROUND)]


def _nested(outer: int, inner: int, rng: np.random.Generator) -> list[Part]:
    return [(regular(outer), FIRST), (regular(inner, rng.uniform(0.4, 0.5)), INNER)]


def _beside(first: int, second: int, rng: np.random.Generator) -> list[Part]:
    return [(regular(first, 0.46, (-0.52, 0.0)), FIRST), (regular(second, 0.46, (0.52, 0.0)), SECOND)]


DISK, TRIANGLE, SQUARE = 32, 3, 4
FORMS: list[Callable[[np.random.Generator], list[Part]]] = [
    partial(_one, regular(DISK)),
    partial(_one, regular(SQUARE)),
    partial(_one, regular(TRIANGLE)),
    partial(_one, rays(5, 0.42)),
    _plus,
    _ring,
    partial(_nested, SQUARE, DISK),
    partial(_nested, DISK, SQUARE),
    partial(_beside, DISK, SQUARE),
    partial(_beside, DISK, DISK),
]
CLASSES = (
    "disk",
    "square",
    "triangle",
    "star",
    "plus",
    "ring",
    "disk_in_square",
    "square_in_disk",
    "disk_beside_square",
    "two_disks",
)


SPLITS = ("train", "val", "test")


@final
class Shapes(DataFormat):
    """Ten classes that differ in form and in composition, in random colours, on cluttered ground.

    Colours say nothing about the class, so a histogram stays at chance (0.1), and the same two forms make several
    classes, so a detector of single forms is not enough.

    Args:
        train: number of training pictures.
        val: number of validation pictures.
        test: number of test pictures.
        side: side of the drawn pictures in pixels.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)

    @check_ranges("data.format")
    def __init__(
        self, *, train: DrawnTrain = 4000, val: DrawnCount = 500, test: DrawnCount = 1000, side: DrawnSide = 64
    ) -> None:
        self.sizes, self.side = (train, val, test), side

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        if channels not in MODES:
            raise UserError(f"data.channels={channels}: drawn shapes have 1 (grey), 3 (RGB) or 4 (RGBA)")
        classes = CLASSES[: self.sizes[0]]  # a handful to overfit shows only as many
        train, val, test = (
            ShapeRecords(split=split, n=n, side=self.side, channels=channels, seed=seed, classes=len(classes))
            for split, n in enumerate(self.sizes)
        )
        return Splits(train, val, test, classes, notes=[f"shapes: drawn on the fly, {self.side} px, seed {seed}"])


@final
class ShapeRecords(Records):
    """Drawn pictures; classes take turns, so that every split is balanced.

    Args:
        split: 0 train, 1 val, 2 test; each has pictures of its own.
        n: number of pictures.
        side: side in pixels.
        channels: 1, 3 or 4.
        seed: another seed, another set.
        classes: how many of the classes occur.
    """

    def __init__(self, *, split: int, n: int, side: int, channels: int, seed: int, classes: int = len(CLASSES)) -> None:
        self.split, self.side, self.channels, self.seed = split, side, channels, seed
        self.targets = np.arange(n, dtype=np.int64) % classes

    def name(self, index: int) -> str:
        """``shapes/train/17``."""
        return f"shapes/{SPLITS[self.split]}/{index}"

    def shape(self, index: int) -> tuple[int, int]:
        """The drawn side, both ways."""
        return self.side, self.side

    def pixels(
        self, index: int, *, box: CropBox | None = None, size: tuple[int, int] | None = None, exact: bool = False
    ) -> Pixels:
        """See :class:`Records`."""
        rng = np.random.default_rng((self.seed, self.split, index, 1))
        image = draw(rng, int(self.targets[index]), self.side)
        return resample(to_mode(image, self.channels), box, size)
