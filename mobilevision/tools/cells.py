"""``mobilevision cells``: cut Earth into the cells that a model of places chooses among, and show what they allow."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from mobilevision.errors import UserError
from mobilevision.geo import s2
from mobilevision.geo.cells import Cells
from mobilevision.geo.coordinates import Trouble, check, find_columns, is_header, numbers, wrapped
from mobilevision.geo.distance import RADII
from mobilevision.geo.partition import FINEST, PLANET, adaptive, fixed, oracle, scaled
from mobilevision.io.atomic_files import write_text
from mobilevision.io.text_columns import print_lines
from mobilevision.visualization import coast

# Reading a table of coordinates: two columns of degrees, with what is wrong in them named by line and counted.

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
class _BadRow(NamedTuple):
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
        header = is_header(head)
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
    if not header and wanted is None and len(head) > 1 and not any(map(is_header, ([head[0]], [head[1]]))):
        return 0, 1
    found = find_columns(head if header else [str(i) for i in range(len(head))], latitude=given[0], longitude=given[1])
    for index, name, what in zip(found, given, ("latitude", "longitude"), strict=True):
        if index is None:
            has = ", ".join(head) if header else f"{len(head)} column(s) and no header"
            lacking = f"no column {name} for the {what}" if name is not None else f"no column for the {what}"
            raise UserError(f"{file}: {lacking}; it has {has}: name both with --columns LATITUDE,LONGITUDE")
    assert found[0] is not None
    assert found[1] is not None
    return found[0], found[1]


def _numbers(
    reader: Any, north: int, east: int, width: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], list[_BadRow]]:
    """All rows as degrees [2, N], the line of each, and those that hold text."""
    parts, lines, bad = [np.zeros((2, 0))], [np.zeros(0, dtype=np.int64)], []
    for rows, where in _chunks(reader):
        whole = [len(row) == width for row in rows]
        pairs = []
        for column in (north, east):
            values, troubles = numbers([row[column] if column < len(row) else "" for row in rows])
            pairs.append(values)
            bad += [_BadRow(where[each.position], each) for each in troubles if whole[each.position]]
        for place in (index for index, fits in enumerate(whole) if not fits):
            what = f"{len(rows[place])} cells where the first row has {width}"
            fix = "a decimal comma? write points, or put the numbers in quotation marks"
            bad.append(_BadRow(where[place], Trouble(place, what, fix)))
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
    bad: list[_BadRow],
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
    bad += [_BadRow(int(lines[each.position]), each) for each in found.troubles() if each.position in beyond]
    if bad and not skip:
        raise UserError(_refusal(file, bad))
    if not found.usable.any():
        raise UserError(f"{file}: none of its {len(lines):,} rows has coordinates")
    wrong = len({each.line for each in bad})
    counts = ((absent, "without coordinates"), (len(found.origin), "at 0, 0 (no GPS)"), (wrong, "that cannot be used"))
    notes = [f"left out: {count:,} row{'s' * (count > 1)} {what}" for count, what in counts if count]
    latitude, longitude = places[:, found.usable]
    return Coordinates(latitude, wrapped(longitude), names, notes)


def _refusal(file: Path, bad: list[_BadRow]) -> str:
    bad = sorted(bad, key=lambda each: each.line)
    text = [f"{file}: {len({each.line for each in bad}):,} row(s) cannot be used"]
    text += [f"  {file.name}:{line}: {trouble.what}: {trouble.fix}" for line, trouble in bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        text.append(f"  ... and {len(bad) - _SHOWN:,} more")
    return "\n".join([*text, "Mend them, or leave them out with --on-error skip"])


FEATURES = 1024  # that MobileNet V1 of width 1 hands to its last layer
_HELD_OUT = 10  # one photo of so many is kept from the cells that judge unseen ones
_OUTLINE = 40_000  # points to draw all cells with, some four a side where there are few


@final
class Cut(NamedTuple):
    """How to cut; None is chosen by the number of photos.

    Attributes:
        most: a cell with more photos is cut into four.
        least: a cell with fewer is dropped.
        coarsest: level of the largest cells.
        finest: level of the smallest ones.
        level: the one level of all cells; the others but ``least`` then mean nothing.
    """

    most: int | None = None
    least: int | None = None
    coarsest: int | None = None
    finest: int | None = None
    level: int | None = None


def cells(
    coordinates: str | Path,
    *,
    out: str | Path,
    cut: Cut | None = None,
    columns: str | None = None,
    on_error: str = "raise",
) -> Cells:
    """Make cells of a table of coordinates; write them, draw them, and print what they allow.

    Args:
        coordinates: the table, with a latitude and a longitude a row.
        out: the file of cells, JSON; the map lies beside it as PNG.
        cut: how to cut; None chooses everything.
        columns: ``"LATITUDE,LONGITUDE"``, names or numbers; None finds them.
        on_error: ``raise`` refuses rows that cannot be used, ``skip`` leaves them out.

    Raises:
        UserError: a table or settings that cannot be used.
    """
    target = Path(out)
    if target.suffix != ".json":
        raise UserError(f"--out {out}: a file of cells ends with .json, say {target.with_suffix('.json')}")
    places = read(Path(coordinates), wanted=columns, skip=on_error == "skip")
    make, settings = _cutter(cut or Cut(), len(places.latitude))
    made = make(places.latitude, places.longitude)
    if not len(made):
        least = make.keywords["least"]
        raise UserError(
            f"no cell has {least} of the {len(places.latitude):,} photos: a lower --least, or coarser cells"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, json.dumps(made.to_dict()) + "\n")
    image = target.with_suffix(".png")
    _draw(made, image)
    columns_read = f"columns {places.names[0]} and {places.names[1]}"
    print_lines([f"{len(places.latitude):,} coordinates in {coordinates}, {columns_read}", *places.notes, settings])
    _print(made, len(places.latitude))
    _print_reach(made, make, places)
    if len(made) == 1:
        print_lines(["one cell leaves a model nothing to choose: lower --most, or raise --coarsest"])
    if not coast.installed():
        print_lines([coast.ABSENT])
    print_lines([f"cells in {target}, drawn in {image}"])
    return made


def _cutter(cut: Cut, photos: int) -> tuple[partial[Cells], str]:
    """What makes cells of latitudes and longitudes, every setting chosen, and a sentence on them.

    Raises:
        UserError: settings that contradict each other.
    """
    if cut.level is not None:
        others = {"most": cut.most, "coarsest": cut.coarsest, "finest": cut.finest}
        if given := [f"--{name}" for name, value in others.items() if value is not None]:
            raise UserError(f"--level {cut.level} makes all cells of one level: leave out {', '.join(given)}")
        least = 1 if cut.least is None else cut.least
        return partial(fixed, level=cut.level, least=least), f"cells of level {cut.level} with {least:,} photos or more"
    usual = scaled(photos)
    most = max(usual[0], cut.least or 0) if cut.most is None else cut.most
    least = min(usual[1], most) if cut.least is None else cut.least
    coarsest = cut.coarsest or 0
    finest = max(FINEST, coarsest) if cut.finest is None else cut.finest
    if coarsest > finest:
        raise UserError(f"--coarsest {coarsest} --finest {finest}: levels grow towards smaller cells")
    if least > most:
        raise UserError(f"--least {least} is more than --most {most}: nearly every cell would be dropped")
    settings = f"cells of {most:,} photos at most and {least:,} at least, levels {coarsest} to {finest}"
    if cut.most is None and cut.least is None:
        settings += (
            f" (PlaNet's {PLANET[1]:,} and {PLANET[2]} of {PLANET[0] // 10**6} million, by the root of the number)"
        )
    return partial(adaptive, most=most, least=least, coarsest=coarsest, finest=finest), settings


def _draw(made: Cells, path: Path) -> None:
    from mobilevision.visualization.world_map import cell_map

    outlines = s2.corners(made.ids, points=int(np.clip(_OUTLINE // len(made), 1, 8)))
    title = f"{len(made):,} cells of {made.counts.sum():,} photos"
    cell_map(*outlines, made.counts / s2.areas(made.ids), title=title).save(path)


def _print(made: Cells, photos: int) -> None:
    kept = int(made.counts.sum())
    low, middle, high = np.quantile(made.counts, (0, 0.5, 1)).astype(int)
    print_lines(
        [
            f"{len(made):,} cells with {low:,} to {high:,} photos, half of them with {middle:,} or more",
            f"{kept:,} photos ({kept / photos:.2%}) lie in them, {photos - kept:,} in cells that were dropped",
        ]
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("level", "cells", "photos", "km across"):
        table.add_column(name, justify="right")
    levels, sizes = s2.levels(made.ids), np.sqrt(s2.areas(made.ids))
    for level in np.unique(levels).tolist():
        here = levels == level
        size = np.median(sizes[here])
        across = f"{size:,.0f}" if size >= 10 else f"{size:.2g}"
        table.add_row(str(level), f"{here.sum():,}", f"{made.counts[here].sum():,}", across)
    Console(highlight=False).print(table)
    head = FEATURES * len(made) + len(made)
    print_lines([f"a last layer from {FEATURES} features to {len(made):,} cells has {head / 1e6:,.2f} M parameters"])


def _print_reach(made: Cells, make: Callable[..., Cells], places: Coordinates) -> None:
    """What the cells allow: for the photos that they were made from, and for others, one photo in ten, by chance."""
    held = np.random.default_rng(0).permutation(len(places.latitude)) % _HELD_OUT == 0
    others = make(places.latitude[~held], places.longitude[~held])
    rows = {
        "these photos": oracle(made, places.latitude, places.longitude),
        f"unseen photos (1 in {_HELD_OUT})": oracle(others, places.latitude[held], places.longitude[held]),
    }
    print_lines(["within reach when the right cell is always found:"])
    table = Table("", box=None, pad_edge=False, header_style="bold")
    for radius in RADII:
        table.add_column(f"{radius:,} km", justify="right")
    for name, shares in rows.items():
        table.add_row(name, *(f"{share:.1%}" for share in shares.values()))
    Console(highlight=False).print(table)
