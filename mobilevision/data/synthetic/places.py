"""An embedded data set of places: drawn scenes whose look depends on where they are, a function of (seed, index)."""

from __future__ import annotations

import colorsys
import math
from typing import Any, ClassVar, final

import numpy as np
from PIL import Image, ImageDraw

from mobilevision.data.coordinates import CoordinateTargets
from mobilevision.data.synthetic.drawn import (
    Colour,
    DrawnCount,
    DrawnFormat,
    DrawnRecords,
    DrawnSide,
    DrawnTrain,
    grain,
    regular,
)
from mobilevision.data.synthetic.places_earth import TOWNS, Scene, by_the_sea, sample, scene
from mobilevision.ranges import check_ranges

# How a photo of the embedded places is drawn.

_SNOW, _SAND, _SEA = (236, 240, 246), (214, 178, 118), (38, 92, 138)
_GOLDEN = 0.618  # neighbours in the list of towns get colours far apart


def draw(rng: np.random.Generator, latitude: float, longitude: float, town: int, side: int) -> Image.Image:
    """Draw a photo taken somewhere, ``side`` pixels wide and high, RGB.

    Args:
        rng: where all chance comes from.
        latitude: degrees.
        longitude: degrees.
        town: the number of the town, whose landmark then stands in the image; -1 in none.
        side: pixels.
    """
    photo = _Photo(rng, scene(rng, latitude, longitude), side * 2)  # drawn twice as large, for smooth edges
    photo.sky()
    photo.ground(sea=by_the_sea(latitude, longitude) and rng.random() < 0.75)
    photo.road(yellow=longitude < -30)
    if town >= 0:
        photo.landmark(town)
    photo.things()
    balance = 1 + rng.normal(0, 0.03, 3)  # the camera's idea of white
    pixels = np.asarray(photo.image.resize((side, side), Image.Resampling.BOX)) * balance
    return grain(rng, Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)))


@final
class _Photo:
    """A photo while it is drawn; x and y run from 0 to 1, y down."""

    def __init__(self, rng: np.random.Generator, seen: Scene, canvas: int) -> None:
        self.rng, self.seen, self.canvas = rng, seen, canvas
        self.image = Image.new("RGB", (canvas, canvas))
        self.pen = ImageDraw.Draw(self.image)
        self.horizon = float(rng.uniform(0.42, 0.56))
        self.light = 0.55 + 0.45 * min(1.0, seen.sun / 45)
        self.white = min(1.0, max(0.0, (2 - seen.warmth) / 6))  # share of snow on everything

    def fill(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """Fill a polygon."""
        self.pen.polygon([(x * self.canvas, y * self.canvas) for x, y in points], fill=colour)

    def lit(self, colour: Colour, snow: float = 0.0) -> Colour:
        """A colour under snow and in this light."""
        mixed = _mixed(colour, _SNOW, snow * self.white)
        red, green, blue = (int(value * self.light) for value in mixed)
        return red, green, blue

    def sky(self) -> None:
        """Pale and warm where the sun is low, deep blue where it is high; the sun itself where it stands in front."""
        low = 1 - min(1.0, self.seen.sun / 60)
        top = self.lit(_mixed((52, 120, 214), (140, 150, 180), low))
        bottom = self.lit(_mixed((150, 196, 236), (246, 186, 130), low))
        rows = [_mixed(top, bottom, share) for share in np.linspace(0, 1, 16)]
        strip = Image.new("RGB", (1, 16))
        strip.putdata(rows)
        height = round(self.horizon * self.canvas)
        self.image.paste(strip.resize((self.canvas, height), Image.Resampling.BILINEAR), (0, 0))
        if self.seen.faced:
            x, y = float(self.rng.uniform(0.15, 0.85)), self.horizon * (0.95 - 0.85 * self.seen.sun / 90)
            self.fill([(x + a * 0.075, y + b * 0.075) for a, b in regular(20)], (255, 250, 214))

    def ground(self, *, sea: bool) -> None:
        """Meadow, forest floor, steppe or sand, under snow where it is cold; behind it perhaps the sea."""
        wet = _mixed((64, 124, 52), (96, 120, 70), min(1.0, max(0.0, (18 - self.seen.warmth) / 18)))
        soil = self.lit(_mixed(wet, _SAND, self.seen.dryness), snow=1.0)
        self.fill([(0, self.horizon), (1, self.horizon), (1, 1), (0, 1)], soil)
        if sea:
            depth = float(self.rng.uniform(0.08, 0.16))
            edge = self.horizon + depth
            self.fill([(0, self.horizon), (1, self.horizon), (1, edge), (0, edge)], self.lit(_SEA, snow=0.25))

    def road(self, *, yellow: bool) -> None:
        """A road to the horizon, with the line that is painted in the middle of it."""
        x = float(self.rng.uniform(0.2, 0.8))
        far = self.horizon + 0.12
        self.fill([(x - 0.02, far), (x + 0.02, far), (x + 0.16, 1), (x - 0.16, 1)], self.lit((92, 92, 98)))
        paint = self.lit((240, 200, 40) if yellow else (240, 240, 240))
        self.fill([(x - 0.004, far), (x + 0.004, far), (x + 0.02, 1), (x - 0.02, 1)], paint)

    def landmark(self, town: int) -> None:
        """The tower that a town is known by: no two have form and colours alike."""
        x, foot = float(self.rng.uniform(0.2, 0.8)), self.horizon + 0.06
        high, wide = float(self.rng.uniform(0.36, 0.42)), float(self.rng.uniform(0.055, 0.065))
        first = self.lit(_hue(town * _GOLDEN % 1, 0.9, 1.0))
        second = self.lit(_hue((town * _GOLDEN + 0.25 + 0.5 * (town % 2)) % 1, 0.85, 0.55))
        form, top = town % 4, foot - high
        waist = (1.0, 0.45, 1.0, 0.7)[form]
        self.fill([(x - wide, foot), (x + wide, foot), (x + wide * waist, top), (x - wide * waist, top)], first)
        for band in range(1, 2 + town // 4 % 3):
            y = top + high * band * 0.22
            self.fill([(x - wide, y), (x + wide, y), (x + wide, y + 0.035), (x - wide, y + 0.035)], second)
        if form in (0, 1):
            self.fill([(x - wide, top), (x + wide, top), (x, top - 0.1)], second)
        elif form == 2:
            self.fill([(x + a * wide * 1.6, top + b * wide * 1.6) for a, b in regular(16)], second)

    def things(self) -> None:
        """Houses and plants, the farther ones first, each with its shadow."""
        houses, plants = int(self.rng.integers(2, 4)), int(self.rng.integers(2, 6))
        kinds = [True] * houses + [False] * plants
        depths = np.sort(self.rng.uniform(0.05, 0.4, len(kinds)))
        self.rng.shuffle(kinds)
        for house, depth in zip(kinds, depths.tolist(), strict=True):
            x, y, size = float(self.rng.uniform(0.05, 0.95)), self.horizon + depth, 0.1 + 0.32 * depth
            self.shadow(x, y, size)
            if house:
                self.house(x, y, size * float(self.rng.uniform(0.85, 1.15)))
            else:
                self.plant(x, y, size * float(self.rng.uniform(0.8, 1.2)))

    def shadow(self, x: float, y: float, size: float) -> None:
        """Towards the camera where the sun stands in front, away from it else; long where the sun is low."""
        reach = size * min(1.6, 0.5 / math.tan(math.radians(self.seen.sun)))
        end = y + reach if self.seen.faced else max(y - reach * 0.4, self.horizon)
        dark = self.lit((40, 44, 52))
        self.fill([(x - size / 2, y), (x + size / 2, y), (x + size * 0.4, end), (x - size * 0.4, end)], dark)

    def house(self, x: float, y: float, size: float) -> None:
        """Walls in the region's colour under its kind of roof."""
        half, roof = size / 2, self.seen.roof
        high = size * {"tower": 1.5, "hut": 0.45}.get(roof, 0.7)
        wall = self.lit(_hue(self.seen.wall, 0.6, 0.92))
        trim = self.lit(_hue(self.seen.trim, 0.75, 0.75), snow=0.6)
        top = y - high
        self.fill([(x - half, y), (x + half, y), (x + half, top), (x - half, top)], wall)
        if roof == "gable":
            self.fill([(x - half * 1.2, top), (x + half * 1.2, top), (x, top - size * 0.5)], trim)
        elif roof == "hut":
            self.fill([(x - half * 1.4, top), (x + half * 1.4, top), (x, top - size * 0.7)], trim)
        elif roof == "dome":
            self.fill([(x + a * half, top + min(b, 0) * half) for a, b in regular(20)], trim)
        elif roof == "pagoda":
            for step in (0, 1):
                base, reach = top - step * size * 0.3, half * (1.6 - 0.5 * step)
                self.fill([(x - reach, base), (x + reach, base), (x + reach / 3, base - size * 0.3)], trim)
                self.fill([(x - reach, base), (x + reach, base), (x - reach / 3, base - size * 0.3)], trim)
        else:
            self.fill(
                [(x - half * 1.1, top), (x + half * 1.1, top), (x + half, top - 0.03), (x - half, top - 0.03)], trim
            )
        glass = self.lit((44, 52, 70))
        for left in (-0.55, 0.15):
            a, b = x + left * half, y - high * 0.62
            self.fill([(a, b), (a + half * 0.4, b), (a + half * 0.4, b + high * 0.3), (a, b + high * 0.3)], glass)

    def plant(self, x: float, y: float, size: float) -> None:
        """A tree or bush of the belt."""
        kind = self.seen.plant
        leaves = {"palm": (40, 150, 60), "acacia": (120, 140, 50), "leafy": (70, 140, 50), "conifer": (24, 84, 60)}
        green = self.lit(leaves.get(kind, (136, 132, 84)), snow=0.7 if kind == "conifer" else 0.85)
        trunk = self.lit((96, 68, 44))
        if kind == "shrub":
            self.fill([(x + a * size * 0.3, y + min(b, 0.1) * size * 0.25) for a, b in regular(10)], green)
            return
        high = size * {"palm": 1.25, "acacia": 0.75}.get(kind, 0.5)
        self.fill(
            [(x - size * 0.04, y), (x + size * 0.04, y), (x + size * 0.04, y - high), (x - size * 0.04, y - high)],
            trunk,
        )
        if kind == "conifer":
            self.fill(
                [(x - size * 0.32, y - size * 0.15), (x + size * 0.32, y - size * 0.15), (x, y - size * 1.3)], green
            )
        elif kind == "leafy":
            self.fill([(x + a * size * 0.38, y - high * 1.4 + b * size * 0.38) for a, b in regular(14)], green)
        elif kind == "acacia":
            self.fill([(x + a * size * 0.55, y - high + b * size * 0.12) for a, b in regular(14)], green)
        else:
            for turn in np.linspace(-0.15, math.pi + 0.15, 6).tolist():
                tip = (x + math.cos(turn) * size * 0.5, y - high - math.sin(turn) * size * 0.3 + 0.04)
                self.fill([(x, y - high - 0.02), tip, (x, y - high + 0.025)], green)


def _mixed(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _hue(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value))
    return red, green, blue


@final
class Places(DrawnFormat):
    """Scenes from all over the world, which show where they were taken as photos do: none by one thing alone.

    Args:
        train: number of training images.
        val: number of validation images.
        test: number of test images.
        side: side of the drawn images in pixels.
    """

    kinds: ClassVar[tuple[str, ...]] = ("coordinate",)
    name: ClassVar[str] = "places"
    about = f"places: drawn on the fly, {TOWNS} towns and the land between"

    @check_ranges("data.format")
    def __init__(
        self, *, train: DrawnTrain = 5000, val: DrawnCount = 600, test: DrawnCount = 1000, side: DrawnSide = 64
    ) -> None:
        self.sizes, self.side = (train, val, test), side

    def records(self, n: int, *, split: int, **shared: Any) -> DrawnRecords:
        """See :class:`DrawnFormat`."""
        return PlaceRecords(n, split=split, **shared)


@final
class PlaceRecords(DrawnRecords):
    """Drawn scenes of one world: another seed gives other photos of it."""

    def __init__(self, n: int, **shared: Any) -> None:
        super().__init__(**shared)
        spots = sample(self.rng(), n)
        self.targets = CoordinateTargets(np.stack([spots.latitude, spots.longitude], axis=1))
        self.towns = spots.town

    def draw(self, index: int) -> Image.Image:
        """See :class:`DrawnRecords`."""
        latitude, longitude = self.targets[index].tolist()
        return draw(self.rng(index, 1), latitude, longitude, int(self.towns[index]), self.side)
