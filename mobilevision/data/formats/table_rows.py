"""The rows of a table: which column is which, and what is wrong with a row."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mobilevision.data.formats.scan import SPLIT_FOLDERS
from mobilevision.data.records import Problem
from mobilevision.errors import UserError
from mobilevision.ops.picture_files import PICTURE_SUFFIXES

USUAL = {
    "path": (
        "path",
        "file",
        "filename",
        "file_name",
        "filepath",
        "image",
        "image_path",
        "image_id",
        "img_id",
        "img",
        "name",
    ),
    "label": (
        "label",
        "labels",
        "class",
        "class_name",
        "category",
        "target",
        "species",
        "breed",
        "y",
        "identity",
        "person",
        "subject",
    ),
    "split": ("split", "subset", "partition", "set", "fold"),
    "group": (),
}
ALIASES = {alias: split for split, aliases in SPLIT_FOLDERS.items() for alias in aliases}


class Columns(NamedTuple):
    """The columns wanted, each by header name or by number from 0; None is to be found."""

    path: str | int | None
    label: str | int | None
    split: str | int | None


class Row(NamedTuple):
    """One row; ``where`` is ``file:line``, ``split`` is empty where the table has no such column."""

    path: bytes
    label: str
    split: str
    where: str


def rows(table: Path, wanted: Columns, problems: list[Problem]) -> Iterator[Row]:
    """The rows of a table.

    Args:
        table: the file; comma, semicolon, tab or bar between columns, with or without a header.
        wanted: which columns to read.
        problems: where rows that cannot be read are noted.

    Raises:
        UserError: a column that the table has not, or an empty table.
    """
    # Names of files need not be UTF-8: bytes that are not come through as they are.
    with open(table, newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
        first = stream.readline()
        if not first.strip():
            raise UserError(f"{table}: the table is empty")
        stream.seek(0)
        reader = csv.reader(stream, delimiter=max(",;\t|", key=first.count))
        head = next(reader)
        header = not any(os.fsencode(cell).lower().endswith(PICTURE_SUFFIXES) for cell in head)
        places = [place(key, column, head if header else [], table) for key, column in wanted._asdict().items()]
        width = max(place for place in places if place is not None) + 1
        if not header:
            stream.seek(0)
            reader = csv.reader(stream, delimiter=reader.dialect.delimiter)
        for cells in reader:
            where = f"{table.name}:{reader.line_num}"
            if not any(cells):
                continue
            if len(cells) < width or not cells[places[0] or 0].strip() or not cells[places[1] or 0].strip():
                problems.append(Problem(where, "path or label is missing", "complete the row or remove it"))
                continue
            path, label, split = ("" if place is None else cells[place].strip() for place in places)
            yield Row(os.fsencode(path), label, split, where)


def place(key: str, column: str | int | None, head: Sequence[str], table: Path) -> int | None:
    """Number of a column, or None for a split column that there need not be.

    Args:
        key: what the column holds, a key of ``USUAL``.
        column: its name or number; None looks for the usual names.
        head: the table's header, empty where it has none.
        table: the file.

    Raises:
        UserError: no such column.
    """
    if isinstance(column, int):
        return column
    names = [cell.strip().lower() for cell in head]
    for name in USUAL[key] if column is None else (column.lower(),):
        if name in names:
            return names.index(name)
    if column is None and key in ("split", "group"):
        return None
    if column is None and (not head or len(head) == 2):
        return ("path", "label").index(key)
    raise UserError(
        f"{table}: no column for the {key}{f' named {column}' if column else ''}; it has"
        f" {', '.join(head) or 'no header'}: name one with data.format.{key}=COLUMN (or its number, from 0)"
    )
