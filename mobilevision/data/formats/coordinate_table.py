"""CSV of places: a row a picture, with its path, its latitude and its longitude."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mobilevision.data.formats.coordinate_rows import CoordinateRows
from mobilevision.data.formats.table_file import cells
from mobilevision.data.formats.table_pictures import TablePictures
from mobilevision.data.formats.table_rows import SplitColumn, place
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError
from mobilevision.geo import columns as usual
from mobilevision.ops.picture_files import PICTURE_SUFFIXES

Column = str | int | None
FOLDER = "folder"  # instead of a column of groups: the folder in which a picture lies


class CoordinateColumns(NamedTuple):
    """Which columns to read, each by header name or number from 0; None is to be found.

    Attributes:
        path: of the picture.
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
        channels: of a picture.

    Raises:
        UserError: an empty table, a column that is missing, or latitudes and longitudes that were swapped.
    """
    splits = Splits(whole=len(tables) == 1)
    rows: CoordinateRows | None = None
    for split, table in tables.items():
        lines = cells(table)
        number, first = next(lines)
        named = not any(os.fsencode(cell).lower().endswith(PICTURE_SUFFIXES) for cell in first)
        head = _head(first, columns, table, splits.notes, named=named)
        splits.whole &= not head.split.there
        if rows is None:
            sample = (row[head.path].strip() for _, row in cells(table) if head.path < len(row))
            if named:
                next(sample)
            source = ", ".join(str(each) for each in tables.values())
            rows = CoordinateRows(TablePictures(base, map(os.fsencode, sample)), splits.problems, source)
        if not named:
            _take(rows, first, head, split, f"{table.name}:{number}", splits.problems)
        for line, row in lines:
            _take(rows, row, head, split, f"{table.name}:{line}", splits.problems)
    assert rows is not None
    rows.into(splits, channels=channels, grouped=columns.group is not None)
    splits.notes += rows.pictures.notes()
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
    at = place("path", columns.path, row, table)
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
    group = None if columns.group in (None, FOLDER) else place("group", columns.group, row, table)
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
