"""Cells of S2: Earth on the faces of a cube, each cut into quarters, 30 levels deep (https://s2geometry.io).

An id is 64 bits: 3 for the face, 2 a level along a Hilbert curve, then a 1 that marks the end. So sorted ids lie near
each other, and all that is inside a cell is one range of ids. Ids equal those of the reference library, bit by bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mobilevision.geo.distance import EARTH, directions, unit_vectors

# The Hilbert curve that numbers the cells of a face: six bits of it at a time, through tables made at import.

_BITS = 6
_STEPS = range(30 - _BITS, -1, -_BITS)
_MASK = (1 << _BITS) - 1
_ORDER = np.array([[0, 1, 3, 2], [0, 2, 3, 1], [3, 2, 0, 1], [3, 1, 0, 2]])  # [turn, place on the curve] -> 2 i + j
_TURNS = np.array([1, 0, 0, 3])  # how the curve is turned inside each of the four: 1 swaps the axes, 2 inverts them


def _tables() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For six bits of i and of j and a turn: the place on the curve and the turn there; and the way back."""
    key = np.arange(4 << 2 * _BITS)
    turn, i, j = key >> 2 * _BITS, key >> _BITS & _MASK, key & _MASK
    start, place, places = turn, np.zeros_like(key), np.argsort(_ORDER, axis=1)
    for bit in range(_BITS - 1, -1, -1):
        quarter = places[turn, (i >> bit & 1) << 1 | j >> bit & 1]
        place, turn = place << 2 | quarter, turn ^ _TURNS[quarter]
    back = np.empty_like(key)
    back[start << 2 * _BITS | place] = i << _BITS + 2 | j << 2 | turn
    return place << 2 | turn, back


_FORTH, _BACK = _tables()


def along(face: NDArray[np.int64], i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Place on the curve through all six faces, in units of half a leaf cell.

    Args:
        face: int64 [N], 0 to 5.
        i: int64 [N], 0 to 2^30 - 1, column in the face.
        j: int64 [N], likewise, row.

    Returns:
        uint64 [N], odd: the ids of S2's leaf cells.
    """
    turn, place = face & 1, face
    for shift in _STEPS:
        entry = _FORTH[turn << 2 * _BITS | (i >> shift & _MASK) << _BITS | j >> shift & _MASK]
        place, turn = place << 2 * _BITS | entry >> 2, entry & 3
    return place.astype(np.uint64) << np.uint64(1) | np.uint64(1)


def back(ids: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Face, i and j of leaf cells: the inverse of ``along``."""
    place = (ids >> np.uint64(1)).astype(np.int64)
    face = place >> 60
    turn, i, j = face & 1, np.zeros_like(face), np.zeros_like(face)
    for shift in _STEPS:
        entry = _BACK[turn << 2 * _BITS | place >> 2 * shift & (1 << 2 * _BITS) - 1]
        i, j, turn = i << _BITS | entry >> _BITS + 2, j << _BITS | entry >> 2 & _MASK, entry & 3
    return face, i, j


LEVELS = 30
_SIDE = 1 << LEVELS  # leaf cells along a side of a face
_CHUNK = 1 << 15  # places at once: what a step makes stays in the cache
_ONE = np.uint64(1)
# For each face the axis (0 is x) that columns and that rows run along, and which way where the face looks outwards.
_COLUMNS = np.array([1, 0, 0, 2, 2, 1]), np.array([1.0, -1, -1, 1, 1, -1])
_ROWS = np.array([2, 2, 1, 1, 0, 0]), np.array([1.0, 1, -1, 1, -1, -1])
_EVEN = np.uint64(0x1555555555555555)  # where the 1 at the end of an id may stand

Ids = NDArray[np.uint64]
Degrees = NDArray[np.float64]


def cell_ids(latitude: ArrayLike, longitude: ArrayLike, level: int = LEVELS) -> Ids:
    """The cell of each place.

    Args:
        latitude: [N], degrees north, -90 to 90.
        longitude: [N], degrees east; any full turns may be added.
        level: 0, a face, to 30, a square centimetre.

    Returns:
        uint64 [N].

    Raises:
        ValueError: a coordinate is not a number, a latitude is beyond a pole, the two differ in number; or there is no
            such level.
    """
    lat, lon = (np.asarray(each, dtype=np.float64) for each in (latitude, longitude))
    if lat.ndim != 1 or lat.shape != lon.shape:
        raise ValueError(f"latitudes {lat.shape} and longitudes {lon.shape}: one of each a place")
    if not (np.abs(lat) <= 90).all() or not np.isfinite(lon).all():
        raise ValueError("latitudes must lie between -90 and 90, longitudes must be numbers")
    ids = np.empty(lat.shape, dtype=np.uint64)
    for start in range(0, len(ids), _CHUNK):
        part = slice(start, start + _CHUNK)
        ids[part] = along(*_faces(unit_vectors(lat[part], lon[part])))
    return ids if level == LEVELS else parents(ids, level)


def parents(ids: ArrayLike, level: int) -> Ids:
    """The cells of a coarser level that hold these.

    Args:
        ids: uint64 [N].
        level: 0 to 30, no finer than any of the cells.

    Raises:
        ValueError: there is no such level, or a cell is coarser than it.
    """
    if not 0 <= level <= LEVELS:
        raise ValueError(f"level {level}: S2 has 0 to {LEVELS}")
    cells = np.asarray(ids, dtype=np.uint64)
    size = _ONE << np.uint64(2 * (LEVELS - level))
    if (_ends(cells) > size).any():
        raise ValueError(f"a cell is coarser than level {level}, and has no parent there")
    return cells & ~(size - _ONE) & ~size | size


def children(ids: ArrayLike) -> Ids:
    """The four cells inside each.

    Args:
        ids: uint64 [N], of levels 0 to 29.

    Returns:
        uint64 [4 N], in the order of the curve.

    Raises:
        ValueError: a cell is a leaf.
    """
    cells = np.asarray(ids, dtype=np.uint64)
    quarter = _ends(cells) >> np.uint64(2)
    if (quarter == 0).any():
        raise ValueError("a leaf cell has none inside")
    first: Ids = cells - np.uint64(3) * quarter
    return np.ravel(first[:, None] + quarter[:, None] * np.arange(0, 8, 2, dtype=np.uint64))


def levels(ids: ArrayLike) -> NDArray[np.int64]:
    """The level of each cell, 0 to 30."""
    exponent = np.frexp(_ends(np.asarray(ids, dtype=np.uint64)).astype(np.float64))[1]
    return LEVELS - (exponent.astype(np.int64) - 1) // 2


def ranges(ids: ArrayLike) -> tuple[Ids, Ids]:
    """The first and the last leaf cell inside each cell: a place is inside when its leaf's id is between them."""
    cells = np.asarray(ids, dtype=np.uint64)
    reach = _ends(cells) - _ONE
    return cells - reach, cells + reach


def centres(ids: ArrayLike) -> tuple[Degrees, Degrees]:
    """Latitude and longitude in degrees of the middle of each cell, float64 [N] both."""
    latitude, longitude = _outline(ids, np.array([[0.5], [0.5]]))
    return latitude[:, 0], longitude[:, 0]


def corners(ids: ArrayLike, points: int = 1) -> tuple[Degrees, Degrees]:
    """The outline of each cell, counter-clockwise as seen from above.

    Args:
        ids: uint64 [N].
        points: on each of the four sides; more follow the bent sides of large cells.

    Returns:
        Latitude and longitude in degrees, float64 [N, 4 * points].
    """
    steps = np.arange(points) / points
    across = np.concatenate([steps, np.ones(points), 1 - steps, np.zeros(points)])
    return _outline(ids, np.stack([across, np.roll(across, points)]))


def areas(ids: ArrayLike) -> Degrees:
    """The area of each cell in km^2, float64 [N]: its sides are great circles, so it is two spherical triangles."""
    a, b, c, d = np.moveaxis(unit_vectors(*corners(ids)), 2, 0)
    total: Degrees = EARTH**2 * (_excess(a, b, c) + _excess(a, c, d))
    return total


def tokens(ids: ArrayLike) -> list[str]:
    """The ids as short text: hexadecimal, without the zeros at the end."""
    return [f"{each:016x}".rstrip("0") for each in np.asarray(ids, dtype=np.uint64).tolist()]


def from_tokens(texts: Sequence[str]) -> Ids:
    """The ids that ``tokens`` wrote.

    Raises:
        ValueError: a text is not the token of a cell.
    """
    ids = np.empty(len(texts), dtype=np.uint64)
    for index, text in enumerate(texts):
        try:
            ids[index] = int(text.ljust(16, "0"), 16)
        except (ValueError, OverflowError, AttributeError):
            raise ValueError(f"{text!r} is not the token of an S2 cell") from None
    wrong = ~valid(ids)
    if wrong.any():
        raise ValueError(f"{texts[int(wrong.argmax())]!r} is not the token of an S2 cell")
    return ids


def valid(ids: ArrayLike) -> NDArray[np.bool_]:
    """Whether each id is that of a cell: one of six faces, and the 1 at the end in an even place."""
    cells = np.asarray(ids, dtype=np.uint64)
    found: NDArray[np.bool_] = (cells >> np.uint64(61) < 6) & (_ends(cells) & _EVEN != 0)
    return found


def _excess(a: Degrees, b: Degrees, c: Degrees) -> Degrees:
    """The solid angle of triangles of unit vectors [3, N] (Van Oosterom and Strackee 1983)."""
    # The volume from the sides, not from the corners: so small triangles keep their digits.
    volume = np.abs((a * np.cross(b - a, c - a, axis=0)).sum(axis=0))
    angle: Degrees = 2 * np.arctan2(volume, 1 + (a * b + b * c + c * a).sum(axis=0))
    return angle


def _ends(cells: Ids) -> Ids:
    """The lowest bit that is set."""
    return cells & (~cells + _ONE)


def _faces(xyz: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The face of the cube that each point lies on, and the column and row of its leaf there."""
    ax, ay, az = np.abs(xyz)
    axis = np.where(ax > ay, np.where(ax > az, 0, 2), np.where(ay > az, 1, 2))
    flat, places = xyz.ravel(), np.arange(len(ax))
    depth = flat[axis * len(ax) + places]
    face = axis + 3 * (depth < 0)
    u, v = (sign[face] * flat[across[face] * len(ax) + places] / depth for across, sign in (_COLUMNS, _ROWS))
    return face, _leaves(u), _leaves(v)


def _leaves(u: NDArray[np.float64]) -> NDArray[np.int64]:
    """Column of a leaf from the place on the face, -1 to 1: S2's quadratic curve, which evens out the cells' areas."""
    root = 0.5 * np.sqrt(1 + 3 * np.abs(u))
    leaf: NDArray[np.int64] = (_SIDE * np.where(u >= 0, root, 1 - root)).astype(np.int64)
    return np.minimum(leaf, _SIDE - 1)


def _outline(ids: ArrayLike, within: NDArray[np.float64]) -> tuple[Degrees, Degrees]:
    """Places inside cells: ``within`` is [2, points], 0 to 1 along i and along j; [N, points] latitudes, longitudes."""
    cells = np.asarray(ids, dtype=np.uint64)
    face, i, j = back(ranges(cells)[0])
    size = np.left_shift(1, LEVELS - levels(cells))
    column, row = (
        ((each & -size)[:, None] + size[:, None] * part) / _SIDE for each, part in zip((i, j), within, strict=True)
    )
    u, v = (np.where(s >= 0.5, 4 * s**2 - 1, 1 - 4 * (1 - s) ** 2) / 3 for s in (column, row))
    one = np.ones_like(u)
    six = np.broadcast_to(face[:, None], u.shape)
    x = np.choose(six, (one, -u, -u, -one, v, v))
    y = np.choose(six, (u, one, -v, -v, -one, u))
    z = np.choose(six, (v, v, one, -u, -u, -one))
    return directions(np.stack([x, y, z]))
