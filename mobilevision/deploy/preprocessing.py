"""From an image to the input of a model, of a run or an exported one, pinned to the last pixel."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mobilevision.deploy.fields import Fields
from mobilevision.errors import UnreadableImageError, UserError
from mobilevision.images.files import printable
from mobilevision.images.framing import FITS, Affine, frame
from mobilevision.images.pixels import GREY, MODES, Pixels, check_size, on_canvas, resample, to_mode, why_unreadable
from mobilevision.io.regular_files import open_regular

if TYPE_CHECKING:
    from mobilevision.spec import DataSpec

ImageLike = str | Path | Image.Image | NDArray[Any]
"""A file, a Pillow image, or uint8 pixels [height, width] or [height, width, channels], RGB."""

_MANY = "an image file, a Pillow image, uint8 pixels [height, width, channels], or a sequence of them"
_PINNED = {"exif": "upright", "resize": "bilinear", "antialias": True, "resize_in": "uint8", "fill": GREY}


def is_one(images: object) -> bool:
    """Whether it is one image, or a sequence of them.

    Raises:
        UserError: it is neither.
    """
    if isinstance(images, np.ndarray):
        return images.ndim < 4
    if isinstance(images, str | Path | Image.Image):
        return True
    if isinstance(images, Mapping | bytes) or not (hasattr(images, "__len__") and hasattr(images, "__getitem__")):
        raise UserError(f"predict takes {_MANY}, not {type(images).__name__}")
    return False


class Prepared(NamedTuple):
    """An image as the model takes it.

    Attributes:
        pixels: uint8 [channels, height, width].
        to_image: from pixels of the input to pixels of the upright image.
        shape: (height, width) of the upright image.
    """

    pixels: Pixels
    to_image: Affine
    shape: tuple[int, int]

    def to_shown(self, shown: tuple[int, ...]) -> Affine:
        """From pixels of the input to those of the whole image resized to (height, width)."""
        return self.to_image.then(Affine(shown[1] / self.shape[1], shown[0] / self.shape[0], 0.0, 0.0))


@final
@dataclass(frozen=True)
class Preprocessing:
    """What is done to an image: upright after its EXIF note, a part of it resized as Pillow does it with BILINEAR.

    Attributes:
        fit: ``crop``, ``stretch`` or ``letterbox`` (:func:`mobilevision.images.framing.frame`).
        crop: share of the shorter side that is looked at, for ``crop``.
        channels: 1 (grey), 3 (RGB) or 4 (RGBA).
        height: of the input, in pixels.
        width: of the input, in pixels.
        white_level: the value that becomes 255 in images of more than 8 bits; None where training had none.
    """

    fit: str
    crop: float
    channels: int
    height: int
    width: int
    white_level: float | None = None

    @classmethod
    def of(cls, spec: DataSpec, crop: float) -> Preprocessing:
        """What evaluation does to images of such data, of whose shorter side ``crop`` is looked at."""
        return cls(spec.fit, crop, spec.channels, *spec.resolution, spec.white_level)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in model.json, what never differs included."""
        return {
            **{"fit": self.fit, "crop": self.crop, "height": self.height, "width": self.width},
            **{"channels": self.channels, "colours": MODES.get(self.channels, "")},
            **({} if self.white_level is None else {"white_level": self.white_level}),
            **_PINNED,
        }

    @classmethod
    def read(cls, fields: Fields) -> Preprocessing:
        """Undo :meth:`to_dict`.

        Raises:
            UserError: a field is missing or wrong, or asks for what this version does not do.
        """
        for name, value in _PINNED.items():
            if fields.take(name, type(value)) != value:
                raise fields.wrong(name, f"this version of mobilevision knows only {value!r}")
        fit = fields.take("fit", str)
        if fit not in FITS:
            raise fields.wrong("fit", f"there are {', '.join(FITS)}")
        crop, channels = fields.take("crop", float), fields.take("channels", int, least=1)
        if not 0 < crop <= 1:
            raise fields.wrong("crop", "it has to be more than 0 and at most 1")
        if fields.take("colours", str) != MODES.get(channels, ""):
            raise fields.wrong("colours", f"a model of {channels} channels takes {MODES.get(channels, '')!r}")
        white = fields.take("white_level", float) if "white_level" in fields.values else None
        if white is not None and not white > 0:
            raise fields.wrong("white_level", "it has to be more than 0")
        height, width = fields.take("height", int, least=1), fields.take("width", int, least=1)
        try:
            check_size(height, width)
        except ValueError as error:
            raise fields.wrong("height", str(error)) from None
        return cls(fit, crop, channels, height, width, white)

    def prepare(self, image: ImageLike) -> Prepared:
        """The image as the model takes it, and where it came to lie.

        Raises:
            UnreadableImageError: the file cannot be read.
            UserError: the array is no image.
        """
        try:
            upright = self._upright(image)
            shape, resolution = (upright.height, upright.width), (self.height, self.width)
            lies = frame(shape, resolution, fit=self.fit, crop=self.crop)
            filled = on_canvas(resample(upright, lies.box, lies.size), lies, resolution)
        except OSError as error:  # cut off; Pillow reads no further than it must
            raise UnreadableImageError(f"{_name(image)}: {error}") from None
        pixels = np.ascontiguousarray(filled.transpose(2, 0, 1))
        return Prepared(pixels, lies.to_input.inverse, shape)

    def whole(self, image: ImageLike, *, side: int = 640) -> Pixels:
        """The whole image upright, to be drawn on: uint8 [height, width, channels], longer side at most ``side``."""
        upright = self._upright(image)
        scale = min(1.0, side / max(upright.size))
        size = max(1, round(upright.height * scale)), max(1, round(upright.width * scale))
        return resample(upright, None, size)

    def upright(self, image: ImageLike) -> Image.Image:
        """The whole image as it is to be seen, decoded, with the model's channels of 8 bits each.

        Raises:
            UnreadableImageError: the file cannot be read.
            UserError: the array is no image.
        """
        upright = self._upright(image)
        try:
            upright.load()
        except OSError as error:
            raise UnreadableImageError(f"{_name(image)}: {error}") from None
        return upright

    def _upright(self, image: ImageLike) -> Image.Image:
        if self.channels not in MODES:
            raise UserError(f"a model of {self.channels} channels takes no image files: images have 1, 3 or 4")
        if isinstance(image, str | os.PathLike):
            return _opened(image, self.channels, self.white_level)
        if isinstance(image, Image.Image):
            return to_mode(ImageOps.exif_transpose(image), self.channels, self.white_level)
        pixels = np.asarray(image)
        if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in MODES):
            raise UserError(
                f"an image is uint8 [height, width] or [height, width, 1, 3 or 4], not {pixels.dtype} {pixels.shape}"
            )
        plain = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
        return to_mode(Image.fromarray(np.ascontiguousarray(plain)), self.channels)


def _opened(path: str | os.PathLike[str], channels: int, white_level: float | None) -> Image.Image:
    try:
        with open_regular(path) as file:
            data = file.read()
    except OSError as error:
        raise UnreadableImageError(f"{printable(Path(path))}: {error.strerror}") from None
    try:
        image = Image.open(BytesIO(data))
        check_size(image.height, image.width)
        return to_mode(ImageOps.exif_transpose(image), channels, white_level)
    except Exception as error:
        raise UnreadableImageError(f"{printable(Path(path))}: {why_unreadable(data, error)}") from None


def _name(image: ImageLike) -> str:
    return printable(Path(image)) if isinstance(image, str | os.PathLike) else "image"
