"""From the bytes of an image file to upright uint8 pixels: all of it, or the part that is needed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import final

import numpy as np
from PIL import ExifTags, Image, ImageOps

from mobilevision.errors import UnreadableImageError
from mobilevision.images import jpeg
from mobilevision.images.files import printable
from mobilevision.images.framing import CropBox
from mobilevision.images.pixels import MODES, Pixels, check_size, is_deep, resample, to_mode, why_unreadable
from mobilevision.io.regular_files import open_regular

__all__ = [
    "HINT",
    "MODES",
    "SIDEWAYS",
    "EncodedImage",
    "UnreadableImageError",
    "printable",
    "read_file",
    "resample",
    "to_mode",
    "unreadable",
]

SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap height and width
HINT = "Mend or remove the file, or leave such files out with data.on_error=skip"


@final
class EncodedImage:
    """An opened image file: its size is known, nothing is decoded yet.

    Args:
        data: the file's bytes.
        name: what errors call it.

    Attributes:
        shape: (height, width) upright, after the EXIF rotation.

    Raises:
        UnreadableImageError: not an image.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self.name, self._data = name, data
        self._header = jpeg.read_header(data)
        try:
            if self._header is not None:
                check_size(self._header.height, self._header.width)
                if self._header.orientation == 1:
                    self.shape = self._header.height, self._header.width
                    return
            image = Image.open(io.BytesIO(data))
            check_size(image.height, image.width)
            sideways = image.getexif().get(ExifTags.Base.Orientation, 1) in SIDEWAYS
        except Exception as error:
            raise unreadable(name, data, error) from None
        self.shape = (image.width, image.height) if sideways else (image.height, image.width)

    @classmethod
    def read(cls, path: str | bytes | Path) -> EncodedImage:
        """Open the image in a file.

        Raises:
            UnreadableImageError: no such file, or not an image.
        """
        return cls(read_file(path), printable(path))

    def largest(self) -> tuple[str, float] | None:
        """Of an image with more than 8 bits: ``F`` (floats) or ``I`` (whole numbers), and its largest value."""
        if self._header is not None:
            return None
        try:
            image = Image.open(io.BytesIO(self._data))
            if not is_deep(image):
                return None
            values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        except Exception as error:
            raise unreadable(self.name, self._data, error) from None
        return image.mode[0], float(values.max(initial=0))

    def pixels(
        self,
        channels: int,
        *,
        box: CropBox | None,
        size: tuple[int, int] | None,
        exact: bool,
        white_level: float | None = None,
    ) -> Pixels:
        """See :meth:`mobilevision.data.records.Records.pixels`; ``white_level`` is that of :func:`to_mode`."""
        if not exact and box and size and self._header:
            pixels = jpeg.decode_part(self._data, self._header, channels, box, size)
            if pixels is not None:
                return pixels
        try:
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(self._data)))
            return resample(to_mode(image, channels, white_level), box, size)
        except Exception as error:
            raise unreadable(self.name, self._data, error) from None


def read_file(path: bytes | str | Path) -> bytes:
    """The bytes of a file.

    Raises:
        UnreadableImageError: it cannot be read.
    """
    try:
        with open_regular(path) as file:
            return file.read()
    except OSError as error:
        raise UnreadableImageError(f"{printable(path)}: {error.strerror}. {HINT}") from None


def open_image(path: bytes | str | Path) -> Image.Image:
    """A decoded image file in the mode that it has, such as ``P`` with its palette; not turned by its EXIF note.

    Raises:
        UnreadableImageError: no such file, or not an image.
    """
    data = read_file(path)
    try:
        image = Image.open(io.BytesIO(data))
        check_size(image.height, image.width)
        image.load()
    except Exception as error:
        raise unreadable(printable(path), data, error) from None
    return image


def unreadable(name: str, data: bytes, error: Exception) -> UnreadableImageError:
    """The one line for an image that cannot be decoded."""
    return UnreadableImageError(f"{name}: {why_unreadable(data, error)}. {HINT}")
