"""CIFAR-10: 60,000 images of 32 x 32 pixels, 10 classes (Krizhevsky 2009)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilevision.data.formats.published import PublishedSet, fetch
from mobilevision.data.records import Records, Splits
from mobilevision.images.decode import resample, to_mode
from mobilevision.images.framing import CropBox
from mobilevision.images.pixels import Pixels

# Records whose images all lie in one array.


@final
class ArrayRecords(Records):
    """Small images of one size, in memory.

    Args:
        images: uint8 [n, height, width, 3].
        targets: what is to be learnt, sample first.
        channels: 1, 3 or 4.
        label: what the names begin with, say ``cifar10/train``.
    """

    def __init__(self, *, images: NDArray[np.uint8], targets: NDArray[Any], channels: int, label: str) -> None:
        self._images, self.targets, self._channels, self._label = images, targets, channels, label

    def name(self, index: int) -> str:
        """``cifar10/train/17``."""
        return f"{self._label}/{index}"

    def shape(self, index: int) -> tuple[int, int]:
        """(height, width), the same for all."""
        _, height, width, _ = self._images.shape
        return height, width

    def pixels(
        self, index: int, *, box: CropBox | None = None, size: tuple[int, int] | None = None, exact: bool = False
    ) -> Pixels:
        """See :class:`Records`."""
        return resample(to_mode(Image.fromarray(self._images[index]), self._channels), box, size)


BATCHES = "cifar-10-batches-py"


@final
class Cifar10(PublishedSet):
    """Reads the python version of CIFAR-10, or the set as an image folder; downloads it where neither is there.

    Args:
        download: fetch it where it is missing.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)
    title: ClassVar[str] = "CIFAR-10"
    torchvision: ClassVar[str] = "CIFAR10"
    expected: ClassVar[str] = (
        f"the folder {BATCHES}/ of CIFAR-10's python version, or train/CLASS/ and test/CLASS/ with images"
    )

    def __init__(self, *, download: bool = True) -> None:
        self.download = download

    def claims(self, root: Path) -> bool:
        """Whether the python version lies there."""
        return (root / BATCHES).is_dir()

    def read_published(self, base: Path, channels: int) -> Splits:
        """See :class:`PublishedSet`."""
        from torchvision.datasets import CIFAR10

        sets = {
            split: fetch(self.title, CIFAR10, base, self.expected, download=self.download, train=split == "train")
            for split in ("train", "test")
        }
        train, test = (
            ArrayRecords(
                images=given.data,
                targets=np.asarray(given.targets, dtype=np.int64),
                channels=channels,
                label=f"cifar10/{split}",
            )
            for split, given in sets.items()
        )
        return Splits(train=train, test=test, classes=tuple(sets["train"].classes), notes=["CIFAR-10, python version"])
