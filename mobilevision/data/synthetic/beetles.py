"""An embedded data set of species: drawn beetles, a function of (seed, index). No file, no download."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mobilevision.data.synthetic.drawn import DrawnClasses, DrawnFormat, DrawnRecords, Sizes
from mobilevision.data.synthetic.painting import Points, backdrop, grain, regular, rotation

# How one image of the embedded beetles is drawn.

# Half the width of the body over half its length, how far the head reaches, and length of the antennae: a family shows
# by its outline, from far away.
FAMILIES = {"ladybird": (0.86, 0.9, 0.25), "ground_beetle": (0.62, 1.1, 0.5), "longhorn": (0.42, 1.05, 1.15)}

# What is on each wing case: the same area of the same colour in four arrangements, so that a view too coarse for the
# parts sees one and the same spot.
AREA = 0.065  # of a mark, in squares of half the body's length


def draw(rng: np.random.Generator, label: int, side: int) -> Image.Image:
    """Draw a beetle of species ``label``, ``side`` pixels wide and high, RGB."""
    family, mark = SPECIES[label]
    canvas = side * 3  # drawn three times as large, for smooth edges
    red, green, blue = rng.integers(90, 230, 3).tolist()
    image = backdrop(rng, (red, green, blue), (canvas, canvas))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(2, 6)):  # blades of grass
        ends = rng.uniform(-0.2, 1.2, (2, 2)) * canvas
        colour = tuple(np.clip(np.array([red, green, blue]) + rng.normal(0, 40, 3), 0, 255).astype(int).tolist())
        pen.line(ends.ravel().tolist(), fill=colour, width=int(rng.integers(2, 9)))
    _Beetle(rng, pen, canvas).draw(family, MARKS[mark])
    return grain(rng, image.resize((side, side), Image.Resampling.BOX))


@final
class _Beetle:
    """Draws points of a beetle (head at -y, half its length is 1) turned, scaled and placed at random."""

    def __init__(self, rng: np.random.Generator, pen: ImageDraw.ImageDraw, canvas: int) -> None:
        self.rng, self.pen = rng, pen
        turn, self.scale = rng.uniform(0, 2 * np.pi), canvas * rng.uniform(0.33, 0.40)
        self.spin = rotation(-turn) * self.scale
        self.centre = canvas * (0.5 + rng.uniform(-0.07, 0.07, 2))
        dark, bright = rng.integers(10, 80, 3), rng.integers(150, 250, 3)
        self.body, self.ink = (dark, bright) if rng.random() < 0.5 else (bright, dark)
        self.limb = rng.integers(10, 60, 3)

    def draw(self, family: str, mark: Callable[[], list[tuple[Points, bool]]]) -> None:
        """Legs and antennae, body, wing cases and what is on them."""
        width, head, antennae = FAMILIES[family]
        width *= self.rng.uniform(0.94, 1.06)
        for sign in (-1, 1):
            for at in (-0.35, 0.1, 0.5):
                knee, foot = np.array([sign * (width + 0.2), at - 0.05]), np.array([sign * (width + 0.38), at + 0.2])
                self._line([np.array([0.0, at]), knee, foot + self.rng.normal(0, 0.03, 2)], 0.05)
            bend = np.array([sign * (0.14 + 0.5 * antennae), -head - 0.35 * antennae])
            self._line([np.array([0.0, -head]), bend + self.rng.normal(0, 0.03, 2)], 0.035)
        self._fill(regular(20, 0.24, (0.0, -head + 0.08)), self.limb)
        self._fill(regular(36) * np.array([width, 1.0]), self.body)
        self._fill(regular(24) * np.array([width * 0.62, 0.22]) + np.array([0.0, -0.78]), self.limb)
        self._line([np.array([0.0, -0.6]), np.array([0.0, 1.0])], 0.03)
        height = self.rng.uniform(-0.1, 0.3)
        for sign in (-1, 1):
            for points, filled in mark():
                self._fill(points + np.array([sign * width * 0.5, height]), self.ink if filled else self.body)

    def _fill(self, points: Points, colour: NDArray[np.int64]) -> None:
        placed = points @ self.spin.T + self.centre
        red, green, blue = colour.tolist()
        self.pen.polygon(placed.ravel().tolist(), fill=(red, green, blue))

    def _line(self, points: list[Points], width: float) -> None:
        placed = np.stack(points) @ self.spin.T + self.centre
        red, green, blue = self.limb.tolist()
        self.pen.line(placed.ravel().tolist(), fill=(red, green, blue), width=max(1, round(width * self.scale)))


def _spot() -> list[tuple[Points, bool]]:
    return [(regular(24, np.sqrt(AREA / np.pi)), True)]


def _ring() -> list[tuple[Points, bool]]:
    inner = np.sqrt(0.6 * AREA / np.pi)
    return [(regular(24, np.sqrt(1.6 * AREA / np.pi)), True), (regular(24, inner), False)]


def _pair() -> list[tuple[Points, bool]]:
    radius = np.sqrt(AREA / 2 / np.pi)
    return [(regular(24, radius, (0.0, sign * 1.35 * radius)), True) for sign in (-1, 1)]


def _bar() -> list[tuple[Points, bool]]:
    half = np.sqrt(AREA / 3) / 2
    corners = [(-half, -3 * half), (half, -3 * half), (half, 3 * half), (-half, 3 * half)]
    return [(np.array(corners), True)]


MARKS = {"spot": _spot, "ring": _ring, "pair": _pair, "bar": _bar}
SPECIES = [(family, mark) for family in FAMILIES for mark in MARKS]
CLASSES = tuple(f"{mark}_{family}" for family, mark in SPECIES)
GROUPS = {f"{mark}_{family}": family for family, mark in SPECIES}


@final
class Beetles(DrawnFormat):
    """Twelve species in three families, in random colours, turned at random, in the grass.

    A family shows by its outline. Species of a family differ in a small mark on the wing cases alone, whose area and
    colour are the same for all: where a model sees too coarsely for it, it knows the family and guesses the species.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)
    name: ClassVar[str] = "beetles"
    about: ClassVar[str] = "beetles: drawn on the fly"
    names: ClassVar[tuple[str, ...]] = CLASSES
    usual: ClassVar[Sizes] = Sizes(3000, 480, 960, side=96)

    def records(self, n: int, **shared: Any) -> DrawnRecords:
        """See :class:`DrawnFormat`."""
        return DrawnClasses(n, len(self.classes()), draw, stream=2, **shared)

    def groups(self) -> dict[str, str]:
        """Species -> family."""
        return dict(GROUPS)
