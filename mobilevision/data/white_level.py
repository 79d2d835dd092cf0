"""One scale for all images of a data set that have more than 8 bits: which value is white."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mobilevision.data.records import Splits
from mobilevision.errors import UnreadableImageError, UserError

LEVELS = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0)
"""What is white in images of floats from 0 to 1, and of 8, 10, 12, 14 and 16 bits."""

_SAMPLE = 100  # images of a split that are looked at
_ABOVE = 1.2  # floats that go a little above 1, as after sharpening, still mean 1


def choose_white_level(splits: Splits, given: float | None, parts: Mapping[str, Splits] | None = None) -> float | None:
    """Choose the white level of a data set and tell its records.

    Args:
        splits: what was read; of the first split, some images at equal distances are looked at.
        given: ``data.white_level``; None chooses the lowest of ``LEVELS`` that no image goes beyond.
        parts: of the data of several parts joined, that of each, which is looked at in its place: they have one level.

    Returns:
        The level, None where no image has more than 8 bits.

    Raises:
        UserError: floats and whole numbers side by side.
    """
    level = given
    if level is None:
        tops = {name: _largest(each) for name, each in (parts or {"": splits}).items()}
        seen = {kind: max(top.get(kind, 0.0) for top in tops.values()) for each in tops.values() for kind in each}
        if not seen:
            return None
        if len(seen) > 1:
            raise UserError(
                f"some images hold floats (up to {seen['F']:g}), others whole numbers of more than 8 bits (up to"
                f" {seen['I']:g}): no one scale fits both; convert them to one kind"
            )
        (kind, top), *_ = seen.items()
        level = _lowest(kind, top)
        splits.notes.append(
            f"images of more than 8 bits with values up to {top:g}: {level:g} is white in all of them"
            " (data.white_level=NUMBER says otherwise)"
        )
        for name, each in tops.items():
            if kind in each and (own := _lowest(kind, each[kind])) < level:
                splits.notes.append(
                    f"{name}: its values go up to {each[kind]:g} only, so its images come out dark: all parts have one"
                    f" white level; images with {own:g} for white should be scaled to {level:g} before"
                )
    for _, records in splits.items():
        records.scale(level)
    return level


def _largest(splits: Splits) -> dict[str, float]:
    """By kind (``F`` floats, ``I`` whole numbers), the largest value seen in images of more than 8 bits."""
    records = next((records for _, records in splits.items() if len(records)), None)
    seen: dict[str, float] = {}
    for index in np.unique(np.linspace(0, len(records) - 1, _SAMPLE).astype(int)) if records is not None else ():
        try:
            found = records.largest(int(index)) if records is not None else None
        except UnreadableImageError:
            continue  # said where it is read
        if found is not None:
            seen[found[0]] = max(seen.get(found[0], 0.0), found[1])
    return seen


def _lowest(kind: str, top: float) -> float:
    """The lowest of ``LEVELS`` that a value does not go beyond, or the value."""
    reach = top / _ABOVE if kind == "F" and top <= _ABOVE else top
    return next((each for each in LEVELS if reach <= each), top)
