"""What a place looks like: its sun, its warmth, its plants and its houses, as plain functions of where it is.

Loosely the real Earth: deserts lie where they lie, the sun stands as high as it does, houses are made up. Left and
right say nothing, so that a mirror image was taken at the same place; every photo looks north.
"""

from __future__ import annotations

import math
from typing import NamedTuple, final

import numpy as np

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
