"""What the drawn data sets share: their arguments, and records that are drawn when they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypedDict, Unpack, final

import numpy as np
from PIL import Image

from mobilevision.data.data_format import DataFormat
from mobilevision.data.records import Records, Splits
from mobilevision.errors import UserError
from mobilevision.images.decode import MODES, resample, to_mode
from mobilevision.images.framing import CropBox
from mobilevision.images.pixels import Pixels
from mobilevision.ranges import Range, check_ranges

SPLITS = ("train", "val", "test")


class DrawnOptions(TypedDict, total=False):
    """Arguments that all drawn sets take.

    Attributes:
        train: number of training images (or identities).
        val: number of validation images; 0 for none.
        test: number of test images; 0 for none.
        side: longer side of the drawn images in pixels.
    """

    train: Annotated[int, Range(min=1, max=10_000_000)]
    val: Annotated[int, Range(min=0, max=10_000_000)]
    test: Annotated[int, Range(min=0, max=10_000_000)]
    side: Annotated[int, Range(min=8, max=4096)]


@final
@dataclass(frozen=True)
class Sizes:
    """Images (or identities) of each split, and the longer side of an image in pixels."""

    train: int
    val: int
    test: int
    side: int


class DrawnFormat(DataFormat, ABC):
    """An embedded data set, a function of (seed, split, index): no file, no download.

    Args:
        **options: see :class:`DrawnOptions`; what is left out is that of ``usual``.

    Attributes:
        name: of the set, as its samples and messages say it.
        about: what it is, for the console.
        names: of the classes, in the order of the targets.
        usual: the sizes that a set has by default.
        sizes: images (or identities) of train, val and test.
        side: longer side of the drawn images in pixels.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    names: ClassVar[tuple[str, ...]] = ()
    usual: ClassVar[Sizes]

    @check_ranges("data.format")
    def __init__(self, **options: Unpack[DrawnOptions]) -> None:
        chosen = replace(self.usual, **options)
        self.sizes, self.side = (chosen.train, chosen.val, chosen.test), chosen.side

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

    def image_key(self, index: int) -> str:
        """What the drawing depends on."""
        return f"{self.name(index)}, {self.side} pixels, {self.channels} channels, seed {self.seed}"

    def shape(self, index: int) -> tuple[int, int]:
        """The drawn side, both ways."""
        return self.side, self.side

    def pixels(
        self, index: int, *, box: CropBox | None = None, size: tuple[int, int] | None = None, exact: bool = False
    ) -> Pixels:
        """See :class:`Records`."""
        return resample(to_mode(self.draw(index), self.channels), box, size)


@final
class DrawnClasses(DrawnRecords):
    """Images of classes, which take turns, so that every split is balanced.

    Args:
        n: number of images.
        classes: how many of the classes occur.
        draw: draws an image (RGB) of a class (its number), so many pixels wide and high.
        stream: number of the stream of random numbers that an image is drawn from.
        **shared: of :class:`DrawnRecords`.
    """

    def __init__(
        self,
        n: int,
        classes: int,
        draw: Callable[[np.random.Generator, int, int], Image.Image],
        *,
        stream: int,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.targets = np.arange(n, dtype=np.int64) % classes
        self._draw, self._stream = draw, stream

    def draw(self, index: int) -> Image.Image:
        """See :class:`DrawnRecords`."""
        return self._draw(self.rng(index, self._stream), int(self.targets[index]), self.side)
