"""What a place looks like: its sun, its warmth, its plants and its houses, as plain functions of where it is.

Loosely the real Earth: deserts lie where they lie, the sun stands as high as it does, houses are made up. Left and
right say nothing, so that a mirror image was taken at the same place; every photo looks north.
"""

from __future__ import annotations

import base64
import math
import zlib
from functools import lru_cache
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

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
