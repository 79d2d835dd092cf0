"""From a decoded image to a model's pixels, by Pillow and NumPy alone: training and consumers share it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mobilevision.images.files import image_type, reads_heif, register_heif
from mobilevision.images.framing import CropBox, Frame

register_heif()

Pixels = NDArray[np.uint8]

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's mode for each number of channels that an image file can give."""

MOST_PIXELS = 178_956_970
"""Pixels of the largest image that is decoded, some 13,377 x 13,377: 512 MiB as RGB; also Pillow's own limit."""

GREY = 127
"""What an image does not fill of an input."""


WHITE_LEVELS = {"F": 1.0, "I": 65535.0}
"""What is white in images of more than 8 bits where nobody says: of floats, and of whole numbers."""

_BEYOND = 1.5  # of the white level: an image that goes beyond it was not made on that scale


def is_deep(image: Image.Image) -> bool:
    """Whether an image has one channel of more than 8 bits, which one scale has to bring to 8."""
    return image.mode.startswith(("I", "F"))


def to_mode(image: Image.Image, channels: int, white_level: float | None = None) -> Image.Image:
    """Convert to grey, RGB or RGBA of 8 bits.

    Args:
        image: as decoded.
        channels: 1, 3 or 4.
        white_level: the value that becomes 255 where there are more than 8 bits; the same for all images of a data
            set, never chosen by the image. None: :data:`WHITE_LEVELS`.

    Raises:
        ValueError: values far beyond the white level.
    """
    if is_deep(image):
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        white = WHITE_LEVELS[image.mode[0]] if white_level is None else white_level
        if values.max(initial=0) > white * _BEYOND:
            raise ValueError(f"its values go up to {values.max():g}, but {white:g} is white: see data.white_level")
        image = Image.fromarray(np.clip(np.floor(values * (255.0 / white) + 1e-6), 0, 255).astype(np.uint8))
    return image if image.mode == MODES[channels] else image.convert(MODES[channels])


def check_size(height: int, width: int) -> None:
    """Refuse an image that takes more memory than an image should.

    Raises:
        ValueError: more than :data:`MOST_PIXELS`.
    """
    if height * width > MOST_PIXELS:
        raise ValueError(f"{width} x {height} pixels are more than the {MOST_PIXELS:,} that are decoded: shrink it")


def why_unreadable(data: bytes, error: Exception) -> str:
    """What to say of the bytes of a file that Pillow cannot decode."""
    if not data:
        return "empty file (0 bytes)"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than the {MOST_PIXELS:,} pixels that are decoded: shrink it"
    if isinstance(error, UnidentifiedImageError):
        if image_type(data[:32]) == ".heic" and not reads_heif():
            return 'HEIC, whatever its name says: pip install "mobilevision[heic]" reads it'
        return f"not an image (its first bytes are {data[:12]!r})"
    return str(error) or type(error).__name__


def resample(image: Image.Image, box: CropBox | None, size: tuple[int, int] | None) -> Pixels:
    """Part ``box`` (x, y, w, h, floats) of the image at ``size`` (height, width), uint8 [h, w, channels]."""
    if box is None:
        box = (0.0, 0.0, float(image.width), float(image.height))
    x, y, width, height = box
    if size is None:
        size = (max(1, round(height)), max(1, round(width)))
    corners = (max(x, 0.0), max(y, 0.0), min(x + width, float(image.width)), min(y + height, float(image.height)))
    if corners == (0, 0, *image.size) and (image.height, image.width) == size:
        image.load()
    else:
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=corners)
    pixels = np.array(image)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def on_canvas(pixels: Pixels, frame: Frame, resolution: tuple[int, int]) -> Pixels:
    """The model's input, uint8 [height, width, channels]; the pixels themselves where they fill it.

    Args:
        pixels: the part of the image at ``frame.size``.
        frame: where it lies.
        resolution: (height, width) of the input.
    """
    if frame.size == resolution:
        return pixels
    canvas = np.full((*resolution, pixels.shape[2]), GREY, dtype=np.uint8)
    top, left = frame.place
    canvas[top : top + frame.size[0], left : left + frame.size[1]] = pixels
    return canvas
