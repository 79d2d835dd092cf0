"""A picture of the worst that a look through the data found."""

from __future__ import annotations

import os

from PIL import Image

from mobilevision.data.inspect import Findings, Place
from mobilevision.data.records import Splits
from mobilevision.ops.draw import captioned, contact_sheet


def worst(splits: Splits, findings: Findings, *, pairs: int = 12) -> Image.Image | None:
    """Duplicates side by side, two pairs a row; red where they lie in different splits or have different labels.

    Args:
        splits: what was looked through.
        findings: what was found.
        pairs: most pairs to show.

    Returns:
        The sheet, or None where there is no duplicate.
    """
    named = dict(splits.items())

    def cell(place: Place, harmful: bool) -> Image.Image:
        records = named[place.split]
        target = records.targets[place.number]
        label = splits.classes[int(target)] if target.ndim == 0 and splits.classes else ""
        says = f"{place.split} {label} {os.path.basename(place.name)}"
        return captioned(records.pixels(place.number), prediction=says, correct=False if harmful else None)

    shown = findings.duplicates[:pairs]
    cells = [cell(place, pair.across or pair.labels) for pair in shown for place in (pair.first, pair.second)]
    return contact_sheet(cells, columns=4) if cells else None
