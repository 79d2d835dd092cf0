"""A counted table as plain text: the paper's figure, ours, the difference; what is to be said of a row below it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from mobilevision.runs.paper.cells import Line
from mobilevision.runs.paper.reading import Column, Table

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
