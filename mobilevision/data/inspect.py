"""Looking through all data before training: bad files, duplicates, class balance, sizes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.boxes import Boxes, BoxTargets, boxes_a_class, concatenate
from mobilevision.data.records import Problem, Records, Splits
from mobilevision.data.targets import Placement, Targets, are_classes, equal
from mobilevision.images.decode import HINT, UnreadableImageError
from mobilevision.images.framing import Frame
from mobilevision.images.pixels import Pixels
from mobilevision.ops.boxes import area, iou
from mobilevision.ops.imbalance import imbalance

# What is counted of boxes: boxes a class, their sizes, crowds, images without any.

SMALL = 1 / 100  # of the image's area
TINY = 8  # pixels of the model's input, the shorter side
SAME_BOX = 0.5  # overlap from which two boxes are taken for the same


@dataclass
class BoxFindings:
    """What was counted, over the readable images.

    Attributes:
        counts: split -> boxes a class without crowds, of all images.
        empty: split -> images without any box.
        boxes: boxes in all.
        crowd: those that are regions with many objects.
        difficult: those that an evaluation leaves out.
        shares: tenth, median and nine tenth of a box's area over its image's; None without boxes.
        small: boxes below a hundredth of their image's area.
        tiny: boxes whose shorter side has less than 8 pixels in the stretched input; None where that is not known.
        most: the largest number of boxes in one image, and the image's name.
    """

    counts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    empty: dict[str, int] = field(default_factory=dict)
    boxes: int = 0
    crowd: int = 0
    difficult: int = 0
    shares: tuple[float, float, float] | None = None
    small: int = 0
    tiny: int | None = None
    most: tuple[int, str] = (0, "")


def count_boxes(
    splits: Splits, places: Sequence[tuple[str, int]], shapes: NDArray[np.int64], resolution: tuple[int, int]
) -> BoxFindings | None:
    """Count the boxes of a data set; None where it has no boxes to learn from.

    Args:
        splits: the samples.
        places: split and number of each readable image.
        shapes: int64 [n, 2], (height, width) of each.
        resolution: (height, width) of the model's input; (0, 0) where it is not known.
    """
    boxed = {name: records for name, records in splits.items() if isinstance(records.targets, BoxTargets)}
    if not boxed:
        return None
    found = BoxFindings({name: boxes_a_class(each.targets, len(splits.classes)) for name, each in boxed.items()})
    found.empty = {name: int((np.diff(each.targets.offsets) == 0).sum()) for name, each in boxed.items()}
    images: list[Boxes] = [boxed[split].targets[index] for split, index in places]
    numbers = [len(each) for each in images]
    together = concatenate(images)
    found.boxes, found.crowd, found.difficult = len(together), int(together.crowd.sum()), int(together.difficult.sum())
    if len(together):
        split, index = places[int(np.argmax(numbers))]
        found.most = max(numbers), boxed[split].name(index)
        _measure(found, together, np.repeat(shapes, numbers, axis=0), resolution)
    return found


def _measure(found: BoxFindings, boxes: Boxes, shapes: NDArray[np.int64], resolution: tuple[int, int]) -> None:
    share = area(boxes.boxes) / shapes.prod(axis=1)
    low, middle, high = np.quantile(share, (0.1, 0.5, 0.9)).tolist()
    found.shares, found.small = (low, middle, high), int((share < SMALL).sum())
    if min(resolution) > 0:
        sides = (boxes.boxes[:, 2:] - boxes.boxes[:, :2]) / shapes[:, ::-1] * resolution[::-1]
        found.tiny = int((sides.min(axis=1) < TINY).sum())


def differ(first: Boxes, second: Boxes, shapes: NDArray[np.int64]) -> bool:
    """Whether two images of the same have different boxes.

    Every box must have one of its class in the other image that overlaps it by half, sizes of images apart.

    Args:
        first: boxes of one image.
        second: boxes of the other.
        shapes: int64 [2, 2], (height, width) of both.
    """
    if len(first) != len(second):
        return True
    if not len(first):
        return False
    a, b = (each.boxes / np.tile(shape[::-1], 2) for each, shape in zip((first, second), shapes, strict=True))
    overlap = iou(a[:, None], b)
    same = (overlap >= SAME_BOX) & (first.labels[:, None] == second.labels)
    return not (same.any(axis=1).all() and same.any(axis=0).all())


def unlike(first: Any, second: Any, shapes: NDArray[np.int64]) -> bool:
    """Whether two images of the same have different targets; arguments as of :func:`differ`."""
    if isinstance(first, Boxes) and isinstance(second, Boxes):
        return differ(first, second, shapes)
    return not equal(first, second)


# Finding images that are the same, to the byte or nearly.

SIDE = 9
"""Side of the thumbnail behind a perceptual hash: eight differences in each of eight rows."""


def digest(content: bytes) -> int:
    """64 bits that are equal only for equal bytes, as far as chance goes."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def perceptual(thumbnail: Pixels) -> int:
    """64 bits that hardly change when an image is resized, recompressed or brightened.

    Each bit says whether the brightness rises from one of 9 x 8 cells to its right neighbour ("difference hash").

    Args:
        thumbnail: uint8 [8, 9, channels].
    """
    grey = thumbnail.astype(np.int32).sum(axis=2)
    return int.from_bytes(np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes(), "big")


def near_pairs(hashes: NDArray[np.uint64], within: int, block: int = 1024) -> Iterator[tuple[int, int, int]]:
    """Pairs whose hashes differ in at most ``within`` bits.

    Two hashes that differ in at most three of their bits agree in one of four 16-bit quarters at least; so only hashes
    that share a quarter are compared, which keeps a million images within reach. Above three bits, every pair is
    compared, in blocks.

    Args:
        hashes: [n].
        within: most bits that may differ.
        block: rows compared at a time.

    Yields:
        (first, second, differing bits) with first < second, each pair once.
    """
    if within > 3:
        rows = np.arange(len(hashes))
        yield from _compare(hashes, rows, within, block)
        return
    quarters = hashes.astype("<u8").view(np.uint16).reshape(-1, 4)
    for quarter in range(4):
        order = np.argsort(quarters[:, quarter], kind="stable")
        ordered = quarters[order, quarter]
        # A stable sort keeps the rows of a group in ascending order.
        for group in np.split(order, np.flatnonzero(ordered[1:] != ordered[:-1]) + 1):
            for first, second, bits in _compare(hashes, group, within, block):
                # A pair that agrees in an earlier quarter too was given there.
                if not (quarters[first, :quarter] == quarters[second, :quarter]).any():
                    yield first, second, bits


def _compare(
    hashes: NDArray[np.uint64], rows: NDArray[np.int64], within: int, block: int
) -> Iterator[tuple[int, int, int]]:
    for start in range(0, len(rows) if len(rows) > 1 else 0, block):
        part = rows[start : start + block]
        bits = np.bitwise_count(hashes[part, None] ^ hashes[rows][None, start:])
        for a, b in np.argwhere(np.triu(bits <= within, k=1)).tolist():
            yield int(part[a]), int(rows[start + b]), int(bits[a, b])


CLOSER = (24, 24)
ALIKE = 8.0  # mean difference of 24 x 24 thumbnails, of 255
MOST = 10_000  # pairs: whoever has more has looked at enough


class SampleId(NamedTuple):
    """One sample: split, number in it, and the name a person finds it by."""

    split: str
    number: int
    name: str


@dataclass(frozen=True)
class Duplicate:
    """Two samples that show the same.

    Attributes:
        first: one of them.
        second: the other.
        bits: how many of 64 bits of the perceptual hashes differ; -1 for files that are equal to the byte.
        labels: whether their labels, or their boxes, differ.
    """

    first: SampleId
    second: SampleId
    bits: int
    labels: bool

    @property
    def across(self) -> bool:
        """Whether they lie in different splits, which makes the score of the later one too good."""
        return self.first.split != self.second.split


@dataclass(frozen=True)
class Sizes:
    """Smallest, median and largest height and width in pixels, and how many are smaller than the model's input."""

    height: tuple[int, int, int]
    width: tuple[int, int, int]
    small: int


@dataclass
class Findings:
    """What a look through the data found.

    Attributes:
        counts: split -> samples a class, in the order of ``classes``; empty where targets are no classes.
        classes: the class names.
        bad: unreadable images, and the problems found while reading.
        duplicates: pairs, exact ones first, those across splits before the others.
        sizes: of all readable images; None without any.
        boxes: what was counted of boxes; None where the data has none to learn from.
        looked_at: number of samples.
    """

    classes: tuple[str, ...]
    counts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    bad: list[Problem] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)
    sizes: Sizes | None = None
    boxes: BoxFindings | None = None
    looked_at: int = 0

    @property
    def imbalance(self) -> float:
        """Samples of the most frequent over those of the rarest class of train; 1.0 is balanced."""
        return imbalance(self.counts.get("train", ()))

    @property
    def leaks(self) -> list[Duplicate]:
        """Duplicates across splits."""
        return [pair for pair in self.duplicates if pair.across]


class _Hashes(NamedTuple):
    """Hashes and size of one sample."""

    exact: int
    near: int
    height: int
    width: int


def inspect(
    splits: Splits,
    *,
    resolution: tuple[int, int] = (0, 0),
    within: int = 3,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Findings:
    """Decode every image and compare all with all.

    Args:
        splits: as :meth:`DataModule.setup_data` leaves them.
        resolution: (height, width) of the model's input, to count smaller images.
        within: bits of the perceptual hash in which near duplicates may differ.
        threads: decoding threads.
        progress: called with (samples done, samples in all).
    """
    findings = Findings(splits.classes, bad=list(splits.problems))
    places: list[tuple[str, int]] = []
    seen = []
    total = sum(len(records) for _, records in splits.items())
    for split, records in splits.items():
        if are_classes(records.targets):
            findings.counts[split] = tuple(np.bincount(records.targets, minlength=len(splits.classes)).tolist())
        for index, found in enumerate(_look(records, threads)):
            if isinstance(found, UnreadableImageError):
                name = records.name(index)
                findings.bad.append(
                    Problem(name, str(found).removeprefix(f"{name}: ").removesuffix(f". {HINT}"), "mend or remove it")
                )
            else:
                places.append((split, index))
                seen.append(found)
            findings.looked_at += 1
            if progress:
                progress(findings.looked_at, total)
    if seen:
        table = np.array(seen, dtype=np.uint64)
        findings.sizes = _sizes(table, resolution)
        findings.duplicates = _duplicates(splits, places, table, within)
        findings.boxes = count_boxes(splits, places, table[:, 2:].astype(np.int64), resolution)
    return findings


def _look(records: Records, threads: int) -> Iterator[_Hashes | UnreadableImageError]:
    def look(index: int) -> _Hashes | UnreadableImageError:
        try:
            height, width = records.shape(index)
            pixels = records.pixels(index, size=(SIDE - 1, SIDE), exact=True)
            if isinstance(records.targets, Targets):  # a mask has to be read to know that it can be
                whole = Frame((0.0, 0.0, float(width), float(height)), (height, width))
                records.targets.placed(index, Placement(whole, False, (height, width), (height, width), False))
            return _Hashes(digest(records.content(index)), perceptual(pixels), height, width)
        except UnreadableImageError as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(look, range(len(records)))


def _sizes(table: NDArray[np.uint64], resolution: tuple[int, int]) -> Sizes:
    sides = table[:, 2:].astype(np.int64)
    low, middle, high = sides.min(0), np.median(sides, axis=0).astype(int), sides.max(0)
    small = int((sides < np.asarray(resolution)).any(axis=1).sum())
    triples = [(int(low[i]), int(middle[i]), int(high[i])) for i in (0, 1)]
    return Sizes(triples[0], triples[1], small)


def _duplicates(
    splits: Splits, places: list[tuple[str, int]], table: NDArray[np.uint64], within: int
) -> list[Duplicate]:
    named = dict(splits.items())

    def place(row: int) -> SampleId:
        split, index = places[row]
        return SampleId(split, index, named[split].name(index))

    def alike(a: int, b: int) -> bool:
        # Plain images have similar hashes without being copies of each other: look again, a little closer.
        first, second = (named[split].pixels(index, size=CLOSER) for split, index in (places[a], places[b]))
        return bool(np.abs(first.astype(int) - second).mean() < ALIKE)

    def labels(a: int, b: int) -> bool:
        first, second = (named[split].targets[index] for split, index in (places[a], places[b]))
        shapes = table[[a, b], 2:].astype(np.int64)
        if isinstance(first, dict) and isinstance(second, dict):  # by part: what only one of two says is no dispute
            return any(unlike(first[part], second[part], shapes) for part in first.keys() & second.keys())
        return unlike(first, second, shapes)

    found = []
    for a, b, bits in near_pairs(np.ascontiguousarray(table[:, 1]), within):
        same = table[a, 0] == table[b, 0]
        if same or alike(a, b):
            found.append(Duplicate(place(a), place(b), -1 if same else bits, labels(a, b)))
        if len(found) == MOST:
            break
    return sorted(found, key=lambda pair: (not pair.across, pair.bits, pair.first.name))
