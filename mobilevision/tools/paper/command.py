"""``mobilevision paper``: every table of arXiv 1704.04861 beside what is counted now, as text or JSON."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilevision.tools.paper.reading import UNITS, Column, Table, tables
from mobilevision.tools.paper.reading import table as find_table

if TYPE_CHECKING:
    from mobilevision.tools.paper.ours import Result

_WIDEST = 120


def paper(*, number: int | None = None, as_json: bool = False, results: str | Path | None = None) -> None:
    """Print the tables.

    Args:
        number: one of them; None for all.
        as_json: print one JSON list instead.
        results: folder in which runs of ours are looked for; None looks nowhere.

    Raises:
        UserError: no such table, or no such folder.
    """
    chosen = tables() if number is None else (find_table(number),)

    from mobilevision.tools.paper.ours import find_results

    found = [] if results is None else find_results(results)
    if as_json:
        print(json.dumps([as_dict(each, lines_of(each, found)) for each in chosen], indent=2))
        return
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    for each in chosen:
        print(text_of(each, lines_of(each, found), width=width), flush=True)
    print("\n".join(textwrap.wrap(WHAT, width, break_on_hyphens=False)))


# A table with both figures in each cell, and how far they are apart.

SAME = "="


@dataclass(frozen=True)
class Cell:
    """One figure, twice.

    Attributes:
        paper: as printed; None where the paper has none.
        ours: exact: a count, a percentage, a description; None where there is none.
        shown: ours as it is read beside the paper's: same unit, some digits more.
        difference: ``=`` where ours rounds to what is printed, else percent of the paper's figure (of percentages,
            points); empty where one is missing.
    """

    paper: str | None
    ours: float | int | str | None
    shown: str
    difference: str


@dataclass(frozen=True)
class Line:
    """A row of cells, with what is to be said of it."""

    name: str
    cells: tuple[Cell, ...]
    note: str | None


def lines_of(table: Table, results: Sequence[Result] = ()) -> list[Line]:
    """Count a table.

    Args:
        table: as the paper prints it.
        results: runs of ours, for the columns of metrics.
    """
    from mobilevision.tools.paper.ours import best, our_figure

    lines = []
    for row in table.rows:
        notes = [row.note] if row.note else []
        cells = []
        for column in table.columns:
            paper = row.paper.get(column.key)
            if table.source(row, column) != "metric":
                cells.append(_cell(paper, our_figure(table, row, column), row.unit or column.unit))
                continue
            found = best(results, table, row)
            cells.append(_cell(paper, None if found is None else 100 * found[0], "", points=True))
            notes += [] if found is None else [f"Ours is {found[1].path}."]
        lines.append(Line(row.name, tuple(cells), " ".join(notes) or None))
    return lines


def as_dict(table: Table, lines: Sequence[Line]) -> dict[str, Any]:
    """Plain values of a table for machines; units as the paper's, ours exact."""
    return {
        "number": table.number,
        "title": table.title,
        "columns": [{"key": column.key, "name": column.name, "unit": column.unit} for column in table.columns],
        "rows": [
            {
                "name": line.name,
                "figures": {
                    column.key: {"paper": cell.paper, "ours": cell.ours, "difference": cell.difference}
                    for column, cell in zip(table.columns, line.cells, strict=True)
                },
                "note": line.note,
            }
            for line in lines
        ],
        "notes": list(table.notes),
    }


def _cell(paper: str | None, ours: float | int | str | None, unit: str, *, points: bool = False) -> Cell:
    if ours is None:
        return Cell(paper, None, "", "")
    if isinstance(ours, str):
        return Cell(paper, ours, ours, "" if paper is None else SAME if ours == paper else "not")
    if paper is None:
        return Cell(None, ours, f"{ours / UNITS[unit]:.2f}", "")
    return Cell(paper, ours, *_beside(paper, ours / UNITS[unit], points or not unit))


def _beside(paper: str, ours: float, points: bool) -> tuple[str, str]:
    """Our figure, with some digits more than the paper's where it is no percentage; and their difference."""
    digits = len(paper.partition(".")[2])
    shown = f"{ours:.{digits if points else max(2, digits + 1)}f}"
    if f"{ours:.{digits}f}" == paper:
        return shown, SAME
    away = ours - float(paper)
    if points:
        return shown, f"{away:+.{digits}f}"
    share = away / float(paper)
    return shown, f"{share:+.1%}" if abs(share) >= 0.0005 else f"{share:+.2%}"


_HALF = ("paper", "ours")
_HEADS = {"given": ("paper",), "metric": _HALF, "stride": _HALF, "filter": _HALF, "input": _HALF}
_ALL = (*_HALF, "diff")
_GAP, _NARROW = "  ", " "

WHAT = (
    "Mult-adds: of convolutions and matrix products, one multiplication and one addition together as one. Parameters:"
    " all, batch norm's two a channel and every bias in them. diff: = where ours rounds to what the paper prints, else"
    " how far ours is from it, in percent (percentages: in points). Accuracy is not counted: ours stands there where"
    " a run is found (--results FOLDER)."
)


def text_of(table: Table, lines: Sequence[Line], *, width: int) -> str:
    """A table with its notes.

    Args:
        table: as the paper prints it.
        lines: the same, counted.
        width: of a line of the notes, in characters; the table is as wide as it has to be.
    """
    notes = list(dict.fromkeys(line.note for line in lines if line.note))
    names = [line.name + (f" [{notes.index(line.note) + 1}]" if line.note in notes else "") for line in lines]
    blocks = [_block(table, lines, place, column) for place, column in enumerate(table.columns)]
    longest = max(map(len, names))
    found = [f"Table {table.number}: {table.title}", ""]
    for row in range(len(lines) + 2):
        name = "" if row < 2 else names[row - 2]
        found.append(_GAP.join([name.ljust(longest), *(block[row] for block in blocks)]).rstrip())
    numbered = [(f"[{place}] ", note) for place, note in enumerate(notes, 1)] + [("", note) for note in table.notes]
    for mark, note in numbered:
        clean = " ".join(note.split())
        found += textwrap.wrap(mark + clean, width, subsequent_indent=" " * len(mark), break_on_hyphens=False)
    return "\n".join(found) + "\n"


def _block(table: Table, lines: Sequence[Line], place: int, column: Column) -> list[str]:
    """One figure as lines of equal width: its name, the headings, a line a row."""
    sources = {table.source(row, column) for row in table.rows}
    heads = next((heads for source, heads in _HEADS.items() if sources == {source}), _ALL)
    parts: dict[str, list[str]] = {head: [] for head in _ALL}
    for line in lines:
        cell = line.cells[place]
        parts["paper"].append(cell.paper or "-")
        parts["ours"].append(cell.shown or "-")
        parts["diff"].append(cell.difference)
    if sources == {"metric"} and any(parts["diff"]):
        heads = _ALL
    columns = [[head, *parts[head]] for head in heads]
    widths = [max(map(len, each)) for each in columns]
    body = [
        _NARROW.join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in zip(*columns, strict=True)
    ]
    across = max(len(body[0]), len(column.name))
    return [column.name.rjust(across), *(each.rjust(across) for each in body)]
