"""A table with both figures in each cell, and how far they are apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mobilevision.runs.paper.ours import our_figure
from mobilevision.runs.paper.reading import UNITS, Row, Table
from mobilevision.runs.paper.results import Result, best

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
    return [_line(table, row, results) for row in table.rows]


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


def _line(table: Table, row: Row, results: Sequence[Result]) -> Line:
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
    return Line(row.name, tuple(cells), " ".join(notes) or None)


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
