"""An embedded data set of identities: drawn faces, a function of (seed, split, index). No file, no download."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Unpack, final

import numpy as np
from PIL import Image, ImageDraw

from mobilevision.data.identities import IdentityTargets
from mobilevision.data.synthetic.drawn import SPLITS, DrawnFormat, DrawnOptions, DrawnRecords, Sizes
from mobilevision.data.synthetic.painting import Points, backdrop, grain, rotation
from mobilevision.ranges import Range, check_ranges

# How one image of the embedded identities is drawn: a face of given features, seen under given conditions.

ANGLES = np.linspace(0, 2 * np.pi, 28, endpoint=False)
STYLES = 4


@final
@dataclass(frozen=True)
class Face:
    """What stays the same in all images of one identity: lengths in half heights of the face, colours 0 to 255."""

    width: float
    jaw: float
    eyes: float  # half their distance
    eye: float
    eye_height: float
    brow: float
    brow_tilt: float
    nose: float
    nose_width: float
    mouth: float
    mouth_height: float
    lips: float
    hairline: float
    style: int
    skin: Points
    hair: Points
    iris: Points


@final
@dataclass(frozen=True)
class View:
    """What differs from image to image: pose (turns in radians, places and scale in sides), light, expression."""

    roll: float
    yaw: float
    pitch: float
    scale: float
    centre: Points
    light: Points
    shade: float
    shade_angle: float
    smile: float
    opening: float
    lids: float
    raised: float
    glasses: bool


def face(rng: np.random.Generator) -> Face:
    """An identity, drawn at random."""
    u = rng.uniform
    tone = u(0, 1)
    skin = np.array([236, 196, 168]) * (1 - tone) + np.array([118, 76, 54]) * tone + rng.normal(0, 5, 3)
    hair = np.array([30, 24, 22]) + u(0, 1) * np.array(
        [[180, 140, 70], [130, 50, 10], [130, 130, 135]][rng.integers(3)]
    )
    return Face(
        width=u(0.6, 0.92),
        jaw=u(0.5, 1.0),
        eyes=u(0.27, 0.42),
        eye=u(0.09, 0.19),
        eye_height=u(-0.22, -0.02),
        brow=u(0.03, 0.11),
        brow_tilt=u(-0.5, 0.5),
        nose=u(0.18, 0.36),
        nose_width=u(0.07, 0.17),
        mouth=u(0.18, 0.36),
        mouth_height=u(0.42, 0.60),
        lips=u(0.03, 0.085),
        hairline=u(-0.75, -0.45),
        style=int(rng.choice(STYLES, p=(0.3, 0.25, 0.25, 0.2))),
        skin=skin,
        hair=hair,
        iris=np.array([[60, 40, 25], [70, 110, 150], [70, 110, 70]][rng.integers(3)]) + rng.normal(0, 8, 3),
    )


def view(rng: np.random.Generator) -> View:
    """The conditions of one image, drawn at random."""
    u = rng.uniform
    return View(
        roll=rng.normal(0, 0.12),
        yaw=u(-0.5, 0.5),
        pitch=u(-0.2, 0.2),
        scale=u(0.37, 0.45),
        centre=np.array([0.5, 0.52]) + rng.normal(0, 0.02, 2),
        light=u(0.65, 1.2) * np.exp(rng.normal(0, 0.06, 3)),
        shade=u(0, 0.45),
        shade_angle=u(0, 2 * np.pi),
        smile=u(-0.08, 0.14),
        opening=max(0.0, u(-0.08, 0.12)),
        lids=u(0.25, 0.7),
        raised=u(-0.04, 0.08),
        glasses=bool(rng.random() < 0.15),
    )


def draw(rng: np.random.Generator, who: Face, how: View, side: int) -> Image.Image:
    """The image, ``side`` pixels wide and high, RGB; the ground and the noise come from ``rng``."""
    canvas = side * 2  # drawn twice as large, for smooth edges
    red, green, blue = rng.integers(20, 230, 3).tolist()
    image = backdrop(rng, (red, green, blue), (canvas, canvas))
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(0, 4)):
        points = rng.uniform(0, canvas, 2) + rng.normal(0, canvas / 6, (3, 2))
        pen.polygon(points.ravel().tolist(), fill=tuple(rng.integers(0, 256, 3).tolist()))
    _Pen(pen, how, canvas).face(who)
    return grain(rng, _lit(image.resize((side, side), Image.Resampling.BOX), how))


@final
class _Pen:
    """Draws points of the face (x to the right, y down, half heights, with a depth) as the conditions show them."""

    def __init__(self, pen: ImageDraw.ImageDraw, how: View, canvas: int) -> None:
        self.pen, self.how, self.canvas = pen, how, canvas
        self._turn = rotation(how.roll) * how.scale * canvas

    def _places(self, points: Points, depth: float) -> list[float]:
        how = self.how
        x = points[:, 0] * np.cos(how.yaw) + depth * np.sin(how.yaw)
        y = points[:, 1] * np.cos(how.pitch) + depth * np.sin(how.pitch)
        placed: Points = np.stack([x, y], axis=1) @ self._turn + how.centre * self.canvas
        flat: list[float] = placed.ravel().tolist()
        return flat

    def polygon(self, points: Points, colour: Points, depth: float) -> None:
        red, green, blue = np.clip(colour, 0, 255).astype(int).tolist()
        self.pen.polygon(self._places(points, depth), fill=(red, green, blue))

    def line(self, points: Points, colour: Points, depth: float, width: float) -> None:
        red, green, blue = np.clip(colour, 0, 255).astype(int).tolist()
        thick = max(1, round(width * self.how.scale * self.canvas))
        self.pen.line(self._places(points, depth), fill=(red, green, blue), width=thick, joint="curve")

    def face(self, who: Face) -> None:
        """Hair behind, head, features, hair in front."""
        if who.style in (1, 2):  # long, or wide
            long, wide = ((1.25, 1.12), (0.75, 1.35))[who.style - 1]
            self.polygon(ellipse((0, -0.1 + (long - 1) / 2), who.width * wide, long), who.hair, -0.35)
        self.polygon(_head(who), who.skin, 0.0)
        for sign in (-1, 1):
            self._eye(who, sign)
        x, y = who.nose_width, who.eye_height + 0.1
        tip = y + who.nose
        self.line(np.array([[-0.2 * x, y], [-x, tip], [0, tip + 0.05], [x, tip]]), who.skin * 0.72, 0.55, 0.05)
        self._mouth(who)
        if who.style < STYLES - 1:  # the last is bald
            self.polygon(_fringe(who), who.hair, 0.1)

    def _eye(self, who: Face, sign: int) -> None:
        how, at = self.how, (sign * who.eyes, who.eye_height)
        self.polygon(ellipse(at, who.eye, who.eye * how.lids), np.array([238.0, 236, 232]), 0.4)
        self.polygon(ellipse(at, who.eye * 0.48, who.eye * min(how.lids, 0.5)), who.iris, 0.42)
        inner, outer = sign * (who.eyes - who.eye * 1.1), sign * (who.eyes + who.eye * 1.2)
        height = who.eye_height - who.eye - 0.06 - how.raised
        tilt = who.brow_tilt * who.eye
        self.line(np.array([[inner, height + tilt], [outer, height - tilt]]), who.hair * 0.85, 0.42, who.brow)
        if how.glasses:
            rim = ellipse(at, who.eye * 1.5, who.eye * 1.3)
            self.line(np.concatenate([rim, rim[:1]]), np.array([25.0, 25, 30]), 0.5, 0.03)

    def _mouth(self, who: Face) -> None:
        how, x = self.how, np.linspace(-1, 1, 9)
        bend = who.mouth_height - how.smile * (x**2 - 0.5)
        red = who.skin * np.array([0.86, 0.52, 0.52])
        if how.opening > 0.02:
            gap = how.opening * (1 - x**2)
            inside = np.concatenate([np.stack([x, bend - gap], 1), np.stack([x, bend + gap], 1)[::-1]])
            self.polygon(inside * [who.mouth, 1], np.array([60.0, 20, 25]), 0.42)
            for side in (-gap, gap):
                self.line(np.stack([x * who.mouth, bend + side], 1), red, 0.45, who.lips)
        else:
            self.line(np.stack([x * who.mouth, bend], 1), red, 0.45, who.lips * 1.6)


def ellipse(at: tuple[float, float], width: float, height: float) -> Points:
    """Points [28, 2] round ``at``."""
    points: Points = np.stack([np.cos(ANGLES) * width, np.sin(ANGLES) * height], axis=1) + np.asarray(at)
    return points


def _head(who: Face) -> Points:
    points = ellipse((0, 0), who.width, 1.0)
    below = np.clip(points[:, 1], 0, 1)
    points[:, 0] *= 1 - (1 - who.jaw) * below  # a chin of its own
    return points


def _fringe(who: Face) -> Points:
    head = _head(who) * [1.04, 1.06]
    top = head[head[:, 1] < who.hairline + 0.25]
    order = np.argsort(top[:, 0])
    parting = np.array([[who.width * 0.5, who.hairline], [-who.width * 0.5 * (who.style != 2), who.hairline]])
    return np.concatenate([top[order], parting])


def _lit(image: Image.Image, how: View) -> Image.Image:
    """The image in its light: a colour over all, and one side darker."""
    pixels = np.asarray(image, dtype=np.float32)
    ramp = np.linspace(-1, 1, len(pixels), dtype=np.float32)
    side = np.cos(how.shade_angle) * ramp[None, :] + np.sin(how.shade_angle) * ramp[:, None]
    factor = (1 - np.float32(how.shade) * (1 + side) / 2).astype(np.float32)
    lit = pixels * factor[..., None] * how.light.astype(np.float32)
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))


WHO, HOW = 0, 1  # streams of random numbers: of an identity, of one of its images
BLOCK = 4
"""Images of one identity that follow each other, so that a few samples in a row show two identities and more."""


@final
class DrawnIdentities(DrawnFormat):
    """Drawn faces. Proportions, colours and hair make an identity; pose, light, expression and ground vary.

    The identities of train, val and test are different ones.

    Args:
        pictures: images of each identity.
        **options: see :class:`DrawnFormat`.
    """

    kinds: ClassVar[tuple[str, ...]] = ("identity",)
    name: ClassVar[str] = "faces"
    about: ClassVar[str] = "drawn faces"
    usual: ClassVar[Sizes] = Sizes(250, 30, 60, side=64)

    @check_ranges("data.format")
    def __init__(
        self, *, pictures: Annotated[int, Range(min=2, max=1000)] = 16, **options: Unpack[DrawnOptions]
    ) -> None:
        super().__init__(**options)
        self.pictures = pictures

    def classes(self) -> tuple[str, ...]:
        """A name for each identity."""
        return tuple(f"{name}_{number:03d}" for name, n in zip(SPLITS, self.sizes, strict=True) for number in range(n))

    def records(self, n: int, *, split: int, **shared: Any) -> DrawnRecords:
        """See :class:`DrawnFormat`."""
        return IdentityRecords(n, first=sum(self.sizes[:split]), images=self.pictures, split=split, **shared)


@final
class IdentityRecords(DrawnRecords):
    """Drawn images of one split's identities.

    Args:
        n: identities.
        first: number of the first of them.
        images: of each.
        **shared: of :class:`DrawnRecords`.
    """

    def __init__(self, n: int, *, first: int, images: int, **shared: Any) -> None:
        super().__init__(**shared)
        number = np.arange(n * images, dtype=np.int64)
        rounds = [np.repeat(np.arange(n), min(BLOCK, images - at)) for at in range(0, images, BLOCK)]
        self._number = np.concatenate(rounds) if len(number) else number
        self.targets = IdentityTargets(self._number + first, number)
        self.groups = self.targets.identities

    def draw(self, index: int) -> Image.Image:
        """See :class:`DrawnRecords`."""
        who = face(self.rng(int(self._number[index]), WHO, 1))
        rng = self.rng(index, HOW, 1)
        return draw(rng, who, view(rng), self.side)
