"""A table of a teacher's outputs: a path, then a column a class (probabilities, or raw outputs)."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mobilevision.data.formats.table_rows import USUAL
from mobilevision.errors import UserError

if TYPE_CHECKING:
    from mobilevision.data import Records
    from mobilevision.distill import Teacher

_ASIDE = {*USUAL["path"], *USUAL["label"], *USUAL["split"], "index"}
_SMALLEST = 1e-6  # a probability of 0 has no logit


def of_table(path: Path, records: Records, *, emits: Any) -> Teacher:
    """The teacher that a table holds.

    A picture is found by the end of its path, as much of it as the table states. Pictures that are not in the table
    are not taught by it. Numbers between 0 and 1 are probabilities where the task's outputs are logits.

    Args:
        path: comma, semicolon, tab or bar between columns; a header with the classes' names.
        records: the samples whose outputs are wanted.
        emits: what the student's outputs are.

    Raises:
        UserError: a table that cannot be read, or in which no picture is found.
    """
    from mobilevision.distill import KnownOutputs

    if not path.is_file():
        raise UserError(f"distill.teacher={path}: there is no such table")
    try:
        classes, rows = read(path)
    except csv.Error as error:
        raise UserError(f"distill.teacher={path}: not a table that can be read ({error})") from error
    places, unsure = _places(rows)
    found = [_find(records.name(index), places, unsure) for index in range(len(records))]
    if not any(place is not None for place in found):
        raise UserError(
            f"distill.teacher={path}: none of the data's pictures is in the table; it states {next(iter(rows))},"
            f" the data {records.name(0)}"
        )
    values = torch.tensor(list(rows.values()), dtype=torch.float32)
    values = torch.cat([logits(values, emits), torch.full((1, len(classes)), torch.nan)])
    order = torch.tensor([len(rows) if place is None else place for place in found])
    missing = sum(place is None for place in found)
    name = f"{path} ({missing:,} of {len(found):,} pictures are not in it)" if missing else str(path)
    return KnownOutputs(rows=values[order], classes=classes, name=name)


def read(path: Path) -> tuple[tuple[str, ...], dict[str, list[float]]]:
    """The names of the columns, and path -> their values, NaN where a cell is empty.

    Raises:
        UserError: no column of paths, or a cell that is no number.
    """
    with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
        first = stream.readline()
        stream.seek(0)
        reader = csv.reader(stream, delimiter=max(",;\t|", key=first.count))
        head = [cell.strip() for cell in next(reader, [])]
        low = [cell.lower() for cell in head]
        named = [low.index(name) for name in USUAL["path"] if name in low]
        if not named:
            raise UserError(f"{path}: no column with the paths; its header is {', '.join(head[:8]) or 'empty'}")
        columns = [place for place, name in enumerate(low) if name not in _ASIDE]
        rows: dict[str, list[float]] = {}
        for cells in reader:
            if any(cells):
                if len(cells) != len(head):
                    raise UserError(f"{path}:{reader.line_num}: {len(cells)} cells, the header has {len(head)}")
                rows[cells[named[0]].strip().replace("\\", "/")] = [
                    _number(cells[place], f"{path}:{reader.line_num}: {head[place]}") for place in columns
                ]
    if not rows or not columns:
        raise UserError(f"{path}: the table holds no outputs")
    return tuple(head[place] for place in columns), rows


def logits(values: Tensor, emits: Any) -> Tensor:
    """Probabilities [n, K] as logits, where the task's outputs are such; anything else as it is."""
    finite = values[values.isfinite()]
    if emits not in ("softmax", "sigmoid") or finite.numel() == 0 or finite.min() < 0 or finite.max() > 1:
        return values
    sure = values.clamp(_SMALLEST, 1 - _SMALLEST)
    return sure.log() if emits == "softmax" else sure.logit()


def _number(cell: str, where: str) -> float:
    try:
        return float(cell) if cell.strip() else float("nan")
    except ValueError:
        raise UserError(f"{where}={cell}: is no number") from None


def _places(rows: dict[str, list[float]]) -> tuple[dict[str, int], dict[str, int]]:
    """Path -> row; and file name -> row where only one path ends so."""
    names = Counter(path.rpartition("/")[2] for path in rows)
    last = {path.rpartition("/")[2]: place for place, path in enumerate(rows)}
    return {path: place for place, path in enumerate(rows)}, {name: last[name] for name in names if names[name] == 1}


def _find(name: str, places: dict[str, int], last: dict[str, int]) -> int | None:
    parts = name.replace("\\", "/").split("/")
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((places[end] for end in ends if end in places), last.get(parts[-1]))
