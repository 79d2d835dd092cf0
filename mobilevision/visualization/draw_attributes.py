"""An image with a list of attributes beside it, each coloured by whether it is right. Pure functions, Pillow only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from mobilevision.visualization.draw import BAD, GOOD, NEUTRAL, cut, font, to_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PAPER, _INK, _MUTED, _MISSED = "#16191d", "#ffffff", "#b9c0c8", "#e08a1e"
_MOST = 12


class Entry(NamedTuple):
    """A line of the list.

    Attributes:
        name: the attribute.
        probability: 0 to 1.
        said: whether the model says that it is there.
        true: whether it is; None where nobody knows.
    """

    name: str
    probability: float
    said: bool
    true: bool | None = None


def listed(pixels: NDArray[np.uint8], entries: Sequence[Entry]) -> Image.Image:
    """An image with its attributes on its right.

    Shown is what the model says, green where that is right and red where it is wrong, grey where nobody knows; then, in
    amber, what it misses. Longer lists are cut and the rest counted.

    Args:
        pixels: uint8 [height, width, channels].
        entries: an entry an attribute, in any order.
    """
    photo = to_image(pixels, at_least=224)
    lines = _lines(entries)
    size = 15
    height = max(photo.height, 12 + (size + 8) * len(lines))
    width = round(size * 15.5)
    sheet = Image.new("RGB", (photo.width + width, height), _PAPER)
    sheet.paste(photo, (0, (height - photo.height) // 2))
    draw, letters = ImageDraw.Draw(sheet), font(size)
    for number, (text, value, colour) in enumerate(lines):
        middle = 6 + (size + 8) * number + (size + 8) // 2
        left = photo.width + 8
        draw.rectangle((left, middle - 8, left + 6, middle + 8), fill=colour)
        ink = _INK if colour != _MISSED else _MUTED
        draw.text((left + 14, middle), cut(text, letters, width - 75), ink, letters, anchor="lm")
        draw.text((sheet.width - 8, middle), value, ink, letters, anchor="rm")
    return sheet


def _lines(entries: Sequence[Entry]) -> list[tuple[str, str, str]]:
    """(text, number, colour) of every line, what is said before what is missed."""
    ordered = sorted(entries, key=lambda entry: -entry.probability)
    said = [entry for entry in ordered if entry.said]
    missed = [entry for entry in ordered if entry.true and not entry.said]
    lines = [(entry.name, f"{entry.probability:.2f}", _colour(entry)) for entry in said]
    lines += [(f"missed: {entry.name}", f"{entry.probability:.2f}", _MISSED) for entry in missed]
    if not lines:
        return [("no attribute", "", NEUTRAL)]
    rest = len(lines) - _MOST
    return lines if rest <= 0 else [*lines[: _MOST - 1], (f"and {rest + 1} more", "", NEUTRAL)]


def _colour(entry: Entry) -> str:
    return NEUTRAL if entry.true is None else GOOD if entry.true else BAD
