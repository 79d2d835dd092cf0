"""CelebA: 202,599 faces of 10,177 people with 40 attributes each (Liu et al. 2015, arXiv 1411.7766)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats.image_rows import AttributeRows, select_attributes
from mobilevision.data.formats.scan import named_file, named_folder
from mobilevision.data.formats.table_images import TableImages
from mobilevision.data.records import Cropped, Problem, Records, Splits
from mobilevision.errors import UserError
from mobilevision.images.files import has_image_suffix
from mobilevision.ranges import NonNegativeFloat, check_ranges

# The lists that come with CelebA, as published (text, a count and a head first) or as CSV.

_PATHS = ("image_id", "image", "path", "file", "filename")  # some heads name the column of the images, some do not


class Line(NamedTuple):
    """A row of a list: the image, its values as written, and ``file:line``."""

    path: bytes
    cells: list[str]
    where: str


class Listed(NamedTuple):
    """A list: names of its columns (empty where it has no head) and its rows."""

    names: list[str]
    lines: Iterator[Line]


def find(root: Path, stem: str) -> Path | None:
    """The list ``stem`` as text or CSV, or None."""
    return next((path for end in (".txt", ".csv") if (path := root / f"{stem}{end}").is_file()), None)


def read(table: Path, problems: list[Problem], *, columns: int | None = None) -> Listed:
    """A list; rows with another number of values than it should have, and a wrong count, become problems.

    Args:
        table: the file.
        problems: where they are noted.
        columns: values a row, for a list without a head; None reads them off the head.

    Raises:
        UserError: an empty list, or no head where there should be one.
    """
    lines = _numbered(table)
    number, first = next(lines, (0, []))
    if not first:
        raise UserError(f"{table}: the list is empty")
    count = int(first[0]) if len(first) == 1 and first[0].isdecimal() else None
    if count is not None:
        number, first = next(lines, (number, []))
    headed = bool(first) and not has_image_suffix(first[0])
    if not headed and columns is None:
        raise UserError(f"{table}:{number}: here the names of the columns should stand, not {' '.join(first)[:60]!r}")
    names = first[1:] if headed and (table.suffix == ".csv" or first[0] in _PATHS) else first if headed else []
    width = len(names) if columns is None else columns

    def rows() -> Iterator[Line]:
        found = 0
        for number_, cells in lines if headed else chain([(number, first)], lines):
            where, found = f"{table.name}:{number_}", found + 1
            path, values = " ".join(cells[: len(cells) - width]), cells[len(cells) - width :]
            if len(cells) <= width or not has_image_suffix(path):
                got = next((len(cells) - 1 - at for at, cell in enumerate(cells) if has_image_suffix(cell)), len(cells))
                problems.append(Problem(where, f"{got} values for {width} columns", "complete the row or remove it"))
            else:
                yield Line(os.fsencode(path), values, where)
        if count is not None and count != found:
            what = f"the first line promises {count} images, {found} rows follow"
            problems.append(Problem(f"{table.name}:1", what, "take the whole list, or correct the number"))

    return Listed(names, rows())


def _numbered(table: Path) -> Iterator[tuple[int, list[str]]]:
    """(number from 1, cells) of every line that is not blank."""
    comma = table.suffix == ".csv"
    with open(table, encoding="utf-8-sig", errors="surrogateescape") as stream:
        for number, line in enumerate(stream, start=1):
            cells = [cell.strip() for cell in line.split(",")] if comma else line.split()
            if any(cells):
                yield number, cells


ATTRIBUTES, PARTITION, IDENTITY = "list_attr_celeba", "list_eval_partition", "identity_CelebA"
BOXES, LANDMARKS = "list_bbox_celeba", ("list_landmarks_align_celeba", "list_landmarks_celeba")
FOLDERS = ("img_align_celeba", "img_align_celeba_png", "img_celeba", "images")
SPLITS = {"0": "train", "1": "val", "2": "test"}
FACE = 2.2  # side of a face over the longer side of what its eyes, nose and mouth span


@final
class CelebA(DataFormat):
    """Reads CelebA's own files, or any in their form.

    ``list_attr_celeba.txt`` (or .csv) names the attributes and gives -1 or 1 to each; ``list_eval_partition.txt`` says
    0 (train), 1 (val) or 2 (test); ``identity_CelebA.txt``, where it is there, says who is shown, so that no person
    comes to lie in two splits when one is cut from another. The images lie in ``img_align_celeba`` or ``images``.

    Args:
        attributes: the attributes to learn; None takes all.
        table: file with the values in place of ``list_attr_celeba``, such as a teacher's probabilities as CSV.
        images: folder of the images, within ``data.root`` or anywhere; None finds it.
        crop: cut out the ``box`` of ``list_bbox_celeba.txt``, or the square around the ``landmarks`` of
            ``list_landmarks_align_celeba.txt`` (or ``list_landmarks_celeba.txt``); None takes the images whole.
        margin: what a crop takes in beyond the face, as a share of the face's side, at each side.
        val_as_test: judge by the set's val, which has no test then, and cut a val from train.
    """

    kinds: ClassVar[tuple[str, ...]] = ("attributes",)
    expected: ClassVar[str] = (
        "the folder of CelebA, with list_attr_celeba.txt, list_eval_partition.txt and img_align_celeba/ in it"
    )

    @check_ranges("data.format")
    def __init__(
        self,
        *,
        attributes: Sequence[str] | None = None,
        table: str | None = None,
        images: str | None = None,
        crop: Literal["box", "landmarks"] | None = None,
        margin: NonNegativeFloat = 0.2,
        val_as_test: bool = False,
    ) -> None:
        self.attributes, self.images, self.crop, self.margin = attributes, images, crop, margin
        self.table, self.val_as_test = table, val_as_test

    def claims(self, root: Path) -> bool:
        """Whether the list of attributes lies there."""
        return root.is_dir() and find(_base(root), ATTRIBUTES) is not None

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        base = _base(self.place(root))
        table = self._table(base)
        splits = Splits()
        partition, people = _column(base, PARTITION, splits.problems), _column(base, IDENTITY, splits.problems)
        splits.whole = not partition
        names, lines = read(table, splits.problems)
        places = select_attributes(names, self.attributes, str(table))
        images = _images(base, self.images)
        rows = AttributeRows([names[place] for place in places], TableImages(images, ()), splits.problems, str(table))
        for line in lines:
            split = SPLITS.get(partition.get(line.path, "0" if splits.whole else ""))
            if split is None:
                what = f"{os.fsdecode(line.path)} has no split in {PARTITION}"
                splits.problems.append(Problem(line.where, what, "write 0, 1 or 2 there, or remove the row here"))
                continue
            rows.add(split, line.path, [line.cells[place] for place in places], line.where, people.get(line.path, ""))
        rows.into(splits, channels=channels, grouped=bool(people))
        if self.crop is not None:
            self._cut_out(splits, rows, base)
        self._rearrange(splits)
        people_said = f", {len(set(people.values())):,} people" if people else ""
        splits.notes.append(f"CelebA: {len(rows.names)} attributes{people_said}")
        return splits

    def _table(self, base: Path) -> Path:
        if self.table is not None:
            return named_file("table", self.table, base)
        found = find(base, ATTRIBUTES)
        if found is None:
            raise UserError(f"data.root={base}: no list_attr_celeba.txt there; it should be {self.expected}")
        return found

    def _rearrange(self, splits: Splits) -> None:
        if self.val_as_test:
            if splits.test is not None or splits.val is None:
                has = "has a test already" if splits.test is not None else "has no val"
                raise UserError(f"data.format.val_as_test=true: the data {has}; set it to false")
            splits.test, splits.val = splits.val, None

    def _cut_out(self, splits: Splits, rows: AttributeRows, base: Path) -> None:
        boxes = self._boxes(base, splits.problems)
        for name, records in list(splits.items()):
            paths = rows.paths(name)
            kept = np.flatnonzero([path in boxes for path in paths])
            for path in paths:
                if path not in boxes:
                    what = f"no {self.crop} for {os.fsdecode(path)}"
                    splits.problems.append(Problem(str(base), what, "add it, or set data.format.crop=null"))
            cut = np.array([boxes[paths[row]] for row in kept], dtype=np.float64).reshape(-1, 4)
            part: Records = Cropped(records.subset(kept), cut)
            setattr(splits, name, part)

    def _boxes(self, base: Path, problems: list[Problem]) -> dict[bytes, NDArray[np.float64]]:
        """Path -> (x, y, width, height) of the part to cut out."""
        stems = (BOXES,) if self.crop == "box" else LANDMARKS
        table = next((path for stem in stems if (path := find(base, stem)) is not None), None)
        if table is None:
            raise UserError(f"data.format.crop={self.crop}: no {' or '.join(stems)} (.txt, .csv) in {base}")
        found = {}
        for line in read(table, problems).lines:
            try:
                numbers = np.array(line.cells, dtype=np.float64)
            except ValueError:
                problems.append(Problem(line.where, f"{' '.join(line.cells)!r} are no numbers", "mend the row"))
                continue
            found[line.path] = _grown(numbers if self.crop == "box" else _face(numbers), self.margin)
        return found


def _base(root: Path) -> Path:
    """Torchvision puts everything into a folder of its own."""
    return root / "celeba" if find(root, ATTRIBUTES) is None and (root / "celeba").is_dir() else root


def _images(base: Path, images: str | None) -> Path:
    if images is not None:
        return named_folder("images", images, base)
    for name in FOLDERS:
        if (base / name).is_dir():
            inner = base / name / name  # as some archives unpack
            return inner if inner.is_dir() else base / name
    raise UserError(f"data.root={base}: no images; unpack img_align_celeba.zip there, or set data.format.images")


def _column(base: Path, stem: str, problems: list[Problem]) -> dict[bytes, str]:
    """Image -> value of a list with one value each; none where the list is not there."""
    table = find(base, stem)
    return {} if table is None else {line.path: line.cells[0] for line in read(table, problems, columns=1).lines}


def _face(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The square (x, y, width, height) of a face, from eyes, nose and corners of the mouth as x, y, x, y ..."""
    corners = points.reshape(-1, 2)
    low, high = corners.min(axis=0), corners.max(axis=0)
    side = FACE * float((high - low).max())
    left, top = (low + high) / 2 - side / 2
    return np.array([left, top, side, side])


def _grown(box: NDArray[np.float64], margin: float) -> NDArray[np.float64]:
    """The box with a margin at each side, as a share of its own."""
    x, y, width, height = box.tolist()
    return np.array([x - margin * width, y - margin * height, width * (1 + 2 * margin), height * (1 + 2 * margin)])
