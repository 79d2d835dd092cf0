"""One picture on the way that evaluation takes, from a file, a Pillow image or an array; no data set is needed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from mobilevision.errors import UserError
from mobilevision.images.decode import MODES, Picture, resample, to_mode
from mobilevision.images.framing import Affine, Frame, frame
from mobilevision.images.pixels import on_canvas

if TYPE_CHECKING:
    from mobilevision.spec import DataSpec

ImageLike = str | Path | Image.Image | np.ndarray[Any, Any]
"""A file, a Pillow image, or uint8 pixels [height, width] or [height, width, channels], RGB."""


class Prepared(NamedTuple):
    """A picture as the model takes it.

    Attributes:
        pixels: uint8 [channels, height, width].
        frame: how the picture lies in it.
        shape: (height, width) of the upright picture.
    """

    pixels: Tensor
    frame: Frame
    shape: tuple[int, int]

    @property
    def to_picture(self) -> Affine:
        """From pixels of the input to pixels of the picture."""
        return self.frame.to_input.inverse

    def to_shown(self, shown: tuple[int, ...]) -> Affine:
        """From pixels of the input to those of the whole picture resized to (height, width)."""
        return self.to_picture.then(Affine(shown[1] / self.shape[1], shown[0] / self.shape[0], 0.0, 0.0))


def prepare(image: ImageLike, *, spec: DataSpec, crop: float) -> Prepared:
    """The picture as the model takes it, and where it came to lie.

    EXIF rotation, centre crop (or what else ``spec.fit`` says), Pillow's antialiased bilinear resize: what every
    evaluation does.

    Args:
        image: a file, a Pillow image or uint8 pixels.
        spec: the model's channels, side and fit.
        crop: share of the shorter side that is looked at, where the fit is ``crop``.

    Raises:
        UserError: the file cannot be read (an ``UnreadablePictureError``), or the array is not a picture.
    """
    if isinstance(image, str | bytes | os.PathLike):
        picture = Picture.read(image)
        shape = picture.shape
        lies = frame(shape, spec.resolution, fit=spec.fit, crop=crop)
        pixels = picture.pixels(spec.channels, box=lies.box, size=lies.size, exact=True, white_level=spec.white_level)
    else:
        upright = _upright(image, spec.channels, spec.white_level)
        shape = upright.height, upright.width
        lies = frame(shape, spec.resolution, fit=spec.fit, crop=crop)
        pixels = resample(upright, lies.box, lies.size)
    filled = on_canvas(pixels, lies, spec.resolution)
    return Prepared(torch.from_numpy(np.array(filled)).permute(2, 0, 1), lies, shape)


def preprocess(image: ImageLike, *, spec: DataSpec, crop: float) -> Tensor:
    """The pixels of :func:`prepare`, uint8 [channels, height, width]."""
    return prepare(image, spec=spec, crop=crop).pixels


def whole(
    image: ImageLike, *, channels: int, side: int = 640, white_level: float | None = None
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The whole picture upright, to be drawn on: uint8 [height, width, channels], longer side at most ``side``."""
    if isinstance(image, str | bytes | os.PathLike):
        picture = Picture.read(image)
        height, width = picture.shape
        scale = min(1.0, side / max(height, width))
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        return picture.pixels(channels, box=None, size=size, exact=True, white_level=white_level)
    upright = _upright(image, channels, white_level)
    upright.thumbnail((side, side), Image.Resampling.BILINEAR)
    return resample(upright, None, None)


def _upright(image: Image.Image | np.ndarray[Any, Any], channels: int, white_level: float | None) -> Image.Image:
    if channels not in MODES:
        raise UserError(f"a model of {channels} channels takes no picture files: pictures have 1, 3 or 4")
    if isinstance(image, Image.Image):
        return to_mode(ImageOps.exif_transpose(image), channels, white_level)
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in MODES):
        raise UserError(
            f"a picture is uint8 [height, width] or [height, width, 1, 3 or 4], not {pixels.dtype} {pixels.shape}"
        )
    plain = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    return to_mode(Image.fromarray(np.ascontiguousarray(plain)), channels)
