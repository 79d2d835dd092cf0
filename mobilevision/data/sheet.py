"""A sheet of the images with the worst boxes, each box drawn where it was said to be, also outside the image."""

from __future__ import annotations

import math
import os
import re
import textwrap
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, zip_longest

import numpy as np
from PIL import Image, ImageDraw

from mobilevision.data.boxes import Boxes
from mobilevision.data.inspect import Findings, SampleId
from mobilevision.data.records import Problem, Splits
from mobilevision.data.targets import are_classes
from mobilevision.images.decode import EncodedImage, UnreadableImageError
from mobilevision.visualization.draw import INK, MUTED, PAPER, captioned, contact_sheet, font
from mobilevision.visualization.draw_boxes import Shown, draw_boxes

# An image of the worst that a look through the data found.


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

    def cell(place: SampleId, harmful: bool) -> Image.Image:
        records = named[place.split]
        target, pixels = records.targets[place.number], records.pixels(place.number)
        label = ""
        if isinstance(target, Boxes):
            pixels = np.asarray(draw_boxes(pixels, _shown(target, splits.classes)))
        elif are_classes(records.targets) and splits.classes:
            label = splits.classes[int(target)]
        says = f"{place.split} {label} {os.path.basename(place.name)}"
        return captioned(pixels, prediction=says, correct=False if harmful else None)

    shown = findings.duplicates[:pairs]
    cells = [cell(place, pair.across or pair.labels) for pair in shown for place in (pair.first, pair.second)]
    return contact_sheet(cells, columns=4) if cells else None


def _shown(boxes: Boxes, classes: tuple[str, ...]) -> list[Shown]:
    rows = zip(boxes.boxes.tolist(), boxes.labels.tolist(), strict=True)
    return [Shown(tuple(corners), classes[label]) for corners, label in rows]


SIDE, LINES = 340, 3
BEYOND = 0.5  # of the image's sides: how much room a box outside gets; one still further out is cut there
_RED = "#ff4f5e"
RING = 14  # pixels: a box smaller than this gets a ring, else nobody would find it


def problem_sheet(problems: Sequence[Problem], *, most: int = 24) -> Image.Image | None:
    """Images with what is wrong in them, as many kinds of problem as possible.

    Args:
        problems: those without an image are left out.
        most: images on the sheet.

    Returns:
        The sheet, or None where no problem has an image that can be read.
    """
    cells: list[Image.Image] = []
    for group in _by_kind([each for each in problems if each.image is not None]):
        if len(cells) == most:
            break
        try:
            cells.append(_cell(group))
        except UnreadableImageError:
            continue
    return contact_sheet(cells, columns=4, side=SIDE) if cells else None


def _by_kind(problems: Sequence[Problem]) -> list[list[Problem]]:
    """Problems that share image and kind together; the kinds take turns."""
    kinds: dict[str, dict[str, list[Problem]]] = defaultdict(lambda: defaultdict(list))
    for problem in problems:
        kinds[re.sub(r"[\d.,'()-]+|'.*'", "", problem.what)][problem.image or ""].append(problem)
    turns = zip_longest(*(groups.values() for groups in kinds.values()))
    return [group for group in chain.from_iterable(turns) if group]


def _cell(problems: Sequence[Problem]) -> Image.Image:
    """One image with its bad boxes over what is wrong with the first of them."""
    assert problems[0].image is not None
    image = EncodedImage.read(os.fsencode(problems[0].image))
    height, width = image.shape
    boxes = [_ordered(each.box) for each in problems if each.box is not None and all(map(math.isfinite, each.box))]
    left, top, right, bottom = _canvas(boxes, height, width)
    scale = SIDE / max(right - left, bottom - top)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    shown = Image.fromarray(image.pixels(3, box=None, size=size, exact=True))
    canvas = Image.new("RGB", (round((right - left) * scale) + 1, round((bottom - top) * scale) + 1), PAPER)
    canvas.paste(shown, (round(-left * scale), round(-top * scale)))
    for box in boxes:
        _outline(canvas, [(edge - start) * scale for edge, start in zip(box, (left, top, left, top), strict=True)])
    return _over_text(canvas, problems)


def _ordered(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    left, right = sorted(box[0::2])
    top, bottom = sorted(box[1::2])
    return left, top, right, bottom


def _canvas(boxes: Sequence[tuple[float, ...]], height: int, width: int) -> tuple[float, float, float, float]:
    """The image and its boxes, with a margin round those that reach beyond it."""
    edges = np.array([(0, 0, width, height), *boxes], dtype=np.float64)
    size = np.array([width, height])
    low = np.maximum(edges[:, :2].min(axis=0), -size * BEYOND)
    high = np.minimum(edges[:, 2:].max(axis=0), size * (1 + BEYOND))
    margin = 0.04 * max(height, width)
    left, top = (float(edge - margin * (edge < 0)) for edge in np.minimum(low, 0))
    right, bottom = np.maximum(high, size) + margin * (high > size)
    return left, top, float(right), float(bottom)


def _outline(canvas: Image.Image, edges: Sequence[float]) -> None:
    draw = ImageDraw.Draw(canvas)
    limits = (canvas.width - 2, canvas.height - 2) * 2
    left, top, right, bottom = (min(max(edge, 1), limit) for edge, limit in zip(edges, limits, strict=True))
    if right - left < RING and bottom - top < RING:
        x, y = (left + right) / 2, (top + bottom) / 2
        draw.ellipse((x - RING, y - RING, x + RING, y + RING), outline=_RED, width=3)
    draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=PAPER, width=4)
    draw.rectangle((left, top, right, bottom), outline=_RED, width=2)


def _over_text(image: Image.Image, problems: Sequence[Problem]) -> Image.Image:
    face, line = font(12), 16
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    rows = [os.path.basename(problems[0].where) + more, *textwrap.wrap(problems[0].what, 50)[:LINES]]
    sheet = Image.new("RGB", (SIDE, image.height + line * (LINES + 1) + 6), PAPER)
    sheet.paste(image, ((SIDE - image.width) // 2, 0))
    draw = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        draw.text((6, image.height + 4 + line * number), row, MUTED if number else INK, face)
    return sheet
