"""The annotations of one split as they were read: nothing is checked yet."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

Corners = NDArray[np.float64]
"""float64 [n, 4], (left, top, right, bottom) in pixels."""

SIDES = {"fractions": 1.0, "percent": 100.0}
"""What an image's side is in a unit."""


PER_BOX = ("owner", "corners", "labels", "crowd", "difficult", "area")
"""The arrays of :class:`Raw` with a row a box."""


@final
@dataclass(frozen=True)
class Raw:
    """Images and boxes of one split.

    Attributes:
        paths: a file for each of n images.
        sizes: int64 [n, 2], (height, width) as annotated; 0 where nothing is said.
        owner: int64 [m], the image of each box.
        corners: float64 [m, 4], (left, top, right, bottom) in ``unit``.
        labels: int64 [m], indices of ``names``; -1 where that was reported already.
        crowd: bool [m].
        difficult: bool [m].
        area: float64 [m], square pixels; NaN takes that of the box.
        names: the class names.
        image_at: where image i is annotated, ``file:line``.
        box_at: where box i stands, ``file:line``.
        unit: pixels, or fractions or percent of the image's sides.
        notes: what is to be said of how it was read.
    """

    paths: Sequence[bytes]
    sizes: NDArray[np.int64]
    owner: NDArray[np.int64]
    corners: Corners
    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    difficult: NDArray[np.bool_]
    area: NDArray[np.float64]
    names: tuple[str, ...]
    image_at: Callable[[int], str]
    box_at: Callable[[int], str]
    unit: str = "pixels"
    notes: tuple[str, ...] = ()

    def boxes(self, keep: NDArray[Any], **changed: Any) -> Raw:
        """The same images with the boxes ``keep`` (a mask or rows) only."""
        rows = np.arange(len(self.owner))[keep]
        given: dict[str, Any] = {key: getattr(self, key)[rows] for key in PER_BOX}
        return replace(self, **{**given, "box_at": lambda i: self.box_at(int(rows[i])), **changed})

    def named(self, names: tuple[str, ...]) -> Raw:
        """The same with labels as indices of other names; -1 for a class that is not among them."""
        table = np.array([names.index(name) if name in names else -1 for name in self.names] + [-1], dtype=np.int64)
        return replace(self, labels=table[self.labels], names=names)

    def images(self, keep: NDArray[np.bool_]) -> Raw:
        """The images of a mask, with their boxes."""
        if keep.all():
            return self
        rows, mine = np.flatnonzero(keep), keep[self.owner]
        return self.boxes(
            mine,
            paths=[self.paths[i] for i in rows.tolist()],
            sizes=self.sizes[rows],
            owner=(np.cumsum(keep) - 1)[self.owner[mine]],
            image_at=lambda i: self.image_at(int(rows[i])),
        )


def join(first: Raw, second: Raw) -> Raw:
    """All images of both, which must have the same class names, and the same unit."""
    n, m = len(first.paths), len(first.owner)
    second = replace(second, owner=second.owner + n)
    joined: dict[str, Any] = {
        key: np.concatenate([getattr(first, key), getattr(second, key)]) for key in ("sizes", *PER_BOX)
    }
    return replace(
        first,
        paths=[*first.paths, *second.paths],
        image_at=lambda i: first.image_at(i) if i < n else second.image_at(i - n),
        box_at=lambda i: first.box_at(i) if i < m else second.box_at(i - m),
        notes=(*first.notes, *second.notes),
        **joined,
    )


@final
class Collector:
    """Gathers a split row by row, for formats that are read so."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = {name: i for i, name in enumerate(names)}
        self.paths: list[bytes] = []
        self._sizes: list[tuple[int, int]] = []
        self._image_at: list[tuple[str, int]] = []
        self._boxes: list[tuple[float, ...]] = []
        self._numbers: list[tuple[int, int, bool, bool]] = []
        self._box_at: list[tuple[str, int]] = []

    def image(self, path: bytes, at: tuple[str, int], size: tuple[int, int] = (0, 0)) -> int:
        """Add an image, named in ``at`` (file, line; 0 for the file as a whole); gives its number."""
        self.paths.append(path)
        self._sizes.append(size)
        self._image_at.append(at)
        return len(self.paths) - 1

    def size(self, image: int) -> tuple[int, int]:
        """The (height, width) that was given of an image."""
        return self._sizes[image]

    def label(self, name: str) -> int:
        """The number of a class, a new one for a new name."""
        return self.names.setdefault(name, len(self.names))

    def box(
        self,
        image: int,
        corners: Sequence[float],
        label: int,
        at: tuple[str, int],
        *,
        crowd: bool = False,
        difficult: bool = False,
        area: float = float("nan"),
    ) -> None:
        """Add a box, (left, top, right, bottom) in pixels, to an image."""
        self._boxes.append((*corners, area))
        self._numbers.append((image, label, crowd, difficult))
        self._box_at.append(at)

    def done(self, *, unit: str = "pixels") -> Raw:
        """What was gathered; ``unit``: see :class:`Raw`."""
        boxes = np.array(self._boxes, dtype=np.float64).reshape(-1, 5)
        numbers = np.array(self._numbers, dtype=np.int64).reshape(-1, 4)
        image_at, box_at = self._image_at, self._box_at
        return Raw(
            self.paths,
            np.array(self._sizes, dtype=np.int64).reshape(-1, 2),
            numbers[:, 0],
            boxes[:, :4],
            numbers[:, 1],
            numbers[:, 2].astype(bool),
            numbers[:, 3].astype(bool),
            boxes[:, 4],
            tuple(self.names),
            lambda i: place(*image_at[i]),
            lambda i: place(*box_at[i]),
            unit,
        )


def place(file: str, line: int) -> str:
    """``file:line``, or the file alone for line 0."""
    return f"{file}:{line}" if line else file


def many(count: int, one: str) -> str:
    """``1 box``, ``2 boxes``."""
    return f"{count} {one}" + ("" if count == 1 else "es" if one.endswith("x") else "s")


ROTATIONS = frozenset(("rotation", "angle", "theta"))
"""Keys and tags that may turn a box, about a point and in a direction that their tool alone knows."""


def degrees_of(value: Any) -> float:
    """The number that stands for a rotation; 0 for none, and for what is no number, as attributes of users may be."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if math.isfinite(number) else 0.0


YES = ("1", "1.0", "true", "yes", "y", "t")
NO = ("0", "0.0", "false", "no", "n", "f", "", "none", "null", "nan")


def flag(value: Any) -> bool | None:
    """Whether ``iscrowd``, ``difficult`` or the like says yes: 1, "0", "false", [0], null; None: neither yes nor no."""
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if value is None or value is True or value is False:
        return bool(value)
    text = str(value).strip().lower()
    return True if text in YES else False if text in NO else None
