"""The curve that numbers the cells of a face of S2: six bits of it at a time, through tables made at import."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
