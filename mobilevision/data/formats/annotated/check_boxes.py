"""Checks of the boxes themselves; what cannot be used is left out and named, one problem a box."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.decode import printable
from mobilevision.data.formats.annotated.raw import Corners, Raw, many
from mobilevision.data.records import Problem

SLACK = 1.0
"""Pixels (or a thousandth of the side, if that is more) beyond the picture that are taken for rounding."""

FINITE, NEGATIVE, FLAT, OUTSIDE, REPEATED, BEYOND = range(1, 7)


def check_boxes(raw: Raw, problems: list[Problem], notes: list[str], *, keep_repeats: bool = False) -> Raw:
    """Leave out boxes that are none; clip those that reach beyond their picture.

    Args:
        raw: what was read; the sizes of all pictures are known.
        problems: added to.
        notes: added to.
        keep_repeats: let a box stay that repeats another of its class to the last digit.

    Returns:
        The usable boxes, inside their pictures. Areas not stated are those of the clipped boxes.
    """
    raw = raw.boxes(raw.labels >= 0)
    limits = raw.sizes[raw.owner][:, [1, 0, 1, 0]].astype(np.float64)
    clipped, fault, nudged = _judge(raw.corners, limits)
    if not keep_repeats:
        usable = np.flatnonzero(np.isin(fault, (0, BEYOND)))
        first = _first_like(raw, usable)
        again = usable[first != usable]
        fault[again] = REPEATED
        repeats = dict(zip(again.tolist(), first[first != usable].tolist(), strict=True))
    for i in np.flatnonzero(fault).tolist():
        problems.append(_problem(raw, i, int(fault[i]), clipped[i], lambda i: raw.box_at(repeats[i])))
    keep = np.isin(fault, (0, BEYOND))
    if count := int((nudged & keep & (fault == 0)).sum()):
        notes.append(f"{many(count, 'box')} reached up to a pixel beyond the picture, as rounding does: clipped")
    sides = clipped[:, 2:] - clipped[:, :2]
    area = np.where(np.isnan(raw.area), sides[:, 0] * sides[:, 1], raw.area)
    return raw.boxes(keep, corners=clipped[keep], area=area[keep])


def _judge(corners: Corners, limits: Corners) -> tuple[Corners, NDArray[np.int8], NDArray[np.bool_]]:
    """The boxes clipped to their pictures, what is wrong with each (0: nothing), and which were clipped by a little."""
    finite: NDArray[np.bool_] = np.all(np.isfinite(corners), axis=1)
    corners = np.where(finite[:, None], corners, 0.0)
    clipped = np.clip(corners, 0.0, limits)
    over = np.abs(corners - clipped)
    sides, inside = corners[:, 2:] - corners[:, :2], clipped[:, 2:] - clipped[:, :2]
    fault = np.zeros(len(corners), dtype=np.int8)
    fault[(over > np.maximum(SLACK, limits / 1000)).any(axis=1)] = BEYOND
    fault[(inside <= 0).any(axis=1)] = OUTSIDE
    fault[(sides == 0).any(axis=1)] = FLAT
    fault[(sides < 0).any(axis=1)] = NEGATIVE
    fault[~finite] = FINITE
    nudged: NDArray[np.bool_] = np.any(over > 0, axis=1)
    return clipped, fault, nudged


def _first_like(raw: Raw, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of the rows, the first row with the same picture, class, kind and box."""
    table = np.column_stack([raw.owner, raw.labels, raw.crowd, raw.corners])[rows]
    order = np.lexsort(table.T)  # stable: equals stay in their order
    ordered = table[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first = np.empty_like(rows)
    first[order] = rows[order[np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))]]
    return first


def _problem(raw: Raw, i: int, fault: int, clipped: Corners, repeated: Callable[[int], str]) -> Problem:
    owner = int(raw.owner[i])
    left, top, right, bottom = raw.corners[i].tolist()
    height, width = raw.sizes[owner].tolist()
    box, picture = f"box ({left:g}, {top:g}, {right:g}, {bottom:g})", f"the picture of {width} x {height} pixels"
    match fault:
        case 1:  # FINITE
            what, fix = f"{box} is not of finite numbers", "write its numbers or remove it"
        case 2:  # NEGATIVE
            what, fix = f"{box} has its corners swapped, or a negative size", "write left < right and top < bottom"
        case 3:  # FLAT
            what, fix = f"{box} has no area", "draw it anew or remove it"
        case 4:  # OUTSIDE
            what, fix = f"{box} lies outside {picture}", "mend its numbers or remove it"
        case 5:  # REPEATED
            what, fix = f"{box} of class {raw.names[raw.labels[i]]!r} repeats {repeated(i)}", "keep one of them"
        case _:
            by = float(np.abs(raw.corners[i] - clipped).max())
            what, fix = f"{box} reaches {by:g} pixels beyond {picture}", "mend its numbers; skipping clips it"
    known = (left, top, right, bottom) if fault != FINITE else None
    return Problem(raw.box_at(i), what, fix, printable(raw.paths[owner]), known)
