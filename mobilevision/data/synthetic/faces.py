"""An embedded data set of attributes: drawn faces, a function of (seed, split, index). No file, no download."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mobilevision.data.synthetic.drawn import DrawnFormat, DrawnRecords, Sizes
from mobilevision.data.synthetic.painting import Colour, Points, backdrop, grain, regular, rotation

# Which attributes a face of the embedded set has, and how it is drawn.

ATTRIBUTES = (
    *("long_hair", "dark_hair", "bald", "fringe", "hat", "thick_brows", "glasses", "sunglasses"),
    *("smile", "open_mouth", "beard", "moustache", "earrings", "freckles", "scar"),
)
DISK = regular(24)
_DARK: list[Colour] = [(12, 8, 8), (70, 46, 34), (40, 30, 40)]
_BRIGHT: list[Colour] = [(205, 160, 80), (245, 215, 130), (190, 90, 40), (195, 195, 200)]
_TOLD_APART = 60  # in one of red, green and blue


def attributes(luck: NDArray[np.float64]) -> NDArray[np.float32]:
    """Attributes, float32 [n, 15] of 0 and 1, from numbers in [0, 1), one an attribute.

    Half of all faces have dark hair or smile, about three in a hundred a bald head, sunglasses or a scar. Beards go
    with moustaches and short hair, earrings with long hair, thick brows with dark hair, open mouths with smiles.
    """
    draws = dict(zip(ATTRIBUTES, luck.T, strict=True))
    has: dict[str, NDArray[np.bool_]] = {}

    def decide(name: str, usual: float, given: str = "", then: float = 0.0) -> None:
        has[name] = draws[name] < (np.where(has[given], then, usual) if given else usual)

    decide("bald", 0.035)
    decide("long_hair", 0.45, "bald", 0.0)
    decide("dark_hair", 0.5)
    decide("hat", 0.18, "bald", 0.0)
    decide("fringe", 0.4, "hat", 0.0)
    has["fringe"] &= ~has["bald"]
    decide("thick_brows", 0.15, "dark_hair", 0.5)
    decide("sunglasses", 0.03)
    decide("glasses", 0.25, "sunglasses", 0.0)
    decide("smile", 0.5)
    decide("open_mouth", 0.2, "smile", 0.55)
    decide("beard", 0.35, "long_hair", 0.06)
    decide("moustache", 0.06, "beard", 0.7)
    decide("earrings", 0.05, "long_hair", 0.4)
    decide("freckles", 0.12)
    decide("scar", 0.03)
    return np.stack([has[name] for name in ATTRIBUTES], axis=1).astype(np.float32)


def draw(rng: np.random.Generator, has: Mapping[str, bool], side: int) -> Image.Image:
    """Draw a face with these attributes, ``side`` pixels wide and high, RGB."""
    canvas = side * 2  # drawn twice as large, for smooth edges
    ground = _any(rng)
    image = backdrop(rng, ground, (canvas, canvas))
    face = _Face(rng, ImageDraw.Draw(image), canvas, has)
    for part in (face.body, face.hair, face.head, face.skin, face.mouth, face.eyes, face.above):
        part()
    return grain(rng, image.resize((side, side), Image.Resampling.BOX))


@final
class _Face:
    """A face while it is drawn, in coordinates of its own: the head reaches from -1 to 1, y runs down."""

    def __init__(
        self, rng: np.random.Generator, pen: ImageDraw.ImageDraw, canvas: int, has: Mapping[str, bool]
    ) -> None:
        self.rng, self.pen, self.has = rng, pen, has
        radius = canvas * rng.uniform(0.23, 0.31)
        turn = rotation(rng.normal(0, 0.14))
        squeeze = np.diag([rng.uniform(0.78, 0.95), rng.uniform(1.0, 1.12)])
        self.place = squeeze @ turn * radius
        self.centre = canvas * (np.array([0.5, 0.52]) + rng.uniform(-0.07, 0.07, 2))
        self.stroke = max(1, round(radius * 0.07))
        light = rng.uniform(0.35, 1.0)  # of the skin
        self.tone = _mixed((70, 42, 30), (246, 212, 186), light, rng)
        self.shade = _mixed((40, 20, 15), self.tone, 0.62, rng)
        self.locks = _locks(rng, dark=has["dark_hair"], tone=self.tone)
        self.look = rng.uniform(-0.07, 0.07, 2)  # where the eyes look

    def fill(self, points: Points, colour: Colour) -> None:
        """Fill a polygon."""
        self.pen.polygon((points @ self.place + self.centre).ravel().tolist(), fill=colour)

    def disk(self, x: float, y: float, wide: float, high: float, colour: Colour) -> None:
        """Fill an ellipse around (x, y)."""
        self.fill(DISK * (wide, high) + (x, y), colour)

    def line(self, points: Points, colour: Colour, width: float = 1.0) -> None:
        """Draw a line ``width`` strokes wide."""
        placed = (np.asarray(points) @ self.place + self.centre).ravel().tolist()
        self.pen.line(placed, fill=colour, width=max(1, round(self.stroke * width)), joint="curve")

    def body(self) -> None:
        """Long hair behind, neck and shoulders."""
        if self.has["long_hair"]:
            length = self.rng.uniform(1.15, 1.6)
            self.fill(np.array([(-1.2, 0), (-1.25, length), (1.25, length), (1.2, 0)]), self.locks)
        self.fill(np.array([(-0.4, 0.6), (-0.45, 1.5), (0.45, 1.5), (0.4, 0.6)]), self.shade)
        clothes = _any(self.rng)
        self.fill(np.array([(-0.5, 1.2), (-1.9, 1.6), (-2.2, 4.0), (2.2, 4.0), (1.9, 1.6), (0.5, 1.2)]), clothes)

    def hair(self) -> None:
        """What frames the head."""
        if self.has["bald"]:
            for x in (-0.97, 0.97):
                self.disk(x, -0.05, 0.16, 0.3, self.locks)
        else:
            self.disk(0, -0.3, 1.18, self.rng.uniform(0.93, 1.05), self.locks)

    def head(self) -> None:
        """Ears with what hangs on them, and the head; with short hair it shows at the temples."""
        for x in (-1.02, 1.02):
            self.disk(x, 0.05, 0.16, 0.22, self.shade)
        self.disk(0, 0, 1, 1.12, self.tone)
        if not self.has["bald"]:  # a hairline
            self.fill(
                np.array([(-0.9, -0.45), (-0.62, -0.98), (0, -1.2), (0.62, -0.98), (0.9, -0.45), (0, -0.8)]), self.locks
            )
        if self.has["earrings"]:
            gold = _mixed((200, 160, 40), (255, 255, 255), self.rng.random(), self.rng)
            for x in (-1.05, 1.05):
                self.disk(x, 0.4, 0.13, 0.17, gold)

    def skin(self) -> None:
        """Freckles, a scar, a beard."""
        if self.has["freckles"]:
            for x, y in (self.rng.random((14, 2)) * (0.5, 0.3) + (0.15, 0.12)).tolist():
                self.disk(x if self.rng.random() < 0.5 else -x, y, 0.055, 0.055, self.shade)
        if self.has["beard"]:
            jaw = [(np.cos(a), 1.18 * np.sin(a)) for a in np.linspace(0.12, np.pi - 0.12, 14)]
            chin = [(-0.72, 0.35), (-0.45, 0.42), (0, 0.38), (0.45, 0.42), (0.72, 0.35)]
            self.fill(np.array([*jaw, *chin]), self.locks)
        if self.has["scar"]:
            x = float(self.rng.choice([-1, 1]) * self.rng.uniform(0.45, 0.6))
            scar = _mixed((200, 40, 50), self.tone, 0.25, self.rng)
            self.line(np.array([(x - 0.14, -0.02), (x + 0.14, 0.5)]), scar, 1.6)
            for y in (0.12, 0.26, 0.4):
                self.line(np.array([(x - 0.13, y + 0.06), (x + 0.13, y - 0.06)]), scar)

    def mouth(self) -> None:
        """Nose, mouth, moustache."""
        self.line(np.array([(0.0, -0.1), (self.look[0] * 2, 0.2), (0.1, 0.24)]), self.shade)
        bend = self.rng.uniform(0.13, 0.22) if self.has["smile"] else self.rng.uniform(-0.07, 0.01)
        wide = self.rng.uniform(0.32, 0.44)
        x = np.linspace(-1, 1, 9)
        lip = np.stack([x * wide, 0.58 + bend * (0.5 - x * x)], axis=1)
        red = _mixed((120, 20, 30), (220, 110, 110), self.rng.random(), self.rng)
        if self.has["open_mouth"]:
            drop = self.rng.uniform(0.16, 0.3) * (1 - x * x)
            low = lip + np.stack([np.zeros(9), drop], axis=1)
            self.fill(np.concatenate([lip, low[::-1]]), (60, 10, 20))
            self.line(low, red, 1.2)
        self.line(lip, red, 1.6)
        if self.has["moustache"]:
            self.fill(np.array([(0, 0.3), (0.42, 0.46), (0.3, 0.5), (0, 0.44), (-0.3, 0.5), (-0.42, 0.46)]), self.locks)

    def eyes(self) -> None:
        """Eyes, brows, glasses."""
        iris = _any(self.rng, 10, 130)
        brow = _mixed((15, 8, 6), self.locks, 0.35, self.rng)
        tilt, thick = self.rng.normal(0, 0.04), 3.4 if self.has["thick_brows"] else 1.1
        for sign in (-1, 1):
            x = sign * 0.4
            self.disk(x, -0.15, 0.2, 0.12, (245, 245, 240))
            self.disk(x + self.look[0], -0.15 + self.look[1] / 2, 0.09, 0.1, iris)
            self.line(np.array([(x - 0.22, -0.42 - tilt), (x, -0.47), (x + 0.22, -0.42 + tilt)]), brow, thick)
        if self.has["glasses"] or self.has["sunglasses"]:
            dark = _any(self.rng, 0, 70)
            for sign in (-1, 1):
                ring = regular(16, 0.29) * (1.05, 0.85) + (sign * 0.4, -0.14)
                if self.has["sunglasses"]:
                    self.fill(ring, dark)
                self.line(np.concatenate([ring, ring[:2]]), dark, 1.3)
                self.line(np.array([(sign * 0.69, -0.16), (sign * 1.0, -0.2)]), dark, 1.3)
            self.line(np.array([(-0.11, -0.16), (0.11, -0.16)]), dark, 1.3)

    def above(self) -> None:
        """A fringe or a hat."""
        if self.has["fringe"]:
            low = self.rng.uniform(-0.5, -0.42)
            self.fill(
                np.array([(-0.93, low), (-0.8, -0.9), (0, -1.2), (0.8, -0.9), (0.93, low), (0, low - 0.1)]), self.locks
            )
        if self.has["hat"]:
            cloth = _any(self.rng)
            top = self.rng.uniform(-1.75, -1.45)
            band = _mixed(cloth, (0, 0, 0), 0.4, self.rng)
            self.fill(np.array([(-0.98, -0.62), (-0.85, top), (0.85, top), (0.98, -0.62)]), cloth)
            self.fill(np.array([(-1.35, -0.52), (-1.35, -0.7), (1.35, -0.7), (1.35, -0.52)]), band)


def _any(rng: np.random.Generator, low: int = 0, high: int = 256) -> Colour:
    red, green, blue = rng.integers(low, high, 3).tolist()
    return red, green, blue


def _mixed(first: Colour, second: Colour, share: float, rng: np.random.Generator) -> Colour:
    """A colour between two, ``share`` of the second, give or take a little."""
    low, high = np.asarray(first), np.asarray(second)
    red, green, blue = np.clip(low + (high - low) * share + rng.normal(0, 7, 3), 0, 255).astype(int).tolist()
    return red, green, blue


def _locks(rng: np.random.Generator, *, dark: bool, tone: Colour) -> Colour:
    """A colour of hair that can be told from the skin's."""
    ends = _DARK if dark else _BRIGHT
    colour = tone
    for _ in range(8):
        first, second = rng.choice(len(ends), 2)
        colour = _mixed(ends[first], ends[second], rng.random(), rng)
        if np.abs(np.subtract(colour, tone)).max() > _TOLD_APART:
            break
    return colour


@final
class DrawnFaces(DrawnFormat):
    """Faces with fifteen attributes, some rare, some that go with others, in any colours, places and turns."""

    kinds: ClassVar[tuple[str, ...]] = ("attributes",)
    name: ClassVar[str] = "faces"
    about: ClassVar[str] = f"faces: drawn on the fly, {len(ATTRIBUTES)} attributes"
    usual: ClassVar[Sizes] = Sizes(4000, 800, 1000, side=64)

    def classes(self) -> tuple[str, ...]:
        """The attributes."""
        return ATTRIBUTES

    def records(self, n: int, **shared: Any) -> DrawnRecords:
        """See :class:`DrawnFormat`."""
        return FaceRecords(n, **shared)


@final
class FaceRecords(DrawnRecords):
    """Drawn faces."""

    def __init__(self, n: int, **shared: Any) -> None:
        super().__init__(**shared)
        self.targets = attributes(self.rng().random((n, len(ATTRIBUTES))))

    def draw(self, index: int) -> Image.Image:
        """See :class:`DrawnRecords`."""
        has = dict(zip(ATTRIBUTES, (self.targets[index] > 0.5).tolist(), strict=True))
        return draw(self.rng(index, 1), has, self.side)
