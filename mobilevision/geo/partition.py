"""Cutting Earth into the cells that a model chooses among: by the density of photos, like PlaNet, or at one level."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mobilevision.geo import s2
from mobilevision.geo.cells import Cells
from mobilevision.geo.distance import RADII, directions, haversine, unit_vectors

__all__ = ["Cells", "adaptive", "fixed", "oracle", "scaled"]

PLANET = (91_000_000, 10_000, 50)  # photos, most and least a cell, that PlaNet's 26,263 cells were made with
FINEST = 16  # cells some 150 m across: finer ones do not help even the 1 km figure
_CHUNK = 1 << 18  # photos at once
_Degrees = NDArray[np.float64]


def scaled(photos: int) -> tuple[int, int]:
    """PlaNet's settings for fewer photos, by the square root of their number: fewer cells, and fewer photos in each.

    Keeping PlaNet's number of cells would leave too few photos to learn a cell from, keeping its photos a cell would
    leave too few cells to be any use.

    Args:
        photos: there are for training.

    Returns:
        ``most`` and ``least`` for ``adaptive``: 10,000 and 50 for 91 million photos, 331 and 3 for 100,000; never less
        than 10 and 3.
    """
    whole, most, least = PLANET
    share = (photos / whole) ** 0.5
    return max(round(most * share), 10), max(round(least * share), 3)


def adaptive(
    latitude: ArrayLike, longitude: ArrayLike, *, most: int, least: int, coarsest: int = 0, finest: int = FINEST
) -> Cells:
    """Cells by the density of photos, as PlaNet cuts them (Weyand et al. 2016, arXiv:1602.05314).

    From the coarsest level on a cell with more than ``most`` photos is cut into four, down to the finest level; then
    cells with fewer than ``least`` are dropped. PlaNet: 10,000 and 50 of 91 million photos gave 26,263 cells.

    Args:
        latitude: [N] degrees, of the training photos.
        longitude: [N] degrees.
        most: a cell with more photos is cut, above the finest level.
        least: a cell with fewer photos is dropped; 1 or more.
        coarsest: level of the largest cells, 0 to 30.
        finest: level of the smallest ones.

    Returns:
        Cells of at least one photo. A photo whose cell was dropped is in none.

    Raises:
        ValueError: bad coordinates or levels, or ``least`` is not from 1 to ``most``.
    """
    if not 0 <= coarsest <= finest <= s2.LEVELS:
        raise ValueError(f"levels from {coarsest} to {finest}: 0 <= coarsest <= finest <= {s2.LEVELS} must hold")
    if not 1 <= least <= most:
        raise ValueError(f"least {least} and most {most}: 1 <= least <= most must hold")
    lat, lon = np.asarray(latitude, dtype=np.float64), np.asarray(longitude, dtype=np.float64)
    leaves = s2.cell_ids(lat, lon)
    order = np.sort(leaves)
    kept = []
    cells = np.unique(s2.parents(order, coarsest))
    for level in range(coarsest, finest + 1):
        counts = _photos(order, cells)
        crowded = (counts > most) & (level < finest)
        kept.append(cells[~crowded & (counts >= least)])
        cells = s2.children(cells[crowded])
    return _with_centres(np.sort(np.concatenate(kept)), leaves, lat, lon)


def fixed(latitude: ArrayLike, longitude: ArrayLike, *, level: int, least: int = 1) -> Cells:
    """The cells of one level that hold at least so many photos.

    Args:
        latitude: [N] degrees, of the training photos.
        longitude: [N] degrees.
        level: 0 to 30; 5 is some 300 km across, 10 some 10 km.
        least: a cell with fewer photos is dropped; 1 or more.

    Raises:
        ValueError: bad coordinates, no such level, or ``least`` below 1.
    """
    count = max(len(np.asarray(latitude)), least)
    return adaptive(latitude, longitude, most=count, least=least, coarsest=level, finest=level)


def oracle(cells: Cells, latitude: ArrayLike, longitude: ArrayLike) -> dict[int, float]:
    """What a model reaches that always finds the right cell: the bound that the cells themselves set.

    Args:
        cells: made from training photos.
        latitude: [N] degrees, of any photos.
        longitude: [N] degrees.

    Returns:
        For each of the five radii in km the share of photos that lie within it of their cell's photo centre, 0 to 1. A
        photo in no cell counts as missed; without photos all are NaN.

    Raises:
        ValueError: a coordinate is not a number or a latitude is beyond a pole.
    """
    lat, lon = np.asarray(latitude, dtype=np.float64), np.asarray(longitude, dtype=np.float64)
    index = cells.assign(lat, lon)
    found = index >= 0
    there = index[found]
    distance = haversine(lat[found], lon[found], cells.latitude[there], cells.longitude[there])
    return {radius: float((distance <= radius).sum() / len(lat)) if len(lat) else float("nan") for radius in RADII}


def _photos(order: NDArray[np.uint64], cells: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How many of the sorted leaves lie in each cell."""
    first, last = s2.ranges(cells)
    return np.searchsorted(order, last, side="right") - np.searchsorted(order, first, side="left")


def _with_centres(ids: NDArray[np.uint64], leaves: NDArray[np.uint64], lat: _Degrees, lon: _Degrees) -> Cells:
    """The cells, with the number of their photos and the mean of them, chunk by chunk."""
    sums = np.zeros((4, len(ids)))  # photos, then the sum of their unit vectors
    bare = Cells(ids, np.ones(len(ids), dtype=np.int64), np.zeros(len(ids)), np.zeros(len(ids)))
    for start in range(0, len(leaves), _CHUNK):
        part = slice(start, start + _CHUNK)
        index = bare.locate(leaves[part])
        found = index >= 0
        weights = (None, *unit_vectors(lat[part][found], lon[part][found]))
        for total, weight in zip(sums, weights, strict=True):
            total += np.bincount(index[found], weights=weight, minlength=len(ids))
    latitude, longitude = directions(sums[1:])
    return Cells(ids, sums[0].astype(np.int64), latitude, longitude)
