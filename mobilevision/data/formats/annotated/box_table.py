"""The rows of a box table: a box a row, or a picture without any."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import final

from mobilevision.data.formats.annotated.box_columns import Layout, Wanted, layout_of
from mobilevision.data.formats.annotated.flags import flag
from mobilevision.data.formats.annotated.raw import Collector, Raw
from mobilevision.data.formats.table_rows import ALIASES
from mobilevision.data.formats.text import encoding_of, is_text
from mobilevision.data.records import Problem
from mobilevision.errors import UserError

NOTHING = ("", "nan", "none", "null")


@final
class BoxTable:
    """One table, read split by split.

    Args:
        table: the file; comma, semicolon, tab or bar between columns.
        called: what messages call it.
        wanted: the columns that the user named.
        problems: added to.

    Raises:
        UserError: an empty table, or one without the columns.
    """

    def __init__(self, table: Path, called: str, wanted: Wanted, problems: list[Problem]) -> None:
        self.table, self.called, self.problems = table, called, problems
        self._encoding = encoding_of(table).replace("utf-8-sig", "utf-8").replace("utf-8", "utf-8-sig")
        with open(table, newline="", encoding=self._encoding, errors="surrogateescape") as stream:
            first = stream.readline()
            if not first.strip():
                raise UserError(f"{called}: the table is empty")
            self._delimiter = max(",;\t|", key=first.count)
            self.layout = layout_of(next(csv.reader([first], delimiter=self._delimiter)), Path(called), wanted)
        self._parts: dict[str, Collector] = {}
        self._numbers: dict[tuple[str, str], int] = {}

    def read(self, default: str) -> dict[str, Raw]:
        """The splits in it, by the split column where there is one, else all of it as ``default``."""
        for line, cells in self._rows():
            self._row(line, cells, default)
        return {split: collector.done() for split, collector in self._parts.items()}

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        with open(self.table, newline="", encoding=self._encoding, errors="surrogateescape") as stream:
            reader = csv.reader(stream, delimiter=self._delimiter)
            if self.layout.header:
                next(reader)
            for cells in reader:
                if any(cells):
                    yield reader.line_num, cells

    def _row(self, line: int, cells: list[str], default: str) -> None:
        at, layout = (self.called, line), self.layout
        needed = max(layout.path, *layout.sides) + 1
        if len(cells) < needed or not cells[layout.path].strip():
            self._wrong(line, f"{len(cells)} cells where {needed} are needed, or no picture named", "complete the row")
            return
        cells = [cell.strip() for cell in cells]
        named = _cell(cells, layout.split)
        split = ALIASES.get(named.lower()) if named else default
        if split is None:
            self._wrong(line, f"unknown split {named!r}", "write train, val or test")
            return
        collector = self._parts.setdefault(split, Collector())
        key = split, cells[layout.path]
        if key not in self._numbers:
            self._numbers[key] = collector.picture(os.fsencode(key[1]), at, _size(cells, layout))
        self._box(line, cells, collector, self._numbers[key])

    def _box(self, line: int, cells: list[str], collector: Collector, picture: int) -> None:
        layout = self.layout
        label = _cell(cells, layout.label) if layout.label is not None else "object"
        texts = [cells[side] for side in layout.sides]
        if layout.form == "cell":
            inner = texts[0].strip("[](){} ")
            texts = [text.strip() for text in inner.replace(",", " ").split()] if inner.lower() not in NOTHING else [""]
        unlabelled = layout.label is not None and label.lower() in NOTHING
        empty = (*NOTHING, "0", "0.0") if unlabelled else NOTHING
        if (unlabelled or layout.label is None) and all(text.lower() in empty for text in texts):
            return  # a picture without objects
        if unlabelled:
            self._wrong(line, "a box without a class", "name its class, or empty its numbers for a picture without any")
            return
        if not is_text(label):
            self._wrong(line, "the class is not text in UTF-8", "save the table as UTF-8")
            return
        try:
            a, b, c, d = (float(text) for text in texts)
        except ValueError:
            self._wrong(line, f"the box is {', '.join(map(repr, texts))}, not four numbers", "mend or remove the row")
            return
        corners = {"corners": (a, b, c, d), "size": (a, b, a + c, b + d), "cell": (a, b, a + c, b + d)}.get(
            layout.form, (a - c / 2, b - d / 2, a + c / 2, b + d / 2)
        )
        collector.box(
            picture,
            corners,
            collector.label(label),
            (self.called, line),
            crowd=bool(flag(_cell(cells, layout.crowd))),
            difficult=bool(flag(_cell(cells, layout.difficult))),
            area=_number(_cell(cells, layout.area)),
        )

    def _wrong(self, line: int, what: str, fix: str) -> None:
        self.problems.append(Problem(f"{self.called}:{line}", what, fix))


def _cell(cells: list[str], number: int | None) -> str:
    return cells[number] if number is not None and number < len(cells) else ""


def _size(cells: list[str], layout: Layout) -> tuple[int, int]:
    if layout.size is None:
        return 0, 0
    height, width = (_number(_cell(cells, number)) for number in layout.size)
    return (int(height), int(width)) if 0 < height < 1e9 and 0 < width < 1e9 else (0, 0)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
