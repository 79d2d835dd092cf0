"""One split of a data set as flat arrays, and what reading a place gives: splits, notes, problems."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.images.decode import UnreadableImageError
from mobilevision.images.framing import CropBox
from mobilevision.images.pixels import Pixels

Box = CropBox  # plugins import it by this name


class Records(ABC):
    """One split: the images and what is to be learnt of each.

    Only flat arrays live here, never a Python list with an entry a sample: every worker process would come to own a
    copy of such a list, because counting references writes to its pages.

    Attributes:
        targets: int64 [n] for ``kind=class``, :class:`~mobilevision.data.boxes.BoxTargets` for ``boxes``; an array with
            the sample first for other kinds, such as float32 [n, A] for ``attributes``: 0 to 1, NaN where unknown;
            :class:`~mobilevision.data.coordinates.CoordinateTargets` for ``coordinate``. An array is a label of the
            whole image: a crop or a flip leaves it as it is. What has its place in the image, such as keypoints or
            a mask, is a :class:`~mobilevision.data.targets.Targets`, which says how it moves.
        groups: int64 [n], whom or what a sample shows; a group never comes to lie in two parts of a split. None where
            nobody knows.
    """

    targets: Any
    groups: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @abstractmethod
    def name(self, index: int) -> str:
        """The sample's name for people: a path, or ``shapes/train/17``; always printable."""

    @abstractmethod
    def shape(self, index: int) -> tuple[int, int]:
        """(height, width) in upright pixels, that is after the EXIF rotation.

        Raises:
            UnreadableImageError: the image cannot be read.
        """

    @abstractmethod
    def pixels(
        self, index: int, *, box: CropBox | None = None, size: tuple[int, int] | None = None, exact: bool = False
    ) -> Pixels:
        """The image, or the part in ``box``, resized to ``size`` with antialiased bilinear weights.

        Args:
            index: the sample.
            box: part to take, (x, y, w, h) in upright pixels; None takes all.
            size: (height, width) of the result; None keeps the size of the part, to whole pixels.
            exact: go through Pillow's ``resize(size, BILINEAR, box=box)`` on the fully decoded image, which is what
                a consumer of an exported model repeats. Otherwise a decode of only the part needed may be taken.

        Raises:
            UnreadableImageError: the image cannot be read.
        """

    def content(self, index: int) -> bytes:
        """Bytes that are equal only for exact duplicates."""
        return self.pixels(index).tobytes()

    def image_key(self, index: int) -> str | None:
        """Equal for two samples, of whatever data sets, only where both show the same image; None: nobody can tell."""
        del index
        return None

    def largest(self, index: int) -> tuple[str, float] | None:
        """Of an image with more than 8 bits: ``F`` (floats) or ``I`` (whole numbers), and its largest value.

        Raises:
            UnreadableImageError: the image cannot be read.
        """
        del index
        return None

    def scale(self, white_level: float) -> None:
        """Take this value for white in every image of more than 8 bits; records without any take no notice."""
        del white_level

    def subset(self, rows: NDArray[np.int64]) -> Records:
        """The samples ``rows``, in that order."""
        return Subset(self, rows)


class RecordsAround(Records, ABC):
    """Records whose samples are those of others."""

    @abstractmethod
    def source(self, index: int) -> tuple[Records, int]:
        """The records that a sample comes from, and its index there."""

    def name(self, index: int) -> str:
        """The name there."""
        records, place = self.source(index)
        return records.name(place)

    def shape(self, index: int) -> tuple[int, int]:
        """(height, width) there."""
        records, place = self.source(index)
        return records.shape(place)

    def pixels(
        self, index: int, *, box: CropBox | None = None, size: tuple[int, int] | None = None, exact: bool = False
    ) -> Pixels:
        """The image there."""
        records, place = self.source(index)
        return records.pixels(place, box=box, size=size, exact=exact)

    def image_key(self, index: int) -> str | None:
        """As there."""
        records, place = self.source(index)
        return records.image_key(place)

    def content(self, index: int) -> bytes:
        """The bytes there."""
        records, place = self.source(index)
        return records.content(place)

    def largest(self, index: int) -> tuple[str, float] | None:
        """As there."""
        records, place = self.source(index)
        return records.largest(place)


@final
class Subset(RecordsAround):
    """Some samples of other records."""

    def __init__(self, records: Records, rows: NDArray[np.int64]) -> None:
        self.records, self.rows = records, rows
        self.targets = records.targets[rows]
        self.groups = None if records.groups is None else records.groups[rows]

    def source(self, index: int) -> tuple[Records, int]:
        """In the records underneath."""
        return self.records, int(self.rows[index])

    def scale(self, white_level: float) -> None:
        """Of the records underneath."""
        self.records.scale(white_level)


@dataclass(frozen=True)
class Problem:
    """Something wrong with the data that a person can mend.

    Attributes:
        where: the file, ``file:line`` or folder.
        what: what is wrong there.
        fix: what to do about it.
        image: the image file concerned, where there is one to show.
        box: the box concerned, (left, top, right, bottom) in pixels, as it was found.
    """

    where: str
    what: str
    fix: str
    image: str | None = None
    box: tuple[float, float, float, float] | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.what} ({self.fix})"


@dataclass
class Splits:
    """What a format read.

    Attributes:
        train: samples to learn from; None where only an evaluation is possible.
        val: samples to choose by; None where the data has none (the data module then takes a part of train).
        test: samples to judge by; None where the data has none.
        classes: class names in the order of the targets.
        whole: the data came without any split, so that a test part too may be cut from ``train``.
        completed: what was missing was cut, so that no more is.
        groups: class -> a coarser class that it belongs to, such as breed -> species; empty where nobody says.
        facts: what else predictions need, such as the lines between keypoints: plain values, no tuples. Task and answer
            have them (:attr:`mobilevision.spec.DataSpec.facts`), in checkpoints and exported models, too.
        notes: what was decided while reading, for the console.
        problems: what was wrong; the rows concerned are already left out.
    """

    train: Records | None = None
    val: Records | None = None
    test: Records | None = None
    classes: tuple[str, ...] = ()
    whole: bool = False
    completed: bool = False
    groups: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def items(self) -> Iterator[tuple[str, Records]]:
        """The splits that there are, by name."""
        for name in ("train", "val", "test"):
            records: Records | None = getattr(self, name)
            if records is not None:
                yield name, records


@final
class Cropped(Records):
    """Other records, of each image only the part in its box, to whole pixels.

    Args:
        records: the images.
        boxes: float [n, 4], (x, y, width, height) in upright pixels; what lies outside the image is cut off.
    """

    def __init__(self, records: Records, boxes: NDArray[np.float64]) -> None:
        self.records, self.boxes = records, boxes
        self.targets, self.groups = records.targets, records.groups

    def name(self, index: int) -> str:
        """As in the records underneath."""
        return self.records.name(index)

    def shape(self, index: int) -> tuple[int, int]:
        """(height, width) of the part."""
        _, _, width, height = self._part(index)
        return int(height), int(width)

    def pixels(
        self, index: int, *, box: CropBox | None = None, size: tuple[int, int] | None = None, exact: bool = False
    ) -> Pixels:
        """See :class:`Records`; ``box`` lies within the part."""
        left, top, width, height = self._part(index)
        x, y, w, h = box or (0.0, 0.0, width, height)
        return self.records.pixels(index, box=(left + x, top + y, w, h), size=size, exact=exact)

    def image_key(self, index: int) -> str | None:
        """The image underneath, and its part."""
        whole = self.records.image_key(index)
        return None if whole is None else f"{whole} {self._part(index)}"

    def largest(self, index: int) -> tuple[str, float] | None:
        """As in the records underneath."""
        return self.records.largest(index)

    def scale(self, white_level: float) -> None:
        """Of the records underneath."""
        self.records.scale(white_level)

    def _part(self, index: int) -> CropBox:
        high, wide = self.records.shape(index)
        x, y, width, height = self.boxes[index].tolist()
        left, top = max(math.floor(x), 0), max(math.floor(y), 0)
        right, bottom = min(math.ceil(x + width), wide), min(math.ceil(y + height), high)
        if right <= left or bottom <= top:
            raise UnreadableImageError(
                f"{self.name(index)}: the box to cut out ({x:g}, {y:g}, {width:g} x {height:g}) lies outside"
                f" the {wide} x {high} pixels of the image"
            )
        return float(left), float(top), float(right - left), float(bottom - top)
