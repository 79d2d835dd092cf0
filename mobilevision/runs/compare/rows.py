"""Finished runs as rows: what each costs and how well it does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from mobilevision.errors import UserError
from mobilevision.ops.regular_files import read_text
from mobilevision.runs.folder import RunFolder
from mobilevision.runs.info import read_info

_DEEPEST = 4  # folders below one that is named


@final
@dataclass(frozen=True)
class Row:
    """One finished run.

    Attributes:
        folder: where it lies.
        task: its task.
        backbone: name with the width.
        width: of the backbone; None where it has none.
        side: (height, width) of the input in pixels.
        parameters: of the whole model.
        mult_adds: of one picture.
        metric: name of the task's primary metric, with its split.
        value: of it.
        best: ``max`` or ``min``: which of two values is better.
        command: that made it.
        data: what it was measured on, as a number from 1; runs with the same number had the same samples.
    """

    folder: str
    task: str
    backbone: str
    width: float | None
    side: tuple[int, int]
    parameters: int
    mult_adds: int
    metric: str
    value: float
    best: str
    command: str
    data: int = 1

    @property
    def size(self) -> str:
        """The side in words: 160, or 120x160."""
        height, width = self.side
        return str(height) if height == width else f"{height}x{width}"


def collect(places: Iterable[str | Path]) -> list[Row]:
    """The finished runs in some folders, or in the folders below them, each once, cheapest first.

    Raises:
        UserError: a folder that is not there or holds no finished run; runs of several tasks or metrics.
    """
    found: dict[Path, Row] = {}
    for place in map(Path, places):
        if not place.is_dir():
            raise UserError(f"{place}: no such folder; name run folders, or a folder of several")
        rows = {folder.resolve(): row for folder in _runs(place, _DEEPEST) if (row := read(folder)) is not None}
        if not rows:
            raise UserError(f"{place}: no finished run in it or below it (a run has metrics.json and info.json)")
        found.update(rows)
    metrics = sorted({f"{row.metric} of {row.task}" for row in found.values()})
    if len(metrics) > 1:
        raise UserError(f"these runs are measured differently ({', '.join(metrics)}): compare those of one task")
    numbered = _by_data(found)
    return sorted(numbered, key=lambda row: (row.mult_adds, row.parameters, row.folder))


def _by_data(found: dict[Path, Row]) -> list[Row]:
    """The rows with their data numbered, by classes, count and fingerprint of the samples they were measured on."""
    infos = {folder: read_info(RunFolder(folder)) for folder in found}
    split = next(iter(found.values())).metric.partition("/")[0]
    marks = {folder: _part(info, "split_fingerprints", split) for folder, info in infos.items()}
    if None in marks.values():  # runs of earlier versions have one for all splits together
        marks = {folder: info.get("data_fingerprint") for folder, info in infos.items()}
    if None in marks.values():
        marks = dict.fromkeys(infos)
    keys = {
        folder: json.dumps([info.get("classes"), _part(info, "samples", split), marks[folder]])
        for folder, info in infos.items()
    }
    numbers = {key: place for place, key in enumerate(dict.fromkeys(keys.values()), 1)}
    return [replace(row, data=numbers[keys[folder]]) for folder, row in found.items()]


def _part(info: dict[str, Any], key: str, split: str) -> Any:
    parts = info.get(key)
    return parts.get(split) if isinstance(parts, dict) else None


def different_data(rows: Iterable[Row]) -> str:
    """A line that says so where rows were not all measured on the same samples; empty where they were."""
    count = len({row.data for row in rows})
    if count < 2:
        return ""
    return f"measured on {count} different sets of samples (data 1 to {count}): compare within one of them only"


def _runs(folder: Path, deep: int) -> Iterator[Path]:
    if (folder / "config.yaml").exists():
        yield folder
    elif deep:
        for below in sorted(path for path in folder.iterdir() if path.is_dir()):
            yield from _runs(below, deep - 1)


def read(folder: Path) -> Row | None:
    """The row of a run; None where it is not finished."""
    run = RunFolder(folder)
    info = read_info(run)
    try:
        metrics = json.loads(read_text(run.metrics_json))
        name = next(
            f"{split}/{info['primary']}" for split in ("test", "val") if f"{split}/{info['primary']}" in metrics
        )
        height, width = (int(side) for side in info["resolution"])
        return Row(
            folder=str(folder),
            task=str(info["task"]),
            backbone=str(info["backbone"]),
            width=None if info.get("width") is None else float(info["width"]),
            side=(height, width),
            parameters=int(info["parameters"]),
            mult_adds=int(info["mult_adds"]),
            metric=name,
            value=float(metrics[name]),
            best=str(info["mode"]),
            command=str(info.get("command", "")),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError, StopIteration):
        return None


def front(rows: list[Row], cost: str) -> list[Row]:
    """The Pareto front: the rows that no cheaper (or equally cheap) row of the same data beats, cheapest first.

    Args:
        rows: of one metric.
        cost: the attribute to pay in: ``mult_adds`` or ``parameters``.
    """
    sign = 1 if rows and rows[0].best == "max" else -1
    kept: list[Row] = []
    last: dict[int, Row] = {}  # of each data
    for row in sorted(rows, key=lambda each: (getattr(each, cost), -sign * each.value)):
        before = last.get(row.data)
        equal = before is not None and (getattr(before, cost), before.value) == (getattr(row, cost), row.value)
        if before is None or equal or sign * row.value > sign * before.value:
            kept.append(row)
            last[row.data] = row
    return kept
