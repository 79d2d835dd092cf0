"""An embedded data set of places: drawn scenes whose look depends on where they are, a function of (seed, index)."""

from __future__ import annotations

import base64
import colorsys
import math
import zlib
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mobilevision.data.coordinates import CoordinateTargets
from mobilevision.data.synthetic.drawn import DrawnFormat, DrawnRecords, Sizes
from mobilevision.data.synthetic.painting import Colour, grain, regular

# The world of the embedded places, loosely the real Earth: deserts lie where they lie, the sun stands as high as it
# does, houses are made up. Left and right say nothing, so that a mirror image was taken at the same place; every photo
# looks north.

# Where the photos of the embedded places are taken: land, more of it where many people are, and some towns.

STEP = 2.0  # degrees
TOWNS = 40
_IN_TOWNS = 0.4  # share of photos
_SCATTER = 0.03  # degrees: a town's photos lie some 3 km around its middle
_WORLD = 17  # seed of the towns: another seed of the data takes other photos of the same world
_PACKED = (
    "eNq9Vc1qFEEQrt5ZnT1EZ46CIbuQo6LxlkPI5EWEgA9gTpKDZBoRAiJ69Ji8SYYkmJP6CGm9xJsNBjKSscuuqp7uWd2bYh16e7/9un6+"
    "6q4F+EeWdYDNH+gUvRm/GQFsRXQVDxAtFMTP+kMZ3PvsyQAzgBLynlu86qD2ZG/rUDlYFvTDlc3Q0XY8rnwI70U1MD2pzZTilbB1TqE7"
    "UH51j98qbAGqlr6xFbS0e1OP5vitRx/xetB0ysD19x61TNYbuQbYrHsU2ZdZ8WlBcdGDFeS6RqcuKbW9SsB21WeU+c/Cp6ZenAUuUFXe"
    "9w/0jtfXA9rcpqM+zFEHcDM6blgs3vEhscuo8ns5JCZSc/1UXzAj0oVdje8QA0XIhFZ3rST9uifT79mXp8GF7sm0eQ7nwp0wmiP3KXsD"
    "jLonQq6oqT5JI/Ap95L6IhVpviOuDO2mPvnk3DBl/53Lp0ooogvojXYsnpwLwrA91CHs1eU01gewOw4K1tYvs4DmL0shX2PeYbyjG822"
    "kI9Mtf813twueP7ZKlOPImz75GBZtbP4JAIZtWqmOpLLHfF8BUtqrYzwJyuNNHBYQmQrEppLHoGeDN6VD7jPJd+/A4nc8m9+VScpYEU+"
    "FHdhuU0PlmWsWOKzQ53IHZGp0JvPih6W1hYs8Qw2E5nTI7JqlI1pEDmXfkxu6TQLqJPdbyOCm1zgMZ88jc+es8Num1XfTgGZ/JH9uVQ3"
    "OUVreG+SSA2lsSRR9JxItW16qQKZn4qbpKspItGuasRdDFi1MvGEbCKZaTrlL2TSJYhj6+jZJQkmKqZRD2doocdBfjuvWdBjb4gpCNcj"
    "nxvDpQqF7867WOtDLJzm7UI0Xzz6dxaiSsP/tdFiOKixwoMvSvNAjlS4zwO6b4phjIZBGo3T46MwedMcLfCCP9O/gb/y6kCm0JCLYf4a"
    "2BmiVgYD2kk1QF34w8SLIRe74hr/2n4B5ky1pw=="
)
_CROWDS = (  # latitude, longitude, reach in degrees, weight
    (48, 8, 9, 5.0),
    (60, 20, 6, 0.6),
    (40, -82, 9, 3.0),
    (37, -119, 6, 1.5),
    (36, 138, 5, 2.0),
    (32, 114, 8, 1.5),
    (8, 104, 9, 1.2),
    (21, 78, 8, 1.3),
    (33, 40, 8, 0.8),
    (20, -100, 6, 0.8),
    (-21, -46, 7, 1.2),
    (-34, -62, 6, 0.7),
    (-29, 25, 6, 0.7),
    (1, 36, 7, 0.6),
    (8, 2, 7, 0.5),
    (-33, 147, 6, 1.0),
    (-41, 173, 4, 0.5),
)


@final
class Spots(NamedTuple):
    """Where photos were taken.

    Attributes:
        latitude: float64 [n], degrees.
        longitude: float64 [n], degrees.
        town: int64 [n], the number of the town, -1 in none.
    """

    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    town: NDArray[np.int64]


def sample(rng: np.random.Generator, n: int) -> Spots:
    """Draw where ``n`` photos are taken."""
    latitude, longitude = _somewhere(rng, n)
    town = np.where(rng.random(n) < _IN_TOWNS, rng.choice(TOWNS, n, p=_fame()), -1)
    middle, there = towns(), town >= 0
    scatter = rng.normal(0, _SCATTER, (2, n))
    latitude = np.where(there, middle[0][town] + scatter[0], latitude)
    longitude = np.where(there, middle[1][town] + scatter[1] / np.cos(np.radians(latitude)), longitude)
    return Spots(latitude, (longitude + 180) % 360 - 180, town)


@lru_cache(maxsize=1)
def land() -> NDArray[np.bool_]:
    """Whether there is land, bool [90, 180]: from the north pole down, from 180 west on."""
    bits = np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(_PACKED)), dtype=np.uint8))
    return bits[: 90 * 180].reshape(90, 180).astype(bool)


@lru_cache(maxsize=1)
def towns() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Latitudes and longitudes of the towns, the most visited one first, float64 [40] both."""
    return _somewhere(np.random.default_rng(_WORLD), TOWNS)


def by_the_sea(latitude: float, longitude: float) -> bool:
    """Whether there is water in one of the cells around."""
    row, column = int((90 - latitude) // STEP), int((longitude + 180) // STEP)
    rows = np.clip(np.arange(row - 1, row + 2), 0, 89)
    around = land()[np.ix_(rows, np.arange(column - 1, column + 2) % 180)]
    return not bool(around.all())


def _somewhere(rng: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    cell = rng.choice(90 * 180, n, p=_density())
    within = rng.random((2, n)) * STEP
    return 90 - cell // 180 * STEP - within[0], cell % 180 * STEP - 180 + within[1]


@lru_cache(maxsize=1)
def _density() -> NDArray[np.float64]:
    """Probability of each cell of the grid, [16200]: some photos everywhere, many where people live."""
    north, east = np.meshgrid(89 - STEP * np.arange(90), STEP * np.arange(180) - 179, indexing="ij")
    weight = np.where(north > 72, 0.01, 0.06)
    for latitude, longitude, reach, more in _CROWDS:
        away = (north - latitude) ** 2 + ((east - longitude) * np.cos(np.radians(latitude))) ** 2
        weight = weight + more * np.exp(-away / (2 * reach**2))
    weight = weight * land() * np.cos(np.radians(north)) * (north > -56)
    flat: NDArray[np.float64] = (weight / weight.sum()).ravel()
    return flat


def _fame() -> NDArray[np.float64]:
    """Share of the photos in towns that each of them has."""
    weights = 1 / (np.arange(TOWNS) + 4.0)
    share: NDArray[np.float64] = weights / weights.sum()
    return share


# What a place looks like: its sun, its warmth, its plants and its houses, as plain functions of where it is.

_TILT = 23.4  # degrees
_DESERTS = (  # latitude, longitude, reach in degrees
    (23, 0, 10),
    (23, 20, 11),
    (24, 46, 9),
    (34, 64, 8),
    (43, 90, 12),
    (-25, 132, 12),
    (35, -113, 8),
    (-23, 19, 6),
    (-24, -69, 5),
)
KINDS = ("palm", "acacia", "leafy", "conifer", "shrub")
ROOFS = ("gable", "flat", "dome", "pagoda", "tower", "hut")


@final
class Scene(NamedTuple):
    """What is seen at a place in a season.

    Attributes:
        sun: its height at noon in degrees, 2 to 90.
        faced: whether it stands in the north, before the camera.
        warmth: degrees Celsius.
        dryness: 0 rain forest or meadow, 1 desert.
        plant: one of ``KINDS``.
        roof: one of ``ROOFS``.
        wall: hue of the walls, 0 to 1.
        trim: hue of the roofs, 0 to 1.
    """

    sun: float
    faced: bool
    warmth: float
    dryness: float
    plant: str
    roof: str
    wall: float
    trim: float


def scene(rng: np.random.Generator, latitude: float, longitude: float) -> Scene:
    """Draw a season, and what depends on chance anywhere."""
    season = math.sin(rng.uniform(0, 2 * math.pi))
    noon = latitude - _TILT * season  # how far the sun stands south of the zenith
    summer = season if latitude >= 0 else -season
    warmth = 29 - 0.0085 * latitude**2 + 0.22 * abs(latitude) * summer + rng.normal(0, 2)
    dryness = min(1.0, max(0.0, _dryness(latitude, longitude) + rng.normal(0, 0.08)))
    return Scene(
        sun=min(90.0, max(2.0, 90 - abs(noon))),
        faced=noon < 0,
        warmth=warmth,
        dryness=dryness,
        plant=_plant(abs(latitude) + rng.normal(0, 3), dryness),
        roof=_roof(rng, latitude, longitude, dryness),
        wall=(longitude / 360 + rng.normal(0, 0.02)) % 1,
        trim=(longitude / 120 + latitude / 180 + rng.normal(0, 0.03)) % 1,
    )


def _dryness(latitude: float, longitude: float) -> float:
    """0 to 1: how near the next desert is."""
    near = 0.0
    for north, east, reach in _DESERTS:
        turn = (longitude - east + 180) % 360 - 180
        away = (latitude - north) ** 2 + (turn * math.cos(math.radians(north))) ** 2
        near = max(near, math.exp(-away / (2 * reach**2)))
    return near


def _plant(from_equator: float, dryness: float) -> str:
    if dryness > 0.75:
        return "shrub"
    if from_equator < 24:
        return "acacia" if dryness > 0.3 else "palm"
    if from_equator < 37:
        return "shrub" if dryness > 0.4 else "leafy"
    return "leafy" if from_equator < 52 else "conifer"


def _roof(rng: np.random.Generator, latitude: float, longitude: float, dryness: float) -> str:
    """The way of building of a region; one house in eight is built otherwise."""
    if rng.random() < 0.125:
        return ROOFS[int(rng.integers(len(ROOFS)))]
    if longitude < -30:
        return "tower" if latitude > 15 else "flat"
    if latitude < 12 and longitude < 60:
        return "hut"
    if dryness > 0.4 or (longitude > 25 and longitude < 60 and latitude < 42):
        return "flat" if longitude < 25 else "dome"
    return "pagoda" if longitude > 68 and latitude > -12 else "gable"


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
    """Scenes from all over the world, which show where they were taken as photos do: none by one thing alone."""

    kinds: ClassVar[tuple[str, ...]] = ("coordinate",)
    name: ClassVar[str] = "places"
    about: ClassVar[str] = f"places: drawn on the fly, {TOWNS} towns and the land between"
    usual: ClassVar[Sizes] = Sizes(5000, 600, 1000, side=64)

    def records(self, n: int, **shared: Any) -> DrawnRecords:
        """See :class:`DrawnFormat`."""
        return PlaceRecords(n, **shared)


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
