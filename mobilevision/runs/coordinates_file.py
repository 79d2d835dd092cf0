"""Reading a table of coordinates: two columns of degrees, with what is wrong in them named by line and counted."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.errors import UserError
from mobilevision.geo import columns
from mobilevision.geo.coordinates import Trouble, check, numbers, wrapped

_CHUNK = 1 << 18  # rows turned into numbers at once
_SHOWN = 3


@final
class Coordinates(NamedTuple):
    """What a table gave.

    Attributes:
        latitude: float64 [N], degrees, of the usable rows.
        longitude: float64 [N], -180 to 180.
        names: of the two columns.
        notes: what was left out, and why, as lines.
    """

    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    names: tuple[str, str]
    notes: list[str]


@final
class _Bad(NamedTuple):
    """A row that cannot be used, and where it stands."""

    line: int
    trouble: Trouble


def read(file: Path, *, wanted: str | None = None, skip: bool = False) -> Coordinates:
    """Read a table with a latitude and a longitude a row.

    Rows without coordinates and those at exactly (0, 0) are counted and left out.

    Args:
        file: comma, semicolon, tab or bar between columns; without a header the first two columns are taken.
        wanted: ``"LATITUDE,LONGITUDE"``, the columns' names or numbers from 0; None finds them by their usual names.
        skip: leave out the rows that cannot be read as coordinates; False refuses the file.

    Raises:
        UserError: no such file or columns, columns that seem swapped, rows that cannot be used, or none that can.
    """
    if not file.is_file():
        raise UserError(f"--coordinates {file}: {'a folder, not a table' if file.is_dir() else 'no such file'}")
    with open(file, newline="", encoding="utf-8-sig", errors="replace") as stream:
        first = stream.readline()
        if not first.strip():
            raise UserError(f"{file}: the table is empty")
        stream.seek(0)
        reader = csv.reader(stream, delimiter=max(",;\t|", key=first.count))
        head = next(reader)
        header = columns.is_header(head)
        north, east = _columns(file, head, header, wanted)
        if not header:
            stream.seek(0)
            reader = csv.reader(stream, delimiter=reader.dialect.delimiter)
        places, lines, bad = _numbers(reader, north, east, len(head))
    names = (head[north].strip(), head[east].strip()) if header else (f"column {north}", f"column {east}")
    return _usable(file, places, lines, bad, names, skip)


def _columns(file: Path, head: list[str], header: bool, wanted: str | None) -> tuple[int, int]:
    """The two columns' numbers."""
    given: list[Any] = [None, None]
    if wanted is not None:
        parts = [part.strip() for part in wanted.split(",")]
        if len(parts) != 2 or not all(parts):
            raise UserError(f"--columns {wanted}: two columns, LATITUDE,LONGITUDE, by name or by number from 0")
        given = [int(part) if part.isdecimal() and part not in head else part for part in parts]
    if not header and wanted is None and len(head) > 1 and not any(map(columns.is_header, ([head[0]], [head[1]]))):
        return 0, 1
    found = columns.find(head if header else [str(i) for i in range(len(head))], latitude=given[0], longitude=given[1])
    for place, name, what in zip(found, given, ("latitude", "longitude"), strict=True):
        if place is None:
            has = ", ".join(head) if header else f"{len(head)} column(s) and no header"
            lacking = f"no column {name} for the {what}" if name is not None else f"no column for the {what}"
            raise UserError(f"{file}: {lacking}; it has {has}: name both with --columns LATITUDE,LONGITUDE")
    assert found[0] is not None
    assert found[1] is not None
    return found[0], found[1]


def _numbers(
    reader: Any, north: int, east: int, width: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], list[_Bad]]:
    """All rows as degrees [2, N], the line of each, and those that hold text."""
    parts, lines, bad = [np.zeros((2, 0))], [np.zeros(0, dtype=np.int64)], []
    for rows, where in _chunks(reader):
        whole = [len(row) == width for row in rows]
        pairs = []
        for column in (north, east):
            values, troubles = numbers([row[column] if column < len(row) else "" for row in rows])
            pairs.append(values)
            bad += [_Bad(where[each.place], each) for each in troubles if whole[each.place]]
        for place in (index for index, fits in enumerate(whole) if not fits):
            what = f"{len(rows[place])} cells where the first row has {width}"
            fix = "a decimal comma? write points, or put the numbers in quotation marks"
            bad.append(_Bad(where[place], Trouble(place, what, fix)))
        parts.append(np.stack(pairs))
        lines.append(np.array(where, dtype=np.int64))
    return np.concatenate(parts, axis=1), np.concatenate(lines), bad


def _chunks(reader: Any) -> Iterator[tuple[list[list[str]], list[int]]]:
    """Rows with their lines, without blank lines."""
    numbered = ((row, reader.line_num) for row in reader if len(row) > 1 or any(map(str.strip, row)))
    while chunk := list(islice(numbered, _CHUNK)):
        yield [row for row, _ in chunk], [line for _, line in chunk]


def _usable(
    file: Path,
    places: NDArray[np.float64],
    lines: NDArray[np.int64],
    bad: list[_Bad],
    names: tuple[str, str],
    skip: bool,
) -> Coordinates:
    """The rows to go on with; what is left out is refused, or told in the notes."""
    places[:, np.isin(lines, [each.line for each in bad])] = np.nan
    found = check(*places)
    if found.swapped:
        fix = f"--columns {names[1]},{names[0]}" if not names[0].startswith("column ") else "--columns 1,0"
        raise UserError(f"{file}: {found.swapped}; {fix} reads them so")
    absent = len(found.absent) - len({each.line for each in bad})
    beyond = set(found.beyond.tolist())
    bad += [_Bad(int(lines[each.place]), each) for each in found.troubles() if each.place in beyond]
    if bad and not skip:
        raise UserError(_refusal(file, bad))
    if not found.usable.any():
        raise UserError(f"{file}: none of its {len(lines):,} rows has coordinates")
    wrong = len({each.line for each in bad})
    counts = ((absent, "without coordinates"), (len(found.origin), "at 0, 0 (no GPS)"), (wrong, "that cannot be used"))
    notes = [f"left out: {count:,} row{'s' * (count > 1)} {what}" for count, what in counts if count]
    latitude, longitude = places[:, found.usable]
    return Coordinates(latitude, wrapped(longitude), names, notes)


def _refusal(file: Path, bad: list[_Bad]) -> str:
    bad = sorted(bad, key=lambda each: each.line)
    text = [f"{file}: {len({each.line for each in bad}):,} row(s) cannot be used"]
    text += [f"  {file.name}:{line}: {trouble.what}: {trouble.fix}" for line, trouble in bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        text.append(f"  ... and {len(bad) - _SHOWN:,} more")
    return "\n".join([*text, "Mend them, or leave them out with --on-error skip"])
