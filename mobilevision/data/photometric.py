"""Changes of colour as SSD draws them, all of them in one matrix that Pillow applies once."""

from __future__ import annotations

import math
from typing import final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilevision.errors import UserError
from mobilevision.images.pixels import Pixels

Matrix = NDArray[np.float64]
"""float64 [3, 4]: R, G and B of the result from R, G, B and 1."""

LUMA = np.array([0.2989, 0.587, 0.114])
TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
FROM_YIQ = np.linalg.inv(TO_YIQ)
IDENTITY = np.eye(3, 4)


@final
class Photometric:
    """Brightness, contrast, saturation, hue and the order of channels, each changed with a probability of its own.

    The distribution is that of SSD (arXiv:1512.02325, section 3.6) as torchvision's ``RandomPhotometricDistort`` has
    it. Two things differ for speed: values are clipped once at the end, and the hue turns by a rotation of the
    chrominance (YIQ), which is linear, instead of a shift in HSV. That turns as far on the whole, but differs in a
    single pixel, on photographs by 5 levels of 255 at the largest turn; it keeps brightness, which a shift does not.

    Args:
        probability: of each of the five.
        brightness: the factor lies within 1 -+ this.
        contrast: likewise, around the mean of the image.
        saturation: likewise, around each pixel's grey.
        hue: largest turn either way, as a share of the full circle.

    Raises:
        UserError: a number outside its range.
    """

    def __init__(
        self,
        *,
        probability: float = 0.5,
        brightness: float = 0.125,
        contrast: float = 0.5,
        saturation: float = 0.5,
        hue: float = 0.05,
    ) -> None:
        given = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "photometric": probability}
        for key, value in given.items():
            if not 0 <= value <= 1:
                raise UserError(f"augment.{key}={value}: must lie between 0 and 1")
        if not 0 <= hue <= 0.5:
            raise UserError(f"augment.hue={hue}: must lie between 0 and 0.5")
        self.probability = probability
        self.brightness, self.contrast, self.saturation, self.hue = brightness, contrast, saturation, hue

    def __call__(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        """A changed copy of an image, uint8 [height, width, 1, 3 or 4]; alpha stays as it is."""
        if not self.probability:
            return pixels
        return applied(self.draw(rng, means(pixels)), pixels)

    def draw(self, rng: np.random.Generator, mean: NDArray[np.float64]) -> Matrix:
        """Draw a change.

        Args:
            rng: where the randomness comes from.
            mean: float64 [3], of the image's channels; contrast changes around its grey.
        """
        matrix = IDENTITY
        chosen, amount = rng.random(5) < self.probability, rng.uniform(-1, 1, 4)
        contrast_first = rng.random() < 0.5
        if chosen[0]:
            matrix = matrix * (1 + self.brightness * amount[0])
        if chosen[1] and contrast_first:
            matrix = contrasted(matrix, 1 + self.contrast * amount[1], mean)
        if chosen[2]:
            matrix = saturated(1 + self.saturation * amount[2]) @ matrix
        if chosen[3]:
            matrix = turned(self.hue * amount[3]) @ matrix
        if chosen[1] and not contrast_first:
            matrix = contrasted(matrix, 1 + self.contrast * amount[1], mean)
        return matrix[rng.permutation(3)] if chosen[4] else matrix


def contrasted(matrix: Matrix, factor: float, mean: NDArray[np.float64]) -> Matrix:
    """``matrix``, and then ``factor`` times the distance from the image's mean grey."""
    grey = LUMA @ (matrix[:, :3] @ mean + matrix[:, 3])
    result: Matrix = matrix * factor
    result[:, 3] += (1 - factor) * grey
    return result


def saturated(factor: float) -> NDArray[np.float64]:
    """float64 [3, 3]: ``factor`` times the distance from the pixel's grey."""
    return factor * np.eye(3) + (1 - factor) * LUMA


def turned(share: float) -> NDArray[np.float64]:
    """float64 [3, 3]: the hue turned by a share of the full circle (red towards green where it is positive)."""
    cos, sin = math.cos(2 * math.pi * share), math.sin(2 * math.pi * share)
    rotation: NDArray[np.float64] = FROM_YIQ @ np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]]) @ TO_YIQ
    return rotation


def means(pixels: Pixels) -> NDArray[np.float64]:
    """Mean of each colour channel, float64 [3]; a grey image has three equal ones."""
    channels = min(pixels.shape[2], 3) if pixels.shape[2] >= 3 else 1
    mean = np.array([_mean(pixels[:, :, channel]) for channel in range(channels)])
    return np.resize(mean, 3)


def _mean(plane: NDArray[np.uint8]) -> float:
    # every fourth row and column: a mean needs no more, and the strided sum is what takes the time
    return float(plane[::4, ::4].mean())


def applied(matrix: Matrix, pixels: Pixels) -> Pixels:
    """The changed image, rounded and clipped to 0 ... 255."""
    if matrix is IDENTITY:
        return pixels
    if pixels.shape[2] == 1:
        table = np.arange(256) * (LUMA @ matrix[:, :3]).sum() + LUMA @ matrix[:, 3]
        return np.take(np.clip(np.rint(table), 0, 255).astype(np.uint8), pixels)
    colours = np.ascontiguousarray(pixels[:, :, :3])
    changed = np.array(Image.fromarray(colours).convert("RGB", tuple(matrix.ravel().tolist())))
    return changed if pixels.shape[2] == 3 else np.concatenate([changed, pixels[:, :, 3:]], axis=2)
