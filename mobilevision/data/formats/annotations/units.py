"""Whether boxes are written in pixels, in fractions or in percent of their images: decided for a set as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.formats.annotations.image_sizes import image_sizes
from mobilevision.data.formats.annotations.raw import SIDES, Corners, Raw
from mobilevision.errors import UserError

FRACTIONS = 1.5
"""The largest number among boxes in fractions, of which some reach beyond their image."""
PERCENT = 101.0
"""The largest number among boxes in percent."""
REACH = 75.0
"""How far boxes in percent reach at least, the furthest of a set, to the right and down."""
CHANCE = 1e-3
"""As improbable must it be, were the boxes in pixels, that all of them lie within the first hundred of each side."""
SAMPLE = 300  # images whose sizes are looked at for it


UNITS = ("pixels", *SIDES)


def checked(units: str | None) -> str | None:
    """The key ``units`` of a format.

    Raises:
        UserError: no such unit.
    """
    if units is not None and units not in UNITS:
        raise UserError(f"data.format.units={units}: null or one of {', '.join(UNITS)}")
    return units


def settled(parts: Mapping[str, Raw], notes: list[str], units: str | None = None) -> dict[str, Raw]:
    """The same with the units of the boxes settled.

    ``Raw.unit`` is what the format means; where all boxes of the set contradict it, they are taken for what they are
    and a note says so. It is never decided for one image alone.

    Args:
        parts: split -> what was read.
        notes: added to.
        units: ``pixels``, ``fractions`` or ``percent`` where a user knows; None recognises them.
    """
    filled = [raw for raw in parts.values() if len(raw.owner)]
    if not filled:
        return dict(parts)
    meant = filled[0].unit
    unit = units or _recognised(filled, meant)
    if unit != meant or unit == "percent":
        notes.append("the boxes are in pixels" if unit == "pixels" else f"the boxes are in {unit} of the images")
    if unit == "pixels" == meant:
        return dict(parts)
    # A stated area is in nobody knows which unit: that of the box is taken.
    return {split: replace(raw, unit=unit, area=np.full(len(raw.area), np.nan)) for split, raw in parts.items()}


def _recognised(filled: list[Raw], meant: str) -> str:
    if meant == "percent":  # one tool alone writes it
        return meant
    corners = [raw.corners[np.isfinite(raw.corners).all(axis=1)] for raw in filled]
    largest = max((float(np.abs(each).max()) for each in corners if len(each)), default=0.0)
    if largest <= FRACTIONS:
        return "fractions"
    if meant == "fractions" and not beyond_fractions(filled):
        return meant
    return "percent" if largest <= PERCENT and _percent(filled) else "pixels"


def beyond_fractions(parts: Iterable[Raw]) -> bool:
    """Whether not one box of the set is in fractions."""
    return all(bool((raw.corners.max(axis=1) > FRACTIONS).all()) for raw in parts if len(raw.owner))


def _percent(filled: list[Raw]) -> bool:
    """Whether numbers up to a hundred are percent: as pixels, all of them in one corner would be an odd chance."""
    chance, reach, broken = 0.0, np.zeros(2), 0
    for raw in filled:
        images = np.unique(raw.owner)
        images = images[:: max(1, len(images) // SAMPLE)]
        sizes = raw.sizes[images]
        unknown = np.flatnonzero((sizes <= 0).any(axis=1))
        sizes[unknown] = image_sizes([raw.paths[i] for i in images[unknown].tolist()])[:, :2]
        rows = np.flatnonzero(np.isin(raw.owner, images))
        size = sizes[np.searchsorted(images, raw.owner[rows])]
        rows, size = rows[(size > 0).all(axis=1)], size[(size > 0).all(axis=1)]
        corners = raw.corners[rows]
        chance += _log_chance(corners, size)
        broken += int((corners % 1 > 0).any(axis=1).sum())
        reach = np.maximum(reach, corners[:, 2:].max(axis=0, initial=0))
    return broken > 0 and bool((reach >= REACH).all()) and chance < np.log(CHANCE)


def _log_chance(corners: Corners, size: NDArray[np.int64]) -> float:
    """Of boxes of these sizes lying anywhere in their images, how likely all of them lie below 100."""
    sides, room = corners[:, 2:] - corners[:, :2], size[:, ::-1].astype(np.float64)
    share = np.clip((100 - sides) / np.maximum(room - sides, 1e-9), 0.02, 1.0)
    share = np.where(corners[:, 2:] > room + 1, 0.02, share)
    return float(np.log(share).sum())


def to_pixels(raw: Raw) -> Raw:
    """The boxes in pixels; the sizes of all images are known."""
    if raw.unit == "pixels":
        return raw
    scale = raw.sizes[raw.owner][:, [1, 0, 1, 0]] / SIDES[raw.unit]
    return replace(raw, corners=raw.corners * scale, unit="pixels")
