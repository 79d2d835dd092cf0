"""An embedded data set: drawn images of shapes, a function of (seed, index). No file, no download."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, final

import numpy as np
from PIL import Image, ImageDraw

from mobilevision.data.synthetic.drawn import DrawnClasses, DrawnFormat, DrawnRecords, Sizes
from mobilevision.data.synthetic.painting import Colour, Points, backdrop, cross, grain, rays, regular, rotation

# How one image of the embedded shapes is drawn.

Part = tuple[Points, int]
"""A polygon [n, 2] around the origin within the unit circle, and the number of the colour that fills it."""

GROUND, INNER, FIRST, SECOND = range(4)


def draw(rng: np.random.Generator, label: int, side: int) -> Image.Image:
    """Draw an image of class ``label``, ``side`` pixels wide and high, RGB."""
    canvas = side * 2  # drawn twice as large, for smooth edges
    colours = _colours(rng)
    image = backdrop(rng, colours[GROUND], (canvas, canvas))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(1, 5)):
        _clutter(rng, pen, canvas)
    radius = canvas * rng.uniform(0.32, 0.46)
    centre = rng.uniform(radius, canvas - radius, 2)
    spin = rotation(-rng.uniform(0, 2 * np.pi))
    stretch = np.diag([1.0, rng.uniform(0.8, 1.0)])
    for points, fill in FORMS[label](rng):
        placed = points @ (stretch @ spin) * radius + centre
        pen.polygon(placed.ravel().tolist(), fill=colours[fill])
    return grain(rng, image.resize((side, side), Image.Resampling.BOX))


def _colours(rng: np.random.Generator) -> list[Colour]:
    # Ground and inner fill dark, the two outer fills bright, or the other way round.
    colours = np.concatenate([rng.integers(0, 110, (2, 3)), rng.integers(120, 256, (2, 3))])
    return [(int(r), int(g), int(b)) for r, g, b in (colours if rng.random() < 0.5 else 255 - colours)]


def _clutter(rng: np.random.Generator, pen: ImageDraw.ImageDraw, canvas: int) -> None:
    colour = tuple(rng.integers(0, 256, 3).tolist())
    start = rng.uniform(0, canvas, 2)
    if rng.random() < 0.5:
        end = start + rng.normal(0, canvas / 4, 2)
        pen.line([*start, *end], fill=colour, width=int(rng.integers(1, 4)))
    else:
        pen.polygon((start + rng.normal(0, canvas / 22, (3, 2))).ravel().tolist(), fill=colour)


def _plus(rng: np.random.Generator) -> list[Part]:
    return [(cross(rng.uniform(0.25, 0.35)) * 0.95, FIRST)]


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
    *("disk", "square", "triangle", "star", "plus", "ring"),
    *("disk_in_square", "square_in_disk", "disk_beside_square", "two_disks"),
)


@final
class Shapes(DrawnFormat):
    """Ten classes that differ in form and in composition, in random colours, on cluttered ground.

    Colours say nothing about the class, so a histogram stays at chance (0.1), and the same two forms make several
    classes, so a detector of single forms is not enough.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)
    name: ClassVar[str] = "shapes"
    about: ClassVar[str] = "shapes: drawn on the fly"
    names: ClassVar[tuple[str, ...]] = CLASSES
    usual: ClassVar[Sizes] = Sizes(4000, 500, 1000, side=64)

    def records(self, n: int, **shared: Any) -> DrawnRecords:
        """See :class:`DrawnFormat`."""
        return DrawnClasses(n, len(self.classes()), draw, stream=1, **shared)
