"""Closed shapes and lines on a sphere, made ready for a flat map: across the antimeridian and around the poles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_POLE = 90 - 1e-6  # degrees; from here on a longitude means nothing


def shapes(latitude: Floats, longitude: Floats) -> tuple[list[Floats], NDArray[np.int64]]:
    """Polygons as a map from 180 west to 180 east draws them; clip what is further out.

    A shape across the antimeridian comes twice, once at each side. One with a corner on a pole gets the map's upper or
    lower edge instead, and one around a pole is closed along that edge.

    Args:
        latitude: [N, P] degrees, corners in order.
        longitude: [N, P] degrees.

    Returns:
        M >= N polygons, float64 [corners, 2] of (longitude, latitude), and the row that each comes from, int64 [M].
    """
    found: list[Floats] = []
    rows: list[int] = []
    pairs = zip(np.asarray(latitude, dtype=np.float64), np.asarray(longitude, dtype=np.float64), strict=True)
    for row, (north, east) in enumerate(pairs):
        here = copies(_closed(*_without_poles(north, east)))
        found += here
        rows += [row] * len(here)
    return found, np.array(rows, dtype=np.int64)


def copies(shape: Floats) -> list[Floats]:
    """A shape or line [P, 2] of unwrapped longitudes, and itself a turn away where that reaches into the map."""
    low, high = shape[:, 0].min(), shape[:, 0].max()
    turns = [turn for turn in (-720, -360, 0, 360, 720) if high + turn > -180 and low + turn < 180]
    return [shape + np.array([turn, 0.0]) for turn in turns]


def _without_poles(north: Floats, east: Floats) -> tuple[Floats, Floats]:
    """A corner on a pole becomes two on the map's edge, at the longitudes of its neighbours."""
    at_pole = np.abs(north) >= _POLE
    if not at_pole.any():
        return north, east
    corners = []
    for index in range(len(north)):
        beside = (index - 1, (index + 1) % len(north)) if at_pole[index] else (index,)
        corners += [(north[index], east[neighbour]) for neighbour in beside]
    return np.array([each[0] for each in corners]), np.array([each[1] for each in corners])


def _closed(north: Floats, east: Floats) -> Floats:
    """Unwrapped; around a pole it ends a turn from where it began, and goes back along the edge of the map."""
    turned = np.unwrap(np.append(east, east[0]), period=360)
    shape = np.stack([turned, np.append(north, north[0])], axis=1)
    if abs(turned[-1] - turned[0]) < 180:
        return shape[:-1]
    edge = np.copysign(90, north.mean())
    return np.concatenate([shape, [(turned[-1], edge), (turned[0], edge)]])


def great_circle(start: Floats, end: Floats, points: int = 40) -> Floats:
    """The shortest way between two places, float64 [points, 2] of (unwrapped longitude, latitude).

    Args:
        start: (latitude, longitude) in degrees.
        end: likewise; for the opposite end of the Earth any way is the shortest.
        points: on it, both ends included.
    """
    phi, theta = np.radians(np.stack([start, end])).T
    first, last = np.stack([np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)], axis=1)
    angle = np.arccos(np.clip(first @ last, -1, 1))
    share = np.linspace(0, 1, points)[:, None]
    if 1e-9 < angle < np.pi - 1e-9:
        x, y, z = (np.sin((1 - share) * angle) * first + np.sin(share * angle) * last).T
    else:  # the same place, or its opposite
        x, y, z = ((1 - share) * first + share * last).T
    east = np.unwrap(np.degrees(np.arctan2(y, x)), period=360)
    return np.stack([east, np.degrees(np.arctan2(z, np.hypot(x, y)))], axis=1)
