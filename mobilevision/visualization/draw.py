"""Drawing on images: captions under them, and many of them on one sheet. Pure functions, Pillow only."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from numpy.typing import NDArray

GOOD, BAD, NEUTRAL = "#1f8a4c", "#c62f3b", "#39424e"
PAPER, INK, MUTED = "#16191d", "#ffffff", "#b9c0c8"


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
    """An image with what the model said, and what is so, on a banner under it.

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


def contact_sheet(
    images: Sequence[Image.Image], *, columns: int = 6, side: int = 224, gap: int = 8, background: str = "#f3f4f6"
) -> Image.Image:
    """All images on one sheet, row by row, each fitted into a square.

    Args:
        images: at least one.
        columns: images a row, fewer where there are fewer.
        side: pixels of a cell's side; an image is scaled to fit and centred.
        gap: pixels between and around the cells.
        background: any colour that Pillow knows.

    Raises:
        ValueError: no images.
    """
    if not images:
        raise ValueError("a contact sheet needs at least one image")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * (side + gap) + gap, rows * (side + gap) + gap), background)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        scale = side / max(image.size)
        fitted = image.convert("RGB").resize(
            (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.LANCZOS
        )
        left = gap + column * (side + gap) + (side - fitted.width) // 2
        sheet.paste(fitted, (left, gap + row * (side + gap) + (side - fitted.height) // 2))
    return sheet


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
