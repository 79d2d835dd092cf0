"""What a run says on the console: before training what was composed, after it what came out and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mobilevision.io.printable_text import visible
from mobilevision.io.text_columns import print_fact, side

if TYPE_CHECKING:
    from mobilevision.tracking.run_folder import RunFolder

_SHOWN_CLASSES = 8


def print_start(info: Mapping[str, Any], lines: Sequence[str] = (), *, console: Console | None = None) -> None:
    """What was composed, as a small table.

    Args:
        info: of :func:`mobilevision.engine.info.run_info`.
        lines: what the tracker says of itself.
        console: where to print; None is standard output.
    """
    width = f" · width {info['width']:g}" if info.get("width") else ""
    rows = [
        ("task", info["task"]),
        ("backbone", f"{info['backbone']}{width} · side {side(info['resolution'])}"),
        ("cost", f"{info['parameters']:,} parameters · {info['mult_adds']:,} mult-adds an image"),
        ("weights", "\n".join(info["weights"]).removeprefix("weights: ") or "random"),
        ("classes", _some(info["classes"])),
        ("data", " · ".join(f"{name} {count:,}" for name, count in info["samples"].items())),
        ("", "\n".join(info["notes"])),
        ("auto", "\n".join(f"{each['key']}={each['value']}  ({each['why']})" for each in info.get("decisions", []))),
        ("problems", _few(info["problems"])),
        ("optimizer", info.get("optimizer", "")),
        ("device", info["device"]),
        ("tracking", "\n".join(lines)),
    ]
    for name, text in rows:
        print_fact(name, str(text), console=console)


def print_results(
    metrics: Mapping[str, float],
    folder: RunFolder,
    lines: Sequence[str] = (),
    *,
    judged: str = "",
    console: Console | None = None,
) -> None:
    """The results, the run folder and what to type next.

    Args:
        metrics: ``<stage>/<metric>`` -> value.
        folder: the run's.
        lines: what the tracker says at the end.
        judged: what to say of the images that judged, where they are few.
        console: where to print; None is standard output.
    """
    shown = console or Console(highlight=False)
    print_metrics(metrics, console=shown)
    run = shlex.quote(str(folder.path))
    rows = [("judged by", judged)] if judged else []
    rows.append(("run folder", str(folder.path)))
    rows += [("report", str(folder.report))] if folder.report.exists() else []
    rows += [
        ("next", f"mobilevision predict {run} IMAGES --out predictions"),
        ("", f"mobilevision evaluate {run}"),
        ("", f"mobilevision train resume={run} trainer.max_epochs=N"),
        *[("tracking" if index == 0 else "", line) for index, line in enumerate(lines)],
    ]
    shown.print()
    for row in rows:
        print_fact(*row, console=shown)


def print_metrics(metrics: Mapping[str, float], *, console: Console | None = None) -> None:
    """A table with a row a metric and a column a stage."""
    stages, rows = by_stage(metrics)
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("metric")
    for stage in stages:
        table.add_column(stage, justify="right")
    for name, values in rows.items():
        table.add_row(escape(visible(name)), *(number(values.get(stage)) for stage in stages))
    (console or Console(highlight=False)).print(table)


def print_teacher_comparison(rows: Sequence[Mapping[str, Any]], *, console: Console | None = None) -> None:
    """Student beside teacher: a row a metric or cost; how far they agree stands in the student's column."""
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("distilled")
    for who in ("student", "teacher"):
        table.add_column(who, justify="right")
    for row in rows:
        cells = [f"{row[who]:,}" if isinstance(row[who], int) else number(row[who]) for who in ("student", "teacher")]
        table.add_row(row["metric"], *cells)
    (console or Console(highlight=False)).print(table)


def by_stage(metrics: Mapping[str, float]) -> tuple[list[str], dict[str, dict[str, float]]]:
    """The stages that occur, and metric -> stage -> value."""
    rows: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        stage, _, metric = name.partition("/")
        rows.setdefault(metric or stage, {})[stage if metric else ""] = float(value)
    found = {stage: None for values in rows.values() for stage in values}
    order = [stage for stage in ("train", "val", "test") if stage in found]
    return order + [stage for stage in found if stage not in order], rows


def number(value: float | None) -> str:
    """A metric for people: four decimals, or what there is of it."""
    if value is None:
        return ""
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.3g}"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(map(visible, names[:_SHOWN_CLASSES]))
    return f"{len(names)}: {shown}{' ...' if len(names) > _SHOWN_CLASSES else ''}"


def _few(problems: Sequence[str]) -> str:
    more = [f"... and {len(problems) - 3} more"] if len(problems) > 3 else []
    return "\n".join([*problems[:3], *more])


def part_and_name(name: str) -> tuple[str, str]:
    """``part/`` (empty for a single task) and the rest, of the name of a metric, a table or a chart."""
    part, slash, rest = name.rpartition("/")
    return part + slash, rest
