"""Where the photos of the embedded places are taken: land, more of it where many people are, and some towns.

The grid of land is the one of NOAA's GLOBE elevation model (doi:10.7289/V52R3PMS, public domain), 2 degrees a cell.
"""

from __future__ import annotations

import base64
import zlib
from functools import lru_cache
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

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
