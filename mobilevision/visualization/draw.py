"""Drawing on images: captions under them, and several of them on one sheet. Pure functions, Pillow only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from numpy.typing import NDArray

GOOD, BAD, NEUTRAL = "#1f8a4c", "#c62f3b", "#39424e"
PAPER, INK, MUTED = "#16191d", "#ffffff", "#b9c0c8"
_SIDE, _GAP, _BACKGROUND = 192, 8, "#f3f4f6"  # of images that were compared, in pixels


def to_image(pixels: NDArray[np.uint8], *, at_least: int = 192, at_most: int = 640) -> Image.Image:
    """Turn pixels into an RGB image large enough to read and small enough to keep.

    Args:
        pixels: uint8 [height, width, channels] or [height, width]; 1 channel is grey, of 4 and more the first 3 are
            shown (so alpha is left away), of 2 the first.
        at_least: a smaller longer side is scaled up to this, in whole steps, so that the pixels stay visible as such.
        at_most: a larger longer side is scaled down to this.

    Raises:
        ValueError: the pixels are not uint8 of two or three axes.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise ValueError(f"an image is uint8 [height, width, channels], not {pixels.dtype} {pixels.shape}")
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    planes = planes[..., :3] if planes.shape[2] >= 3 else planes[..., :1].repeat(3, axis=2)
    image = Image.fromarray(np.ascontiguousarray(planes))
    longer = max(image.size)
    if longer > at_most:
        image.thumbnail((at_most, at_most), Image.Resampling.LANCZOS)
    elif longer < at_least:
        times = -(-at_least // longer)
        image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    return image


def captioned(
    pixels: NDArray[np.uint8], *, prediction: str, truth: str | None = None, correct: bool | None = None
) -> Image.Image:
    """An image with the prediction, and the ground truth, on a banner under it.

    The banner is green where the prediction is right, red where it is wrong and grey where nobody knows. A small
    source is scaled up first: at 32 pixels no text can be read. Long names are cut with an ellipsis.

    Args:
        pixels: uint8 [height, width, channels].
        prediction: the first line, say ``"shirt 0.93"``.
        truth: the second line; None leaves it out.
        correct: whether the prediction is right; None colours the banner grey.
    """
    image = to_image(pixels)
    size = max(12, min(22, image.width // 15))
    title, detail = font(size), font(max(11, size - 3))
    line, pad = size + size // 2, size // 2
    height = line * (1 if truth is None else 2) + pad
    sheet = Image.new("RGB", (image.width, image.height + height), PAPER)
    sheet.paste(image, (0, 0))
    draw = ImageDraw.Draw(sheet)
    colour = NEUTRAL if correct is None else GOOD if correct else BAD
    end = sheet.height if truth is None else image.height + line + pad // 2
    draw.rectangle((0, image.height, sheet.width, end), fill=colour)
    width = sheet.width - 2 * pad
    draw.text((pad, image.height + line // 2 + pad // 4), cut(prediction, title, width), INK, title, anchor="lm")
    if truth is not None:
        below = image.height + line + pad // 2 + (height - line - pad // 2) // 2
        draw.text((pad, below), cut(f"truth: {truth}", detail, width), MUTED, detail, anchor="lm")
    return sheet


def contact_sheet(images: Sequence[Image.Image], *, columns: int = 6, side: int = 224, gap: int = _GAP) -> Image.Image:
    """All images on one sheet, row by row, each fitted into a square.

    Args:
        images: at least one.
        columns: images a row, fewer where there are fewer.
        side: pixels of a cell's side; an image is scaled to fit and centred.
        gap: pixels between and around the cells.

    Raises:
        ValueError: no images.
    """
    if not images:
        raise ValueError("a contact sheet needs at least one image")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * (side + gap) + gap, rows * (side + gap) + gap), _BACKGROUND)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        scale = side / max(image.size)
        fitted = image.convert("RGB").resize(
            (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.LANCZOS
        )
        left = gap + column * (side + gap) + (side - fitted.width) // 2
        sheet.paste(fitted, (left, gap + row * (side + gap) + (side - fitted.height) // 2))
    return sheet


# Images that were compared, side by side: what was found for one, and pairs that were mistaken.


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
        for number, pixels in enumerate((first, second)):
            image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels[..., :3]).convert("RGB")
            both.paste(image.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), (number * _SIDE, 0))
        cells.append(captioned(np.asarray(both), prediction=caption, correct=correct))
    if not cells:
        raise ValueError("a sheet needs at least one pair")
    width, height = cells[0].width + _GAP, cells[0].height + _GAP
    columns = min(columns, len(cells))
    sheet = Image.new("RGB", (columns * width + _GAP, -(-len(cells) // columns) * height + _GAP), _BACKGROUND)
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
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


# An image with a list of attributes beside it, each coloured by whether it is right.

_MISSED = "#e08a1e"
_MOST_ATTRIBUTES = 12


def panels(pictures: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Pictures beside each other, each under its title.

    Args:
        pictures: (title, picture), at least one.
    """
    size, gap = 15, _GAP
    letters, header = font(size), 2 * size
    width = sum(picture.width for _, picture in pictures) + gap * (len(pictures) + 1)
    height = max(picture.height for _, picture in pictures) + header + gap
    sheet = Image.new("RGB", (width, height), PAPER)
    draw, left = ImageDraw.Draw(sheet), gap
    for title, picture in pictures:
        draw.text((left + 2, header // 2), cut(title, letters, picture.width - 4), INK, letters, anchor="lm")
        sheet.paste(picture, (left, header))
        left += picture.width + gap
    return sheet


class Entry(NamedTuple):
    """A line of the list.

    Attributes:
        name: the attribute.
        probability: 0 to 1.
        predicted: whether the model says that it is there.
        true: whether it is; None where nobody knows.
    """

    name: str
    probability: float
    predicted: bool
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
    sheet = Image.new("RGB", (photo.width + width, height), PAPER)
    sheet.paste(photo, (0, (height - photo.height) // 2))
    draw, letters = ImageDraw.Draw(sheet), font(size)
    for number, (text, value, colour) in enumerate(lines):
        middle = 6 + (size + 8) * number + (size + 8) // 2
        left = photo.width + 8
        draw.rectangle((left, middle - 8, left + 6, middle + 8), fill=colour)
        ink = INK if colour != _MISSED else MUTED
        draw.text((left + 14, middle), cut(text, letters, width - 75), ink, letters, anchor="lm")
        draw.text((sheet.width - 8, middle), value, ink, letters, anchor="rm")
    return sheet


def _lines(entries: Sequence[Entry]) -> list[tuple[str, str, str]]:
    """(text, number, colour) of every line, what is predicted before what is missed."""
    ordered = sorted(entries, key=lambda entry: -entry.probability)
    predicted = [entry for entry in ordered if entry.predicted]
    missed = [entry for entry in ordered if entry.true and not entry.predicted]
    lines = [(entry.name, f"{entry.probability:.2f}", _colour(entry)) for entry in predicted]
    lines += [(f"missed: {entry.name}", f"{entry.probability:.2f}", _MISSED) for entry in missed]
    if not lines:
        return [("no attribute", "", NEUTRAL)]
    rest = len(lines) - _MOST_ATTRIBUTES
    return lines if rest <= 0 else [*lines[: _MOST_ATTRIBUTES - 1], (f"and {rest + 1} more", "", NEUTRAL)]


def _colour(entry: Entry) -> str:
    return NEUTRAL if entry.true is None else GOOD if entry.true else BAD


@lru_cache(maxsize=32)
def font(size: int) -> Any:
    """DejaVu Sans, which comes with matplotlib and knows accents, Greek and Cyrillic; else Pillow's own."""
    from matplotlib import get_data_path

    path = Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), size) if path.is_file() else ImageFont.load_default(size)


def cut(text: str, face: Any, width: float) -> str:
    """The text as it is where it fits into ``width`` pixels in this face, else its beginning and an ellipsis."""
    text = " ".join(text.split())
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"
