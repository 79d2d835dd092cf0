"""Lists of pairs of images, which serve to evaluate a model but not to train one."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, final

import numpy as np

from mobilevision.data.data_format import DataFormat
from mobilevision.data.files import FileRecords
from mobilevision.data.formats.annotations.image_lookup import named_folder
from mobilevision.data.formats.scan import Listing
from mobilevision.data.identities import UNKNOWN, IdentityTargets
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError
from mobilevision.images.files import has_image_suffix
from mobilevision.ops.pairs import FOLDS, Pairs, folds

# Lists of pairs of images: rows of path, path, 0 or 1, and the lists of Labeled Faces in the Wild.

SAME = {"1": True, "true": True, "same": True, "yes": True}
DIFFERENT = {"0": False, "-1": False, "false": False, "different": False, "no": False}
_SUFFIXES = (".jpg", ".jpeg", ".png")


class PairRow(NamedTuple):
    """One pair; ``names`` are paths relative to the images, ``fold`` is None where the list has none."""

    names: tuple[str, str]
    same: bool
    fold: int | None
    where: str


class PairList(NamedTuple):
    """The images of a list, each once, and its pairs by their places."""

    paths: list[bytes]
    pairs: Pairs


def read_pairs(table: Path, base: Path, problems: list[Problem]) -> PairList:
    """A list of pairs.

    Args:
        table: LFW's ``pairs.txt``, ``pairsDevTrain.txt``, ``pairsDevTest.txt`` or a table with two paths, whether both
            show the same (1 or 0) and perhaps a fold from 0 or from 1, with or without a header.
        base: the folder that paths start from.
        problems: where pairs that cannot be used are noted: a file that is not there, a pair that is listed twice.

    Raises:
        UserError: not a list of pairs, or no usable pair in it.
    """
    there, numbers = Listing(base), dict[bytes, int]()
    seen: dict[frozenset[bytes], str] = {}
    rows: list[tuple[int, int, bool, int]] = []
    for pair in _rows(table, there, problems):
        paths = tuple(os.fsencode(name) for name in pair.names)
        missing = [name for name, path in zip(pair.names, paths, strict=True) if path not in there]
        first = seen.setdefault(frozenset(paths), pair.where)
        if missing:
            problems.append(Problem(pair.where, f"no file {' and '.join(missing)}", "mend the path or remove the pair"))
        elif first != pair.where:
            problems.append(Problem(pair.where, f"the pair stands in {first} already", "keep one of the rows"))
        else:
            a, b = (numbers.setdefault(path, len(numbers)) for path in paths)
            rows.append((a, b, pair.same, -1 if pair.fold is None else pair.fold))
    if not rows:
        why = f"; {problems[-1]}" if problems else ""
        raise UserError(
            f"{table}: no usable pair in it; it should be rows of path,path,0 or 1, or LFW's pairs.txt{why}"
        )
    return PairList(list(numbers), _pairs(rows))


def _pairs(rows: Sequence[tuple[int, int, bool, int]]) -> Pairs:
    first, second, same, fold = np.array(rows, dtype=np.int64).T
    alike = same.astype(bool)
    names, numbers = np.unique(fold, return_inverse=True)
    # Ten folds, or as many as there are: each threshold comes from the others. Without any, ten are drawn.
    return Pairs(first, second, alike, numbers if 2 <= len(names) <= FOLDS and names[0] >= 0 else folds(alike))


def _rows(table: Path, there: Listing, problems: list[Problem]) -> Iterator[PairRow]:
    lines = table.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
    head = lines[0].split() if lines else []
    if 1 <= len(head) <= 2 and all(cell.isdecimal() for cell in head):
        yield from _lfw_rows(table, lines, there, problems)
    else:
        yield from _table_rows(table, lines, problems)


def _lfw_rows(table: Path, lines: Sequence[str], there: Listing, problems: list[Problem]) -> Iterator[PairRow]:
    """``name 1 4`` shows one person, ``name 1 other 2`` two; a header ``10 300`` is folds and pairs of a sort."""
    head = [int(cell) for cell in lines[0].split()]
    each = 2 * head[1] if len(head) == 2 else None
    count = 0
    for number, line in enumerate(lines[1:], 2):
        cells, where = line.split("\t") if "\t" in line else line.split(), f"{table.name}:{number}"
        if not line.strip():
            continue
        if len(cells) not in (3, 4) or not (cells[1].isdecimal() and cells[-1].isdecimal()):
            problems.append(Problem(where, "neither `name 1 2` nor `name 1 other 2`", "mend or remove the row"))
            continue
        people = (cells[0], int(cells[1])), (cells[-2] if len(cells) == 4 else cells[0], int(cells[-1]))
        first, second = (lfw_path(name, image, there) for name, image in people)
        yield PairRow((first, second), len(cells) == 3, None if each is None else count // each, where)
        count += 1


def lfw_path(name: str, number: int, there: Listing) -> str:
    """``Name/Name_0001.jpg``, with the ending that the file has."""
    stem = f"{name}/{name}_{number:04d}"
    return next((stem + end for end in _SUFFIXES if os.fsencode(stem + end) in there), f"{stem}.jpg")


def _table_rows(table: Path, lines: Sequence[str], problems: list[Problem]) -> Iterator[PairRow]:
    delimiter = max(",;\t|", key=lines[0].count) if lines else ","
    reader = csv.reader(lines, delimiter=delimiter)
    for number, cells in enumerate(reader):
        where = f"{table.name}:{reader.line_num}"
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        images = all(has_image_suffix(cell) for cell in cells[:2])
        if number == 0 and not images:
            continue  # a header
        said = {**SAME, **DIFFERENT}.get(cells[2].lower()) if len(cells) > 2 else None
        if said is None or len(cells) > 4:
            problems.append(Problem(where, "not path,path,0 or 1 (and perhaps a fold)", "mend or remove the row"))
            continue
        fold = int(cells[3]) if len(cells) == 4 and cells[3].isdecimal() else None
        yield PairRow((cells[0], cells[1]), said, fold, where)


@final
class PairTable(DataFormat):
    """Reads rows of path, path and 1 (the same) or 0 (not), perhaps with a fold; or LFW's lists of pairs.

    Args:
        images: folder that paths start from; None takes the list's folder.
    """

    kinds: ClassVar[tuple[str, ...]] = ("identity",)
    expected: ClassVar[str] = "a list of pairs: a table with rows path,path,0 or 1, or LFW's pairs.txt"

    def __init__(self, *, images: str | None = None) -> None:
        self.images = images

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`; the images of the list are the test."""
        root = self.place(root)
        if not root.is_file():
            raise UserError(f"data.root={root}: is a folder; it should be {self.expected}")
        base = named_folder(self.images, root.parent) if self.images else root.parent
        splits = Splits()
        found = read_pairs(root, base, splits.problems)
        numbers = np.arange(len(found.paths))
        targets = IdentityTargets(np.full(len(numbers), UNKNOWN), numbers, found.pairs)
        splits.test = FileRecords(paths=found.paths, targets=targets, channels=channels, root=base)
        splits.notes.append(f"pairs: {len(found.pairs)} of {len(numbers)} images; who they show is not known")
        return splits
