"""CSV of attributes: a row an image, with its path and a column an attribute."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.files import FileRecords
from mobilevision.data.formats.table_images import TableImages
from mobilevision.data.formats.table_rows import SplitColumn, column_index
from mobilevision.data.formats.text import as_text, cells
from mobilevision.data.records import Problem, Records, Splits
from mobilevision.errors import UserError

# Attributes as people write them: words, signs, probabilities, and nothing where nobody knows.

_NAN = float("nan")
_WORDS = {"true": 1.0, "yes": 1.0, "t": 1.0, "y": 1.0, "false": 0.0, "no": 0.0, "f": 0.0, "n": 0.0}
_WORDS |= dict.fromkeys(("", "nan", "na", "n/a", "none", "null", "?"), _NAN)
_USUAL = {"1": 1.0, "-1": -1.0, "0": 0.0, "": _NAN}  # asked first: a hundred million cells are read in minutes
_ALLOWED = "write 0 or 1, -1 or 1, true or false, a probability, or nothing where nobody knows"


def value(cell: str) -> float | None:
    """A cell as a number from 0 to 1, -1.0 for ``-1``, NaN where it is missing; None where it is none of these."""
    word = cell.strip().lower()
    if word in _WORDS:
        return _WORDS[word]
    try:
        number = float(word)
    except ValueError:
        return None
    return number if 0 <= number <= 1 or number == -1 else None


def chosen(names: Sequence[str], wanted: Sequence[str] | None, where: str) -> list[int]:
    """Places of the attributes ``wanted``, in that order; of all of them for None.

    Raises:
        UserError: a name that is not there, or one twice.
    """
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{where}: the column {twice[0]!r} stands there twice; give each attribute its own name")
    if wanted is None:
        return list(range(len(names)))
    if missing := [name for name in wanted if name not in names]:
        has = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        raise UserError(f"data.format.attributes: {where} has no attribute {missing[0]!r}; it has {has}")
    return [names.index(name) for name in dict.fromkeys(wanted)]


@dataclass
class _Part:
    """The rows of one split."""

    paths: list[bytes] = field(default_factory=list)
    groups: list[bytes] = field(default_factory=list)
    values: array[float] = field(default_factory=lambda: array("f"))


@final
class AttributeRows:
    """Rows of attribute values on their way to becoming splits; what is wrong with a row becomes a problem.

    Args:
        names: the attributes.
        images: where the files are.
        problems: where rows that cannot be used are noted.
        source: what errors call the table.
    """

    def __init__(self, names: Sequence[str], images: TableImages, problems: list[Problem], source: str) -> None:
        self.names, self.images, self._problems, self._source = tuple(names), images, problems, source
        self._parts: dict[str, _Part] = {}
        self._seen: dict[bytes, str] = {}
        self._words: dict[int, list[str]] = {}
        self._rows = 0

    def add(self, split: str, path: bytes, cells: Sequence[str], where: str, group: str = "") -> None:
        """Take a row, or note why not.

        Args:
            split: train, val or test.
            path: of the image.
            cells: a value an attribute, as written.
            where: ``file:line``.
            group: whom or what the image shows, so that it is not torn apart; empty for nothing special.
        """
        self._rows += 1
        numbers = [_USUAL[cell] if cell in _USUAL else value(cell) for cell in cells]
        given, path = path, self.images.find(path, split) or b""
        if not path:
            self._note(where, self.images.missing(given), "mend the path or remove the row")
        elif path in self._seen:
            self._note(where, f"{os.fsdecode(path)} stands in {self._seen[path]} already", "keep one of the rows")
        elif None in numbers:
            at = numbers.index(None)
            self._words.setdefault(at, []).append(cells[at])
            self._note(where, f"{self.names[at]} is {cells[at].strip()!r}", _ALLOWED)
        else:
            part = self._parts.setdefault(split, _Part())
            part.paths.append(path)
            part.groups.append(os.fsencode(group) or path)
            part.values.extend(number for number in numbers if number is not None)
            self._seen[path] = where

    def into(self, splits: Splits, *, channels: int, grouped: bool) -> None:
        """Give the splits their records and classes.

        Args:
            splits: changed in place.
            channels: of an image.
            grouped: whether the groups say anything.

        Raises:
            UserError: a column that holds no attribute, or one in which signs and other numbers are mixed.
        """
        for at, words in self._words.items():
            if len(words) == self._rows:
                raise UserError(
                    f"{self._source}: the column {self.names[at]!r} holds no attribute but words such as"
                    f" {words[0].strip()!r}; name the attributes with data.format.attributes=[...]"
                )
        tables = {name: self._table(part) for name, part in self._parts.items()}
        self._check_signs(tables.values())
        number: dict[bytes, int] = {}
        for name, part in self._parts.items():
            targets = np.where(tables[name] == -1, np.float32(0), tables[name])
            records: Records = FileRecords(paths=part.paths, targets=targets, channels=channels, root=self.images.base)
            if grouped:
                numbers = (number.setdefault(group, len(number)) for group in part.groups)
                records.groups = np.fromiter(numbers, dtype=np.int64, count=len(part.groups))
            setattr(splits, name, records)
        splits.classes = self.names

    def paths(self, split: str) -> list[bytes]:
        """The paths of a split in the order of its records."""
        return self._parts[split].paths if split in self._parts else []

    def _table(self, part: _Part) -> NDArray[np.float32]:
        return np.frombuffer(part.values, dtype=np.float32).reshape(-1, len(self.names))

    def _check_signs(self, tables: Iterable[NDArray[np.float32]]) -> None:
        signed = np.zeros(len(self.names), dtype=bool)
        other = np.zeros(len(self.names), dtype=bool)
        for table in tables:
            signed |= (table == -1).any(axis=0)
            other |= ((table >= 0) & (table < 1)).any(axis=0)
        if (signed & other).any():
            name = self.names[int(np.flatnonzero(signed & other)[0])]
            raise UserError(
                f"{self._source}: {name!r} holds -1 as well as values from 0 up: write no as -1 or as 0, not as both,"
                " and nothing where nobody knows"
            )

    def _note(self, where: str, what: str, fix: str) -> None:
        self._problems.append(Problem(where, what, fix))


FOLDER = "folder"  # instead of a column of groups: the folder in which an image lies


class AttributeColumns(NamedTuple):
    """Which columns to read, each by header name or number from 0; None is to be found.

    Attributes:
        path: of the image.
        split: train, val or test.
        group: what must not be torn apart when a split is cut off, such as a person; ``folder`` for the path's.
        attributes: what to learn, by header name; None takes all other columns.
        fold: number of the fold that is val, where ``split`` holds folds; None takes the lowest.
    """

    path: str | int | None = None
    split: str | int | None = None
    group: str | int | None = None
    attributes: Sequence[str] | None = None
    fold: int | None = None


class _Head(NamedTuple):
    """The header of a table, and the numbers of its columns."""

    names: list[str]
    path: int
    split: SplitColumn
    group: int | None
    attributes: list[int]


def read_attributes(tables: Mapping[str, Path], columns: AttributeColumns, *, base: Path, channels: int) -> Splits:
    """Read tables of attributes.

    Args:
        tables: split -> its table; of one table with a split column the key says nothing.
        columns: which columns to read.
        base: folder that relative paths start from.
        channels: of an image.

    Raises:
        UserError: an empty table, none with a header, a column that is missing, or tables with different attributes.
    """
    splits = Splits(whole=len(tables) == 1)
    rows: AttributeRows | None = None
    for split, table in tables.items():
        lines = cells(table)
        head = _head(next(lines)[1], columns, table, splits.notes)
        names = [head.names[at] for at in head.attributes]
        if rows is None:
            sample = (row[head.path].strip() for _, row in cells(table) if head.path < len(row))
            next(sample)
            rows = AttributeRows(names, TableImages(base, map(os.fsencode, sample)), splits.problems, str(table))
        elif rows.names != tuple(names):
            raise UserError(f"{table}: its attributes are {_few(names)}, those of the first table {_few(rows.names)}")
        splits.whole &= not head.split.there
        for line, row in lines:
            _take(rows, row, head, split, f"{table.name}:{line}", splits.problems)
    assert rows is not None
    rows.into(splits, channels=channels, grouped=columns.group is not None)
    counted = ", ".join(f"{name} {len(records)} rows" for name, records in splits.items())
    splits.notes += rows.images.notes()
    splits.notes.append(f"CSV: {len(rows.names)} attributes, {counted}")
    return splits


def _head(row: list[str], columns: AttributeColumns, table: Path, notes: list[str]) -> _Head:
    names = [as_text(cell.strip()) for cell in row]
    path = column_index("path", columns.path, names, table)
    assert path is not None
    split = SplitColumn(table, names, columns.split, columns.fold, notes)
    group = None if columns.group in (None, FOLDER) else column_index("group", columns.group, names, table)
    others = [at for at in range(len(names)) if at not in {path, group, *split.columns}]
    if not others:
        raise UserError(f"{table}: no columns besides the path; an attribute should have one each")
    picked = chosen([names[at] for at in others], columns.attributes, str(table))
    return _Head(names, path, split, group, [others[at] for at in picked])


def _take(rows: AttributeRows, row: list[str], head: _Head, default: str, where: str, problems: list[Problem]) -> None:
    if len(row) != len(head.names):
        what = f"{len(row)} cells, the header has {len(head.names)}"
        problems.append(Problem(where, what, "complete the row or remove it"))
        return
    path = row[head.path].strip()
    if not path:
        problems.append(Problem(where, "the path is missing", "complete the row or remove it"))
        return
    split = head.split.of(row, default)
    if split is None:
        problems.append(head.split.problem(row, where))
        return
    group = os.path.dirname(path) if head.group is None else row[head.group].strip()
    rows.add(split, os.fsencode(path), [row[at] for at in head.attributes], where, group)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" ... ({len(names)})" if len(names) > 6 else "")
