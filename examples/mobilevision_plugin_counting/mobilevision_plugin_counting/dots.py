"""Images of dots, drawn on the fly: a function of (seed, split, index)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, final

import numpy as np
from PIL import Image, ImageDraw

from mobilevision.data.data_format import DataFormat
from mobilevision.data.records import Records, Splits
from mobilevision.images.decode import resample, to_mode
from mobilevision.images.framing import CropBox
from mobilevision.images.pixels import Pixels

SPLITS = ("train", "val", "test")


@final
class Dots(DataFormat):
    """Up to ``most`` dots of random size and colour that do not touch; the class is their number.

    Args:
        train: number of training images.
        val: number of validation images.
        test: number of test images.
        most: largest count.
        side: side of the images in pixels.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)

    def __init__(self, *, train: int = 2000, val: int = 300, test: int = 600, most: int = 6, side: int = 64) -> None:
        self.sizes = (train, val, test)
        self.most = most
        self.side = side

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        train, val, test = (
            DotRecords(key=(seed, split), n=n, most=self.most, side=self.side, channels=channels)
            for split, n in enumerate(self.sizes)
        )
        classes = tuple(str(count) for count in range(self.most + 1))
        return Splits(train, val, test, classes, notes=[f"dots: drawn on the fly, 0 to {self.most}, seed {seed}"])


@final
class DotRecords(Records):
    """One split; counts take turns.

    Args:
        key: (seed, split), which make the images what they are.
        n: number of images.
        most: largest count.
        side: side in pixels.
        channels: 1, 3 or 4.
    """

    def __init__(self, *, key: tuple[int, int], n: int, most: int, side: int, channels: int) -> None:
        self.key = key
        self.side = side
        self.channels = channels
        self.targets = np.arange(n, dtype=np.int64) % (most + 1)

    def name(self, index: int) -> str:
        """``dots/train/17``."""
        return f"dots/{SPLITS[self.key[1]]}/{index}"

    def shape(self, index: int) -> tuple[int, int]:
        """The drawn side, both ways."""
        return self.side, self.side

    def pixels(
        self, index: int, *, box: CropBox | None = None, size: tuple[int, int] | None = None, exact: bool = False
    ) -> Pixels:
        """See :class:`Records`."""
        rng = np.random.default_rng((*self.key, index))
        image = draw(rng, int(self.targets[index]), self.side)
        return resample(to_mode(image, self.channels), box, size)


def draw(rng: np.random.Generator, count: int, side: int) -> Image.Image:
    """``count`` dots on dark, noisy ground; places that would touch another dot are drawn again."""
    noise = rng.integers(0, 60, (side, side, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    pen = ImageDraw.Draw(image)
    dots: list[tuple[float, float, float]] = []
    while len(dots) < count:
        radius = rng.uniform(0.04, 0.09) * side
        x, y = rng.uniform(radius, side - radius, 2)
        if all(np.hypot(x - a, y - b) > radius + other + 1 for a, b, other in dots):
            dots.append((x, y, radius))
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(rng.integers(110, 256, 3)))
    return image
