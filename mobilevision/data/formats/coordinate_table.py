"""CSV of places: a row a picture, with its path, its latitude and its longitude."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mobilevision.data.formats.coordinate_rows import CoordinateRows
from mobilevision.data.formats.table_rows import ALIASES, place
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
    """

    path: Column = None
    latitude: Column = None
    longitude: Column = None
    split: Column = None
    group: Column = None


class _Head(NamedTuple):
    """How many columns a table has, and their numbers."""

    width: int
    path: int
    latitude: int
    longitude: int
    split: int | None
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
    rows = CoordinateRows(base, splits.problems, ", ".join(str(table) for table in tables.values()))
    for split, table in tables.items():
        with open(table, newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
            first = stream.readline()
            if not first.strip():
                raise UserError(f"{table}: the table is empty")
            stream.seek(0)
            reader = csv.reader(stream, delimiter=max(",;\t|", key=first.count))
            cells = next(reader)
            named = not any(os.fsencode(cell).lower().endswith(PICTURE_SUFFIXES) for cell in cells)
            head = _head(cells, columns, table, named=named)
            splits.whole &= head.split is None
            if not named:
                _take(rows, cells, head, split, f"{table.name}:1", splits.problems)
            for cells in reader:
                if any(cells):
                    _take(rows, cells, head, split, f"{table.name}:{reader.line_num}", splits.problems)
    rows.into(splits, channels=channels, grouped=columns.group is not None)
    splits.notes.append(
        "CSV of places: " + ", ".join(f"{name} {len(records)} rows" for name, records in splits.items())
    )
    return splits


def _head(cells: list[str], columns: CoordinateColumns, table: Path, *, named: bool) -> _Head:
    if not named:
        given = [at if asked is None else asked for at, asked in enumerate(columns[:3])]
        numbers = [at for at in given if isinstance(at, int) and at < len(cells)]
        if len(numbers) < 3:
            raise UserError(
                f"{table}: without a header its columns should be path,latitude,longitude, or name them by number with"
                " data.format.path, data.format.latitude and data.format.longitude"
            )
        path, north, east = numbers
        return _Head(len(cells), path, north, east, _number(columns.split), _number(columns.group))
    at = place("path", columns.path, cells, table)
    found_north, found_east = usual.find(cells, latitude=columns.latitude, longitude=columns.longitude)
    for name, found, asked in (
        ("latitude", found_north, columns.latitude),
        ("longitude", found_east, columns.longitude),
    ):
        if found is None:
            raise UserError(
                f"{table}: no column for the {name}{'' if asked is None else f' named {asked}'}; it has"
                f" {', '.join(cells)}: name one with data.format.{name}=COLUMN (or its number, from 0)"
            )
    assert at is not None
    assert found_north is not None
    assert found_east is not None
    split = place("split", columns.split, cells, table)
    group = None if columns.group in (None, FOLDER) else place("group", columns.group, cells, table)
    return _Head(len(cells), at, found_north, found_east, split, group)


def _number(column: Column) -> int | None:
    return column if isinstance(column, int) else None


def _take(
    rows: CoordinateRows, cells: list[str], head: _Head, default: str, where: str, problems: list[Problem]
) -> None:
    if len(cells) != head.width:
        fix = "complete the row or remove it"
        if len(cells) == head.width + 2:
            fix = "decimal commas? write 48.85"
        problems.append(Problem(where, f"{len(cells)} cells, the first row has {head.width}", fix))
        return
    path = cells[head.path].strip()
    if not path:
        problems.append(Problem(where, "the path is missing", "complete the row or remove it"))
        return
    said = cells[head.split].strip() if head.split is not None else ""
    split = ALIASES.get(said.lower()) if head.split is not None else default
    if split is None:
        problems.append(Problem(where, f"unknown split {said!r}", "write train, val or test"))
        return
    group = os.path.dirname(path) if head.group is None else cells[head.group].strip()
    rows.add(split, os.fsencode(path), cells[head.latitude], cells[head.longitude], where, group)
