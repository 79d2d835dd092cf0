"""CSV of attributes: a row a picture, with its path and a column an attribute."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mobilevision.data.formats.attribute_values import AttributeRows, chosen
from mobilevision.data.formats.table_file import as_text, cells
from mobilevision.data.formats.table_pictures import TablePictures
from mobilevision.data.formats.table_rows import SplitColumn, place
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError

FOLDER = "folder"  # instead of a column of groups: the folder in which a picture lies


class AttributeColumns(NamedTuple):
    """Which columns to read, each by header name or number from 0; None is to be found.

    Attributes:
        path: of the picture.
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
        channels: of a picture.

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
            rows = AttributeRows(names, TablePictures(base, map(os.fsencode, sample)), splits.problems, str(table))
        elif rows.names != tuple(names):
            raise UserError(f"{table}: its attributes are {_few(names)}, those of the first table {_few(rows.names)}")
        splits.whole &= not head.split.there
        for line, row in lines:
            _take(rows, row, head, split, f"{table.name}:{line}", splits.problems)
    assert rows is not None
    rows.into(splits, channels=channels, grouped=columns.group is not None)
    counted = ", ".join(f"{name} {len(records)} rows" for name, records in splits.items())
    splits.notes += rows.pictures.notes()
    splits.notes.append(f"CSV: {len(rows.names)} attributes, {counted}")
    return splits


def _head(row: list[str], columns: AttributeColumns, table: Path, notes: list[str]) -> _Head:
    names = [as_text(cell.strip()) for cell in row]
    path = place("path", columns.path, names, table)
    assert path is not None
    split = SplitColumn(table, names, columns.split, columns.fold, notes)
    group = None if columns.group in (None, FOLDER) else place("group", columns.group, names, table)
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
