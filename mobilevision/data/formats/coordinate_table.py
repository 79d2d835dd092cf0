"""CSV of places: a row an image, with its path, its latitude and its longitude."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, final

import numpy as np

from mobilevision.data.coordinates import CoordinateTargets
from mobilevision.data.files import FileRecords
from mobilevision.data.formats.table_images import TableImages
from mobilevision.data.formats.table_rows import SplitColumn, column_index
from mobilevision.data.formats.text import cells
from mobilevision.data.records import Problem, Records, Splits
from mobilevision.errors import UserError
from mobilevision.geo import columns as usual
from mobilevision.geo.coordinates import check, numbers, wrapped
from mobilevision.images.files import IMAGE_SUFFIXES

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
@dataclass
class CoordinateRows:
    """Collects rows, then checks all their coordinates at once.

    Attributes:
        images: where the files are.
        problems: where rows that cannot be used are noted.
        source: what errors call the table.
    """

    images: TableImages
    problems: list[Problem]
    source: str
    _rows: list[_Row] = field(default_factory=list)
    _seen: dict[bytes, str] = field(default_factory=dict)

    def add(self, split: str, path: bytes, latitude: str, longitude: str, where: str, group: str = "") -> None:
        """Take a row, or note why not.

        Args:
            split: train, val or test.
            path: of the image.
            latitude: as written.
            longitude: likewise.
            where: ``file:line``.
            group: whom or what the image belongs to, so that it is not torn apart; empty for nothing special.
        """
        given, path = path, self.images.find(path, split) or b""
        if not path:
            self.problems.append(Problem(where, self.images.missing(given), "mend the path or remove the row"))
        elif path in self._seen:
            what = f"{os.fsdecode(path)} stands in {self._seen[path]} already"
            self.problems.append(Problem(where, what, "keep one of the rows"))
        else:
            self._seen[path] = where
            self._rows.append(_Row(split, path, latitude, longitude, where, group))

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
        told = {trouble.place: trouble for trouble in found.troubles()}
        told |= {trouble.place: trouble for trouble in [*worse, *bad]}  # not a number says more than absent
        for place in sorted(told):
            self.problems.append(Problem(self._rows[place].where, told[place].what, told[place].fix))
        places = np.stack([latitude, wrapped(longitude)], axis=1)
        of = np.array([row.split for row in self._rows])
        number: dict[str, int] = {}
        for split in dict.fromkeys(of.tolist()):
            here = np.flatnonzero((of == split) & found.usable)
            paths = [self._rows[row].path for row in here]
            targets = CoordinateTargets(places[here])
            records: Records = FileRecords(paths=paths, targets=targets, channels=channels, root=self.images.base)
            if grouped:
                groups = (self._rows[row].group or os.fsdecode(self._rows[row].path) for row in here)
                numbered = (number.setdefault(group, len(number)) for group in groups)
                records.groups = np.fromiter(numbered, dtype=np.int64, count=len(here))
            setattr(splits, split, records)


Column = str | int | None
FOLDER = "folder"  # instead of a column of groups: the folder in which an image lies


class CoordinateColumns(NamedTuple):
    """Which columns to read, each by header name or number from 0; None is to be found.

    Attributes:
        path: of the image.
        latitude: degrees north.
        longitude: degrees east.
        split: train, val or test.
        group: what must not be torn apart when a split is cut off, such as an author; ``folder`` for the path's.
        fold: number of the fold that is val, where ``split`` holds folds; None takes the lowest.
    """

    path: Column = None
    latitude: Column = None
    longitude: Column = None
    split: Column = None
    group: Column = None
    fold: int | None = None


class _Head(NamedTuple):
    """How many columns a table has, and their numbers."""

    width: int
    path: int
    latitude: int
    longitude: int
    split: SplitColumn
    group: int | None


def read_coordinates(tables: Mapping[str, Path], columns: CoordinateColumns, *, base: Path, channels: int) -> Splits:
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
    rows: CoordinateRows | None = None
    for split, table in tables.items():
        lines = cells(table)
        number, first = next(lines)
        named = not any(os.fsencode(cell).lower().endswith(IMAGE_SUFFIXES) for cell in first)
        head = _head(first, columns, table, splits.notes, named=named)
        splits.whole &= not head.split.there
        if rows is None:
            sample = (row[head.path].strip() for _, row in cells(table) if head.path < len(row))
            if named:
                next(sample)
            source = ", ".join(str(each) for each in tables.values())
            rows = CoordinateRows(TableImages(base, map(os.fsencode, sample)), splits.problems, source)
        if not named:
            _take(rows, first, head, split, f"{table.name}:{number}", splits.problems)
        for line, row in lines:
            _take(rows, row, head, split, f"{table.name}:{line}", splits.problems)
    assert rows is not None
    rows.into(splits, channels=channels, grouped=columns.group is not None)
    splits.notes += rows.images.notes()
    splits.notes.append(
        "CSV of places: " + ", ".join(f"{name} {len(records)} rows" for name, records in splits.items())
    )
    return splits


def _head(row: list[str], columns: CoordinateColumns, table: Path, notes: list[str], *, named: bool) -> _Head:
    if not named:
        given = [at if asked is None else asked for at, asked in enumerate(columns[:3])]
        numbers = [at for at in given if isinstance(at, int) and at < len(row)]
        if len(numbers) < 3:
            raise UserError(
                f"{table}: without a header its columns should be path,latitude,longitude, or name them by number with"
                " data.format.path, data.format.latitude and data.format.longitude"
            )
        path, north, east = numbers
        split = SplitColumn(table, [], _number(columns.split), columns.fold, notes)
        return _Head(len(row), path, north, east, split, _number(columns.group))
    at = column_index("path", columns.path, row, table)
    found_north, found_east = usual.find(row, latitude=columns.latitude, longitude=columns.longitude)
    for name, found, asked in (
        ("latitude", found_north, columns.latitude),
        ("longitude", found_east, columns.longitude),
    ):
        if found is None:
            raise UserError(
                f"{table}: no column for the {name}{'' if asked is None else f' named {asked}'}; it has"
                f" {', '.join(row)}: name one with data.format.{name}=COLUMN (or its number, from 0)"
            )
    assert at is not None
    assert found_north is not None
    assert found_east is not None
    split = SplitColumn(table, row, columns.split, columns.fold, notes)
    group = None if columns.group in (None, FOLDER) else column_index("group", columns.group, row, table)
    return _Head(len(row), at, found_north, found_east, split, group)


def _number(column: Column) -> int | None:
    return column if isinstance(column, int) else None


def _take(rows: CoordinateRows, row: list[str], head: _Head, default: str, where: str, problems: list[Problem]) -> None:
    if len(row) != head.width:
        fix = "complete the row or remove it"
        if len(row) == head.width + 2:
            fix = "decimal commas? write 48.85"
        problems.append(Problem(where, f"{len(row)} cells, the first row has {head.width}", fix))
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
    rows.add(split, os.fsencode(path), row[head.latitude], row[head.longitude], where, group)
