"""The lists that come with CelebA, as published (text, a count and a head first) or as CSV."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mobilevision.data.records import Problem
from mobilevision.errors import UserError
from mobilevision.ops.picture_files import PICTURE_SUFFIXES

_PATHS = ("image_id", "image", "path", "file", "filename")  # some heads name the column of the pictures, some do not


class Line(NamedTuple):
    """A row of a list: the picture, its values as written, and ``file:line``."""

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
    headed = bool(first) and not _is_picture(first[0])
    if not headed and columns is None:
        raise UserError(f"{table}:{number}: here the names of the columns should stand, not {' '.join(first)[:60]!r}")
    names = first[1:] if headed and (table.suffix == ".csv" or first[0] in _PATHS) else first if headed else []
    width = len(names) if columns is None else columns
    start = [] if headed else [(number, first)]
    return Listed(names, _rows([*start], lines, table.name, width, count, problems))


def _rows(
    start: Sequence[tuple[int, list[str]]],
    lines: Iterator[tuple[int, list[str]]],
    name: str,
    width: int,
    count: int | None,
    problems: list[Problem],
) -> Iterator[Line]:
    found = 0
    for source in (start, lines):
        for number, cells in source:
            where, found = f"{name}:{number}", found + 1
            path, values = " ".join(cells[: len(cells) - width]), cells[len(cells) - width :]
            if len(cells) <= width or not _is_picture(path):
                got = next((len(cells) - 1 - at for at, cell in enumerate(cells) if _is_picture(cell)), len(cells))
                problems.append(Problem(where, f"{got} values for {width} columns", "complete the row or remove it"))
            else:
                yield Line(os.fsencode(path), values, where)
    if count is not None and count != found:
        what = f"the first line promises {count} pictures, {found} rows follow"
        problems.append(Problem(f"{name}:1", what, "take the whole list, or correct the number"))


def _numbered(table: Path) -> Iterator[tuple[int, list[str]]]:
    """(number from 1, cells) of every line that is not blank."""
    comma = table.suffix == ".csv"
    with open(table, encoding="utf-8-sig", errors="surrogateescape") as stream:
        for number, line in enumerate(stream, start=1):
            cells = [cell.strip() for cell in line.split(",")] if comma else line.split()
            if any(cells):
                yield number, cells


def _is_picture(cell: str) -> bool:
    return os.fsencode(cell).lower().endswith(PICTURE_SUFFIXES)
