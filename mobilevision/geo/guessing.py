"""Baselines for geolocalization that do not look at the images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mobilevision.geo.cells import Cells
from mobilevision.geo.distance import EARTH, RADII, haversine, unit_vectors

_CHUNK = 512  # cells at once
_SOME = 2000  # photos: chance needs no more


def best_constants(cells: Cells) -> dict[int, int]:
    """For each radius the cell with most of the training photos within it: what a model guesses that sees nothing.

    Training photos are taken to lie at the photo centres of their cells. One cell for all five radii would do worse.
    """
    vectors = unit_vectors(cells.latitude, cells.longitude).T
    weights = cells.counts.astype(np.float64)
    reached = np.zeros((len(RADII), len(cells)))
    for start in range(0, len(cells), _CHUNK):
        cosines = vectors[start : start + _CHUNK] @ vectors.T
        for row, radius in zip(reached, RADII, strict=True):
            row[start : start + _CHUNK] = (cosines >= np.cos(radius / EARTH)) @ weights
    return {radius: int(row.argmax()) for radius, row in zip(RADII, reached, strict=True)}


def prior(
    cells: Cells, constants: Mapping[int, int], latitude: NDArray[np.float64], longitude: NDArray[np.float64]
) -> dict[int, float]:
    """Share of photos that the best constant guess of each radius finds; NaN without photos.

    Args:
        cells: made from training photos.
        constants: of :func:`best_constants`.
        latitude: [N] degrees, of any photos.
        longitude: likewise.
    """
    found = {}
    for radius, cell in constants.items():
        distance = haversine(latitude, longitude, cells.latitude[cell], cells.longitude[cell])
        found[radius] = _share(distance <= radius)
    return found


def chance(cells: Cells, latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> dict[int, float]:
    """Share of photos that a cell drawn at random finds, as all cells are equally likely; NaN without photos.

    Of more than 2,000 photos, so many at equal distances stand for all.

    Args:
        cells: what is drawn from.
        latitude: [N] degrees.
        longitude: likewise.
    """
    rows = np.unique(np.linspace(0, len(latitude) - 1, min(_SOME, len(latitude))).round().astype(np.int64))
    sums = dict.fromkeys(RADII, 0.0)
    for row in rows:
        distance = haversine(latitude[row], longitude[row], cells.latitude, cells.longitude)
        for radius in RADII:
            sums[radius] += _share(distance <= radius)
    return {radius: total / len(rows) if len(rows) else float("nan") for radius, total in sums.items()}


def _share(found: NDArray[np.bool_]) -> float:
    return float(found.mean()) if len(found) else float("nan")
