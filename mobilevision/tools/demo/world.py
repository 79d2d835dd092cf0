"""The map of a model of places, drawn as paths of SVG: land, a grid of degrees, and the cells that it chooses among."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.manifest import Manifest
from mobilevision.geo import s2
from mobilevision.geo.cells import Cells
from mobilevision.visualization.world_map import WORLD, Window, around, shapes

_WIDE = 1000  # of the map in steps that a shore is rounded to


def world(manifest: Manifest) -> dict[str, Any]:
    """What the page draws: the view box, how much degrees east are narrowed, and paths, x to the east and y southwards.

    Raises:
        UserError: model.json has no cells.
    """
    cells = Cells.from_dict(manifest.facts.get("cells"), source="model.json")
    window = around((cells.latitude, cells.longitude))
    flat = window.narrowing
    if window == WORLD:
        window = Window(south=-60.0, north=84.0) if cells.latitude.min() > -58 else window
    step = window.width / _WIDE
    view = [window.west * flat, -window.north, window.width * flat, window.north - window.south]
    return {
        "view": [round(value, 3) for value in view],
        "flat": flat,
        "land": _land(window, flat, step),
        "grid": _grid(window, flat),
        "cells": _cells(cells, flat, step),
    }


def _land(window: Window, flat: float, step: float) -> str:
    """Lakes are holes in the land, islands are land in the holes: the page fills by even and odd."""
    least = (4 * step * 100) ** 2  # km^2: what is smaller would be a speck
    found = [each for each in window.outlines() if each.area >= least]
    inside = [
        each
        for each in found
        if each.longitude.max() > window.west
        and each.longitude.min() < window.east
        and each.latitude.max() > window.south
        and each.latitude.min() < window.north
    ]
    return "".join(_path(np.stack([each.longitude, each.latitude], axis=1), flat, step) for each in inside)


def _cells(cells: Cells, flat: float, step: float) -> list[str]:
    """A path for each cell, with both parts of those that the map's edge cuts."""
    latitude, longitude = s2.corners(cells.ids, points=4)
    paths = [""] * len(cells)
    for shape, row in zip(*shapes(latitude, longitude), strict=True):
        paths[row] += _path(shape, flat, step / 4)
    return paths


def _path(points: NDArray[Any], flat: float, step: float) -> str:
    """A closed shape of (longitude, latitude), rounded, without the points that rounding makes equal."""
    digits = max(0, int(np.ceil(-np.log10(step))))
    steps = np.round(points.astype(np.float64) / step).astype(np.int64)
    kept = np.concatenate([[True], (np.diff(steps, axis=0) != 0).any(axis=1)])
    places = steps[kept] * step * np.array([flat, -1.0])
    return "M" + " ".join(f"{x:.{digits}f},{y:.{digits}f}" for x, y in places.tolist()) + "Z"


def _grid(window: Window, flat: float) -> str:
    east, north = window.degrees()
    upright = [f"M{x:g},{-window.north:g}V{-window.south:g}" for x in (east * flat).tolist()]
    level = [f"M{window.west * flat:g},{-y:g}H{window.east * flat:g}" for y in north.tolist()]
    return "".join(upright + level)
