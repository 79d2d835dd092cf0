"""What a comparison leaves: compare.csv, compare.html, and figures 4 and 5 of arXiv 1704.04861 as PNG and SVG."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mobilevision.ops.plain_text import cell, visible
from mobilevision.runs.compare.rows import Row, collect, different_data, front
from mobilevision.runs.folder import write_text

COSTS = {"mult_adds": "mult-adds a picture", "parameters": "parameters"}


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
    for name in ("backbone", "side", "mult-adds", "parameters", rows[0].metric, "", *["data"] * bool(mixed), "folder"):
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
    write_text(files[0], _csv(rows))
    write_text(files[1], _page(rows, fronts))
    for cost, best in fronts.items():
        figure = _figure(rows, cost, best)
        for suffix in ("png", "svg"):
            files.append(out / f"{rows[0].metric.rpartition('/')[2]}_by_{cost}.{suffix}")
            figure.savefig(files[-1], facecolor="white", dpi=130)
    return files


def _csv(rows: Sequence[Row]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        ["backbone", "width", "side", "mult_adds", "parameters", rows[0].metric, "data", "folder", "command"]
    )
    for row in rows:
        costs = (row.mult_adds, row.parameters, f"{row.value:.6g}")
        writer.writerow(map(cell, (row.backbone, row.width, row.size, *costs, row.data, row.folder, row.command)))
    return stream.getvalue()


def _figure(rows: Sequence[Row], cost: str, best: Sequence[Row]) -> Any:
    from mobilevision.ops.charts_tradeoff import Point, tradeoff

    ordered = sorted(rows, key=lambda row: row.side)
    mixed = bool(different_data(rows))
    points = [
        Point(
            getattr(row, cost),
            row.value,
            f"{row.size}, data {row.data}" if mixed else row.size,
            _name(row, rows),
            row in best,
            row.data,
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
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

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
    report = here.parent / "report"
    pages = Environment(loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return pages.get_template("page.html.j2").render(
        title=f"{rows[0].task}: accuracy and cost",
        metric=rows[0].metric,
        mixed=different_data(rows),
        rows=values,
        rows_json=Markup(json.dumps(values).replace("<", "\\u003c")),
        style=Markup((report / "style.css").read_text(encoding="utf-8")),
        script=Markup((report / "script.js").read_text(encoding="utf-8").removeprefix('"use strict";\n')),
        plot=Markup((here / "plot.js").read_text(encoding="utf-8")),
    )
