"""CSV of attributes: a row a picture, with its path and a column an attribute."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mobilevision.data.formats.attribute_values import AttributeRows, chosen
from mobilevision.data.formats.table_rows import ALIASES, place
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
    """

    path: str | int | None = None
    split: str | int | None = None
    group: str | int | None = None
    attributes: Sequence[str] | None = None


class _Head(NamedTuple):
    """The header of a table, and the numbers of its columns."""

    names: list[str]
    path: int
    split: int | None
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
        with open(table, newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
            first = stream.readline()
            if not first.strip():
                raise UserError(f"{table}: the table is empty")
            stream.seek(0)
            reader = csv.reader(stream, delimiter=max(",;\t|", key=first.count))
            head = _head(next(reader), columns, table)
            names = [head.names[at] for at in head.attributes]
            if rows is None:
                rows = AttributeRows(names, base, splits.problems, str(table))
            elif rows.names != tuple(names):
                raise UserError(
                    f"{table}: its attributes are {_few(names)}, those of the first table {_few(rows.names)}"
                )
            splits.whole &= head.split is None
            for cells in reader:
                if any(cells):
                    _take(rows, cells, head, split, f"{table.name}:{reader.line_num}", splits.problems)
    assert rows is not None
    rows.into(splits, channels=channels, grouped=columns.group is not None)
    counted = ", ".join(f"{name} {len(records)} rows" for name, records in splits.items())
    splits.notes.append(f"CSV: {len(rows.names)} attributes, {counted}")
    return splits


def _head(cells: list[str], columns: AttributeColumns, table: Path) -> _Head:
    names = [cell.strip() for cell in cells]
    path = place("path", columns.path, names, table)
    assert path is not None
    split = place("split", columns.split, names, table)
    group = None if columns.group in (None, FOLDER) else place("group", columns.group, names, table)
    others = [at for at in range(len(names)) if at not in (path, split, group)]
    if not others:
        raise UserError(f"{table}: no columns besides the path; an attribute should have one each")
    picked = chosen([names[at] for at in others], columns.attributes, str(table))
    return _Head(names, path, split, group, [others[at] for at in picked])


def _take(
    rows: AttributeRows, cells: list[str], head: _Head, default: str, where: str, problems: list[Problem]
) -> None:
    if len(cells) != len(head.names):
        what = f"{len(cells)} cells, the header has {len(head.names)}"
        problems.append(Problem(where, what, "complete the row or remove it"))
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
    rows.add(split, os.fsencode(path), [cells[at] for at in head.attributes], where, group)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" ... ({len(names)})" if len(names) > 6 else "")
