"""CSV of values: a row an image, with its path and a column an attribute, or the place where it was taken."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.coordinates import CoordinateTargets
from mobilevision.data.files import FileRecords
from mobilevision.data.formats.table_images import TableImages
from mobilevision.data.formats.table_rows import Column, Columns, SplitColumn, column_index
from mobilevision.data.formats.text import as_text, cells, decoded_names, filled
from mobilevision.data.records import Problem, Records, Splits
from mobilevision.errors import UserError
from mobilevision.geo.coordinates import check, find_columns, numbers, wrapped
from mobilevision.images.files import has_image_suffix

FOLDER = "folder"  # instead of a column of groups: the folder in which an image lies


class Head(NamedTuple):
    """The columns of one table.

    Attributes:
        width: number of columns.
        path: column of the image's path.
        split: of the split.
        group: column of the group; None for the folder that the image lies in.
        values: columns of what is learnt.
        header: whether the first row holds names.
    """

    width: int
    path: int
    split: SplitColumn
    group: int | None
    values: list[int]
    header: bool


class ImageRows(ABC):
    """Rows of images on their way to becoming splits; what is wrong with one becomes a problem.

    Args:
        images: where the files are.
        problems: where rows that cannot be used are noted.
        source: what errors call the table.
    """

    def __init__(self, images: TableImages, problems: list[Problem], source: str) -> None:
        self.images, self.source = images, source
        self._problems = problems
        self._seen: dict[bytes, str] = {}
        self._groups: dict[bytes, int] = {}

    @abstractmethod
    def add(self, split: str, path: bytes, cells: Sequence[str], where: str, group: str = "") -> None:
        """Take a row, or note why not.

        Args:
            split: train, val or test.
            path: of the image.
            cells: its values, as written.
            where: ``file:line``.
            group: whom or what the image shows, so that it is not torn apart; empty for nothing special.
        """

    def find(self, split: str, path: bytes, where: str) -> bytes | None:
        """The file of a row, relative to the base; None, and a problem, where it is missing or in an earlier row."""
        found = self.images.find(path, split)
        if not found:
            self._note(where, self.images.missing(path), "mend the path or remove the row")
        elif found in self._seen:
            self._note(where, f"{os.fsdecode(found)} stands in {self._seen[found]} already", "keep one of the rows")
        else:
            return found
        return None

    def wrong_width(self, cells: int, width: int) -> tuple[str, str]:
        """What is wrong with a row of another number of cells than the table has columns, and the fix."""
        return f"{cells} cells, the header has {width}", "complete the row or remove it"

    def _note(self, where: str, what: str, fix: str) -> None:
        self._problems.append(Problem(where, what, fix))

    def _number_groups(self, records: Records, groups: Iterable[bytes]) -> None:
        """Give records the number of each sample's group, the same in all splits."""
        numbers = (self._groups.setdefault(group, len(self._groups)) for group in groups)
        records.groups = np.fromiter(numbers, dtype=np.int64, count=len(records))


AnyRows = TypeVar("AnyRows", bound=ImageRows)


def group_column(column: Column, names: Sequence[str], table: Path) -> int | None:
    """The number of the column of groups; None where there is none, or where the image's folder is the group.

    Raises:
        UserError: no such column.
    """
    return None if column in (None, FOLDER) else column_index("group", column, names, table)


def read_tables(
    tables: Mapping[str, Path],
    splits: Splits,
    *,
    base: Path,
    head_of: Callable[[list[str], Path], Head],
    rows_of: Callable[[TableImages], AnyRows],
) -> AnyRows:
    """Read the rows of tables.

    Args:
        tables: split -> its table; of a table with a split column the key says nothing.
        splits: given problems and notes; ``whole`` is cleared where a table names splits.
        base: folder that relative paths start from.
        head_of: finds the columns by a table's first row.
        rows_of: makes what takes the rows, after the first table's head was read.

    Raises:
        UserError: a table that is empty or has not the columns.
    """
    taken: AnyRows | None = None
    for default, table in tables.items():
        lines = cells(table)
        number, first = next(lines)
        head = head_of(first, table)
        splits.whole &= not head.split.there
        if taken is None:
            sample = (row[head.path].strip() for _, row in cells(table) if head.path < len(row))
            taken = rows_of(TableImages(base, map(os.fsencode, islice(sample, int(head.header), None))))
        for line, row in lines if head.header else chain([(number, first)], lines):
            _take(taken, row, head, default, f"{table.name}:{line}", splits.problems)
    assert taken is not None
    return taken


def _take(rows: ImageRows, row: list[str], head: Head, default: str, where: str, problems: list[Problem]) -> None:
    if len(row) > head.width >= filled(row):
        row = row[: head.width]  # a separator at the end says nothing
    if len(row) != head.width:
        problems.append(Problem(where, *rows.wrong_width(len(row), head.width)))
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
    rows.add(split, os.fsencode(path), [row[at] for at in head.values], where, group)


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


def select_attributes(names: Sequence[str], wanted: Sequence[str] | None, where: str) -> list[int]:
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
class AttributeRows(ImageRows):
    """Collects rows of attribute values.

    Args:
        names: the attributes.
        images: see :class:`ImageRows`, as the next two.
        problems: likewise.
        source: likewise.
    """

    def __init__(self, names: Sequence[str], images: TableImages, problems: list[Problem], source: str) -> None:
        super().__init__(images, problems, source)
        self.names = tuple(names)
        self._parts: dict[str, _Part] = {}
        self._words: dict[int, list[str]] = {}
        self._rows = 0

    def add(self, split: str, path: bytes, cells: Sequence[str], where: str, group: str = "") -> None:
        """See :class:`ImageRows`; the cells are a value an attribute."""
        self._rows += 1
        numbers = [_USUAL[cell] if cell in _USUAL else value(cell) for cell in cells]
        found = self.find(split, path, where)
        if found is None:
            return
        if None in numbers:
            at = numbers.index(None)
            self._words.setdefault(at, []).append(cells[at])
            self._note(where, f"{self.names[at]} is {cells[at].strip()!r}", _ALLOWED)
        else:
            part = self._parts.setdefault(split, _Part())
            part.paths.append(found)
            part.groups.append(os.fsencode(group) or found)
            part.values.extend(number for number in numbers if number is not None)
            self._seen[found] = where

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
                    f"{self.source}: the column {self.names[at]!r} holds no attribute but words such as"
                    f" {words[0].strip()!r}; name the attributes with data.format.attributes=[...]"
                )
        tables = {name: self._table(part) for name, part in self._parts.items()}
        self._check_signs(tables.values())
        for name, part in self._parts.items():
            targets = np.where(tables[name] == -1, np.float32(0), tables[name])
            records: Records = FileRecords(paths=part.paths, targets=targets, channels=channels, root=self.images.base)
            if grouped:
                self._number_groups(records, part.groups)
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
                f"{self.source}: {name!r} holds -1 as well as values from 0 up: write no as -1 or as 0, not as both,"
                " and nothing where nobody knows"
            )


def read_attributes(tables: Mapping[str, Path], columns: Columns, *, base: Path, channels: int) -> Splits:
    """Read tables of attributes.

    Args:
        tables: split -> its table; of one table with a split column the key says nothing.
        columns: which columns to read.
        base: folder that relative paths start from.
        channels: of an image.

    Raises:
        UserError: an empty table, none with a header, a column that is missing, or tables with different attributes.
    """
    splits, names = Splits(whole=len(tables) == 1), list[str]()

    def head_of(first: list[str], table: Path) -> Head:
        head, found = _attribute_head(first, columns, table, splits.notes)
        if names and found != names:
            raise UserError(f"{table}: its attributes are {_few(found)}, those of the first table {_few(names)}")
        names[:] = found
        return head

    def rows_of(images: TableImages) -> AttributeRows:
        return AttributeRows(names, images, splits.problems, str(next(iter(tables.values()))))

    rows = read_tables(tables, splits, base=base, head_of=head_of, rows_of=rows_of)
    rows.into(splits, channels=channels, grouped=columns.group is not None)
    counted = ", ".join(f"{name} {len(records)} rows" for name, records in splits.items())
    splits.notes += rows.images.notes()
    splits.notes.append(f"CSV: {len(rows.names)} attributes, {counted}")
    return splits


def _attribute_head(row: list[str], columns: Columns, table: Path, notes: list[str]) -> tuple[Head, list[str]]:
    """The columns of a table, and the names of its attributes."""
    names = [as_text(cell.strip()) for cell in row]
    path = column_index("path", columns.path, names, table)
    assert path is not None
    split = SplitColumn(table, names, columns.split, columns.fold, notes)
    group = group_column(columns.group, names, table)
    others = [at for at in range(len(names)) if at not in {path, group, *split.columns}]
    if not others:
        raise UserError(f"{table}: no columns besides the path; an attribute should have one each")
    picked = [others[at] for at in select_attributes([names[at] for at in others], columns.attributes, str(table))]
    decoded_names({row[at].strip(): f"{table}:1" for at in picked}, notes)  # refuses those in an unknown encoding
    return Head(len(names), path, split, group, picked, header=True), [names[at] for at in picked]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" ... ({len(names)})" if len(names) > 6 else "")


# Places as people hand them over, on their way to becoming splits; what is wrong with one becomes a problem.


@final
class _Row(NamedTuple):
    """An image with its place as text."""

    split: str
    path: bytes
    latitude: str
    longitude: str
    where: str
    group: str


@final
class CoordinateRows(ImageRows):
    """Collects rows of latitude and longitude, then checks all their coordinates at once."""

    def __init__(self, images: TableImages, problems: list[Problem], source: str) -> None:
        super().__init__(images, problems, source)
        self._rows: list[_Row] = []

    def add(self, split: str, path: bytes, cells: Sequence[str], where: str, group: str = "") -> None:
        """See :class:`ImageRows`; the cells are latitude and longitude."""
        if found := self.find(split, path, where):
            self._seen[found] = where
            self._rows.append(_Row(split, found, cells[0], cells[1], where, group))

    def wrong_width(self, cells: int, width: int) -> tuple[str, str]:
        """See :class:`ImageRows`."""
        fix = "decimal commas? write 48.85" if cells == width + 2 else "complete the row or remove it"
        return f"{cells} cells, the first row has {width}", fix

    def into(self, splits: Splits, *, channels: int, grouped: bool = False) -> None:
        """Give the splits their records.

        Args:
            splits: changed in place.
            channels: of an image.
            grouped: whether the groups say anything.

        Raises:
            UserError: latitudes and longitudes stand in each other's column.
        """
        latitude, bad = numbers([row.latitude for row in self._rows])
        longitude, worse = numbers([row.longitude for row in self._rows])
        found = check(latitude, longitude)
        if found.swapped:
            raise UserError(
                f"{self.source}: {found.swapped}: swap data.format.latitude and data.format.longitude, or the columns"
            )
        told = {trouble.position: trouble for trouble in found.troubles()}
        told |= {trouble.position: trouble for trouble in [*worse, *bad]}  # not a number says more than absent
        for place in sorted(told):
            self._note(self._rows[place].where, told[place].what, told[place].fix)
        places = np.stack([latitude, wrapped(longitude)], axis=1)
        of = np.array([row.split for row in self._rows])
        for split in dict.fromkeys(of.tolist()):
            here = np.flatnonzero((of == split) & found.usable)
            paths = [self._rows[row].path for row in here]
            targets = CoordinateTargets(places[here])
            records: Records = FileRecords(paths=paths, targets=targets, channels=channels, root=self.images.base)
            if grouped:
                self._number_groups(
                    records, (os.fsencode(self._rows[row].group) or self._rows[row].path for row in here)
                )
            setattr(splits, split, records)


def read_coordinates(tables: Mapping[str, Path], columns: Columns, *, base: Path, channels: int) -> Splits:
    """Read tables of places.

    Args:
        tables: split -> its table; of one table with a split column the key says nothing.
        columns: which columns to read.
        base: folder that relative paths start from.
        channels: of an image.

    Raises:
        UserError: an empty table, a column that is missing, or latitudes and longitudes that were swapped.
    """
    splits = Splits(whole=len(tables) == 1)

    def rows_of(images: TableImages) -> CoordinateRows:
        return CoordinateRows(images, splits.problems, ", ".join(map(str, tables.values())))

    def head_of(first: list[str], table: Path) -> Head:
        return _place_head(first, columns, table, splits.notes)

    rows = read_tables(tables, splits, base=base, head_of=head_of, rows_of=rows_of)
    rows.into(splits, channels=channels, grouped=columns.group is not None)
    splits.notes += rows.images.notes()
    splits.notes.append(
        "CSV of places: " + ", ".join(f"{name} {len(records)} rows" for name, records in splits.items())
    )
    return splits


def _place_head(row: list[str], columns: Columns, table: Path, notes: list[str]) -> Head:
    if any(has_image_suffix(cell) for cell in row):
        wanted = (columns.path, columns.latitude, columns.longitude)
        given = [at if asked is None else asked for at, asked in enumerate(wanted)]
        numbers = [at for at in given if isinstance(at, int) and at < len(row)]
        if len(numbers) < 3:
            raise UserError(
                f"{table}: without a header its columns should be path,latitude,longitude, or name them by number with"
                " data.format.path, data.format.latitude and data.format.longitude"
            )
        split = SplitColumn(table, [], _at(columns.split), columns.fold, notes)
        return Head(len(row), numbers[0], split, _at(columns.group), numbers[1:], header=False)
    at = column_index("path", columns.path, row, table)
    found = find_columns(row, latitude=columns.latitude, longitude=columns.longitude)
    for name, index, asked in zip(("latitude", "longitude"), found, (columns.latitude, columns.longitude), strict=True):
        if index is None:
            raise UserError(
                f"{table}: no column for the {name}{'' if asked is None else f' named {asked}'}; it has"
                f" {', '.join(row)}: name one with data.format.{name}=COLUMN (or its number, from 0)"
            )
    assert at is not None
    split = SplitColumn(table, row, columns.split, columns.fold, notes)
    group = group_column(columns.group, row, table)
    return Head(len(row), at, split, group, [index for index in found if index is not None], header=True)


def _at(column: Column) -> int | None:
    return column if isinstance(column, int) else None
