"""A picture of the worst that a look through the data found."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image

from mobilevision.data.boxes import Boxes
from mobilevision.data.inspect import Findings, Place
from mobilevision.data.records import Splits
from mobilevision.ops.draw import captioned, contact_sheet
from mobilevision.ops.draw_boxes import Shown, draw_boxes


def worst(splits: Splits, findings: Findings, *, pairs: int = 12) -> Image.Image | None:
    """Duplicates side by side, two pairs a row; red where they lie in different splits, or labels or boxes differ.

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
        target, pixels = records.targets[place.number], records.pixels(place.number)
        label = ""
        if isinstance(target, Boxes):
            pixels = np.asarray(draw_boxes(pixels, _shown(target, splits.classes)))
        elif target.ndim == 0 and splits.classes:
            label = splits.classes[int(target)]
        says = f"{place.split} {label} {os.path.basename(place.name)}"
        return captioned(pixels, prediction=says, correct=False if harmful else None)

    shown = findings.duplicates[:pairs]
    cells = [cell(place, pair.across or pair.labels) for pair in shown for place in (pair.first, pair.second)]
    return contact_sheet(cells, columns=4) if cells else None


def _shown(boxes: Boxes, classes: tuple[str, ...]) -> list[Shown]:
    rows = zip(boxes.boxes.tolist(), boxes.labels.tolist(), strict=True)
    return [Shown(tuple(corners), classes[label]) for corners, label in rows]
