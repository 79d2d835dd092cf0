"""Images that were compared, side by side: what was found for one, and pairs that were mistaken. Pillow only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from PIL import Image, ImageDraw

from mobilevision.visualization.draw import INK, PAPER, captioned, contact_sheet, cut, font

_SIDE = 192
_GAP, _GROUND = 8, "#f3f4f6"


@final
@dataclass(frozen=True)
class Match:
    """An image that was found: uint8 [height, width, channels], what to write under it, and whether it is right."""

    pixels: Any
    caption: str
    correct: bool | None = None


def matches(image: Any, caption: str, found: Sequence[Match]) -> Image.Image:
    """The image that was asked with, then what was found for it, best first.

    Args:
        image: uint8 [height, width, channels].
        caption: who or what it is, or a name for it.
        found: what was found; the banner is green where it is right, red where it is wrong, grey where nobody knows.
    """
    shown = [captioned(image, prediction=caption)]
    shown += [captioned(each.pixels, prediction=each.caption, correct=each.correct) for each in found]
    return contact_sheet(shown, columns=len(shown), side=_SIDE)


def pairs(rows: Sequence[tuple[Any, Any, str, bool]], *, columns: int = 4) -> Image.Image:
    """Pairs of images, each as one cell.

    Args:
        rows: the two images, what to write under them, and whether that is right.
        columns: pairs in a row.

    Raises:
        ValueError: no pairs.
    """
    cells = []
    for first, second, caption, correct in rows:
        both = Image.new("RGB", (2 * _SIDE, _SIDE))
        for place, pixels in enumerate((first, second)):
            image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels[..., :3]).convert("RGB")
            both.paste(image.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), (place * _SIDE, 0))
        cells.append(captioned(np.asarray(both), prediction=caption, correct=correct))
    if not cells:
        raise ValueError("a sheet needs at least one pair")
    width, height = cells[0].width + _GAP, cells[0].height + _GAP
    columns = min(columns, len(cells))
    sheet = Image.new("RGB", (columns * width + _GAP, -(-len(cells) // columns) * height + _GAP), _GROUND)
    for place, cell in enumerate(cells):
        row, column = divmod(place, columns)
        sheet.paste(cell, (_GAP + column * width, _GAP + row * height))
    return sheet


def beside(left: Image.Image, right: Image.Image, title: str) -> Image.Image:
    """Two images at one height under a line of text.

    Args:
        left: the first; its height is that of both.
        right: the second.
        title: the line; cut with an ellipsis where it is too long.
    """
    scaled = right.resize((max(1, round(right.width * left.height / right.height)), left.height))
    size = max(12, left.width // 18)
    top, face = 2 * size, font(size)
    sheet = Image.new("RGB", (left.width + _GAP + scaled.width, top + left.height), PAPER)
    ImageDraw.Draw(sheet).text((size // 2, top // 2), cut(title, face, sheet.width - size), INK, face, anchor="lm")
    sheet.paste(left, (0, top))
    sheet.paste(scaled, (left.width + _GAP, top))
    return sheet
