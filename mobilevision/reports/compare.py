"""Finished runs beside each other: a table, accuracy against cost as images, and a page to explore."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from mobilevision.engine.info import read_info
from mobilevision.errors import UserError
from mobilevision.io.atomic_files import read_metrics, write_csv, write_text
from mobilevision.io.printable_text import visible
from mobilevision.io.text_columns import side
from mobilevision.tracking.run_folder import RunFolder

# Finished runs as rows: what each costs and how well it does.

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
        mult_adds: of one image.
        metric: name of the task's primary metric, with its split.
        value: of it.
        best: ``max`` or ``min``: which of two values is better.
        command: that made it.
        data: what it was measured on, as a number from 1; runs with the same number had the same samples.
        differs: the words of its command that not all compared runs have, without those that other columns show.
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
    differs: str = ""

    @property
    def size(self) -> str:
        """The side in words: 160, or 120x160."""
        return side(self.side)

    @property
    def score(self) -> float:
        """The value, negated where less is better."""
        return self.value if self.best == "max" else -self.value


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
    numbered = _told_apart(_by_data(found))
    return sorted(numbered, key=lambda row: (row.mult_adds, row.parameters, row.folder))


_SHOWN_ELSEWHERE = ("run_dir", "logger", "data.root", "data.resolution", "data.workers", "backbone", "backbone.width")
"""Keys that say nothing of a model, or that columns show."""


def _told_apart(rows: Sequence[Row]) -> list[Row]:
    """The rows with what only some of their commands say: ``head=picodet head.one_to_one=true``."""

    def words(row: Row) -> list[str]:
        try:
            typed = shlex.split(row.command)
        except ValueError:  # quotes that do not close
            return []
        return [word for word in typed if "=" in word and word.partition("=")[0] not in _SHOWN_ELSEWHERE]

    said = [words(row) for row in rows]
    common_words = set(said[0]).intersection(*said)
    own = [" ".join(word for word in each if word not in common_words) for each in said]
    return [replace(row, differs=differs) for row, differs in zip(rows, own, strict=True)]


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
        metrics = read_metrics(run.metrics_json)
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
    kept: list[Row] = []
    last: dict[int, Row] = {}  # of each data
    for row in sorted(rows, key=lambda each: (getattr(each, cost), -each.score)):
        before = last.get(row.data)
        equal = before is not None and (getattr(before, cost), before.value) == (getattr(row, cost), row.value)
        if before is None or equal or row.score > before.score:
            kept.append(row)
            last[row.data] = row
    return kept


# What a comparison leaves: compare.csv, compare.html, and figures 4 and 5 of arXiv 1704.04861 as PNG and SVG.

COSTS = {"mult_adds": "mult-adds an image", "parameters": "parameters"}


def compare(places: Sequence[str], out: str) -> None:
    """Set the finished runs in some folders beside each other.

    Args:
        places: run folders, or folders with some below them.
        out: folder for the table, the figures and the page.

    Raises:
        UserError: where no run is found, or runs cannot be compared.
    """
    rows = collect(places)
    print_rows(rows)
    files = write(rows, Path(out))
    print(f"\nwritten     {', '.join(file.name for file in files)} in {out}")


def print_rows(rows: Sequence[Row]) -> None:
    """The runs on the console, cheapest first; a star stands at those that nothing cheaper beats."""
    from rich.console import Console
    from rich.markup import escape
    from rich.measure import Measurement
    from rich.table import Table

    best = set(front(list(rows), "mult_adds"))
    base = common(rows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    mixed = different_data(rows)
    apart = any(row.differs for row in rows)
    names = ("backbone", "side", "mult-adds", "parameters", rows[0].metric, "", *["data"] * bool(mixed), "folder")
    for name in (*names, *["differs in"] * apart):
        right = name in ("side", "mult-adds", "parameters", rows[0].metric, "data")
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for row in rows:
        star, place = "*" if row in best else "", os.path.relpath(row.folder, base)
        costs = f"{row.mult_adds:,}", f"{row.parameters:,}", f"{row.value:.4f}"
        table.add_row(
            escape(visible(row.backbone)),
            row.size,
            *costs,
            star,
            *[str(row.data)] * bool(mixed),
            escape(visible(place)),
            *[escape(visible(row.differs))] * apart,
        )
    console = Console(highlight=False)
    wide = console.options.update(max_width=10_000)  # lines are not broken, so that folders can be copied
    console.width = max(console.width, Measurement.get(console, wide, table).maximum)
    console.print(table)
    print(f"* nothing that costs less does as well{' on the same data' * bool(mixed)}")
    if mixed:
        print(mixed)


def common(rows: Sequence[Row]) -> str:
    """The folder that holds all of the runs."""
    return os.path.commonpath([Path(row.folder).resolve().parent for row in rows])


def write(rows: Sequence[Row], out: Path) -> list[Path]:
    """Table, figures and page; returns the files.

    Args:
        rows: of one metric.
        out: folder, made where it is not there.
    """
    out.mkdir(parents=True, exist_ok=True)
    fronts = {cost: front(list(rows), cost) for cost in COSTS}
    files = [out / "compare.csv", out / "compare.html"]
    metric = rows[0].metric
    table = [
        {
            "backbone": row.backbone,
            "width": row.width,
            "side": row.size,
            "mult_adds": row.mult_adds,
            "parameters": row.parameters,
            metric: f"{row.value:.6g}",
            "data": row.data,
            "differs": row.differs,
            "folder": row.folder,
            "command": row.command,
        }
        for row in rows
    ]
    write_csv(files[0], table)
    write_text(files[1], _page(rows, fronts))
    for cost, best in fronts.items():
        figure = _figure(rows, cost, best)
        for suffix in ("png", "svg"):
            files.append(out / f"{rows[0].metric.rpartition('/')[2]}_by_{cost}.{suffix}")
            figure.savefig(files[-1], facecolor="white", dpi=130)
    return files


def _figure(rows: Sequence[Row], cost: str, best: Sequence[Row]) -> Any:
    from mobilevision.visualization.charts_cost import Point, tradeoff

    ordered = sorted(rows, key=lambda row: row.side)
    mixed = bool(different_data(rows))
    points = [
        Point(
            getattr(row, cost),
            row.value,
            f"{row.size}, data {row.data}" if mixed else row.size,
            _name(row, rows),
            best=row in best,
            data=row.data,
        )
        for row in ordered
    ]
    return tradeoff(points, across=COSTS[cost], up=rows[0].metric.replace("_", " "), group="side")


def _name(row: Row, rows: Sequence[Row]) -> str:
    """What tells a run from the others: its width, and its backbone where there are several."""
    families = {_family(each) for each in rows}
    width = "" if row.width is None else f"{row.width:g}"
    return width if len(families) == 1 and width else row.backbone


def _family(row: Row) -> str:
    return row.backbone if row.width is None else row.backbone.rpartition("_")[0]


def _page(rows: Sequence[Row], fronts: dict[str, list[Row]]) -> str:
    from markupsafe import Markup

    from mobilevision.reports.page import template

    here = Path(__file__).parent
    base = common(rows)
    values = [
        {
            **{name: getattr(row, name) for name in row.__dataclass_fields__},
            "size": row.size,
            "folder": os.path.relpath(row.folder, base),
            "best_for": [cost.replace("_", "-") for cost, best in fronts.items() if row in best],
        }
        for row in rows
    ]
    return template("compare.html.j2", lstrip_blocks=False).render(
        title=f"{rows[0].task}: accuracy and cost",
        metric=rows[0].metric,
        mixed=different_data(rows),
        apart=any(row.differs for row in rows),
        rows=values,
        rows_json=Markup(json.dumps(values).replace("<", "\\u003c")),
        style=Markup((here / "page.css").read_text(encoding="utf-8")),
        script=Markup((here / "page.js").read_text(encoding="utf-8").removeprefix('"use strict";\n')),
        plot=Markup((here / "compare.js").read_text(encoding="utf-8")),
    )
