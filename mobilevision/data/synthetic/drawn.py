"""What the drawn data sets share: records that are drawn when they are asked for, and some ways to draw."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilevision.data.data_format import DataFormat
from mobilevision.data.records import Records, Splits
from mobilevision.errors import UserError
from mobilevision.images.decode import MODES, resample, to_mode
from mobilevision.images.framing import CropBox
from mobilevision.images.pixels import Pixels
from mobilevision.ranges import Range

SPLITS = ("train", "val", "test")

DrawnTrain = Annotated[int, Range(min=1, max=10_000_000)]
"""Images (or identities) to learn from."""
DrawnCount = Annotated[int, Range(min=0, max=10_000_000)]
"""Images (or identities) of val or test; 0 for none."""
DrawnSide = Annotated[int, Range(min=8, max=4096)]
"""Of a drawn image, pixels."""

Points = NDArray[np.float64]
"""float64 [n, 2], (x, y)."""
Colour = tuple[int, int, int]


class DrawnFormat(DataFormat, ABC):
    """An embedded data set, a function of (seed, split, index): no file, no download.

    Attributes:
        name: of the set, as its samples and messages say it.
        about: what it is, for the console.
        names: of the classes, in the order of the targets.
        sizes: images (or identities) of train, val and test.
        side: longer side of the drawn images in pixels.
    """

    name: ClassVar[str]
    about: str
    names: ClassVar[tuple[str, ...]] = ()
    sizes: tuple[int, int, int]
    side: int

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        if channels not in MODES:
            raise UserError(f"data.channels={channels}: drawn {self.name} have 1 (grey), 3 (RGB) or 4 (RGBA)")
        shared = {"name": self.name, "side": self.side, "channels": channels, "seed": seed}
        train, val, test = (self.records(n, split=split, **shared) for split, n in enumerate(self.sizes))
        notes = [f"{self.about}, {self.side} px, seed {seed}"]
        return Splits(train, val, test, self.classes(), groups=self.groups(), notes=notes)

    @abstractmethod
    def records(self, n: int, *, split: int, **shared: Any) -> DrawnRecords:
        """One split of ``n``; the other arguments are those of :class:`DrawnRecords`."""

    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the targets; a handful to overfit shows only as many as it has images."""
        return self.names[: self.sizes[0]]

    def groups(self) -> dict[str, str]:
        """Class -> a coarser class."""
        return {}


class DrawnRecords(Records, ABC):
    """Images that are drawn when they are asked for.

    Args:
        name: of the set.
        split: 0 train, 1 val, 2 test; each has images of its own.
        side: longer side in pixels.
        channels: 1, 3 or 4.
        seed: another seed, another set.
    """

    def __init__(self, *, name: str, split: int, side: int, channels: int, seed: int) -> None:
        self.set, self.split, self.side, self.channels, self.seed = name, split, side, channels, seed

    @abstractmethod
    def draw(self, index: int) -> Image.Image:
        """The image in RGB."""

    def rng(self, *stream: int) -> np.random.Generator:
        """Random numbers of a sample; further numbers tell apart what is drawn of it independently."""
        return np.random.default_rng((self.seed, self.split, *stream))

    def name(self, index: int) -> str:
        """``shapes/train/17``."""
        return f"{self.set}/{SPLITS[self.split]}/{index}"

    def shape(self, index: int) -> tuple[int, int]:
        """The drawn side, both ways."""
        return self.side, self.side

    def pixels(
        self, index: int, *, box: CropBox | None = None, size: tuple[int, int] | None = None, exact: bool = False
    ) -> Pixels:
        """See :class:`Records`."""
        return resample(to_mode(self.draw(index), self.channels), box, size)


def backdrop(rng: np.random.Generator, ground: Colour, size: tuple[int, int]) -> Image.Image:
    """A ground of ``size`` (width, height) that runs from one colour near ``ground`` to others."""
    corners = np.asarray(ground) + rng.normal(0, 22, (2, 2, 3))
    small = Image.fromarray(np.clip(corners, 0, 255).astype(np.uint8))
    return small.resize(size, Image.Resampling.BILINEAR)


def grain(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """The image with the noise of a camera on it."""
    pixels = np.asarray(image, dtype=np.float32)
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(rng.uniform(1, 8))
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def regular(corners: int, radius: float = 1.0, at: tuple[float, float] = (0.0, 0.0)) -> Points:
    """Corners of a regular polygon around ``at``; with many, a disk."""
    angles = np.arange(corners) * 2 * np.pi / corners
    points: Points = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius + np.asarray(at)
    return points


def rays(corners: int, inner: float) -> Points:
    """Corners of a star whose inner ones lie ``inner`` from the middle, the outer ones 1."""
    points = regular(2 * corners)
    points[1::2] *= inner
    return points
