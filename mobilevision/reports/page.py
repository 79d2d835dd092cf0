"""report.html: one page that holds everything a run came to, readable in any browser, without a network."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape
from PIL import Image

from mobilevision.callbacks.history import read_history
from mobilevision.engine.info import read_info
from mobilevision.io.atomic_files import read_csv, read_metrics, read_object, write_text
from mobilevision.io.printable_text import is_name
from mobilevision.io.text_columns import side
from mobilevision.reports.summary import by_stage, part_and_name
from mobilevision.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from jinja2 import Template

# Curves over the epochs as inline SVG, in colours that the page's style decides.

WIDTH, HEIGHT = 360, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 24
_DIGIT = 6.5  # width of a sign in the charts' text
_STAGES = ("train", "val", "test")


@dataclass
class Chart:
    """One metric over the epochs.

    Attributes:
        title: the metric.
        lines: stage -> [(epoch, value)].
        best: (epoch, value) to be marked, or None.
    """

    title: str
    lines: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    best: tuple[int, float] | None = None

    def svg(self) -> Markup:
        """The chart as an ``<svg>`` element; its numbers lie in ``data-chart`` for the page's script."""
        points = [point for line in self.lines.values() for point in line]
        first, last = min(x for x, _ in points), max(x for x, _ in points)
        y_ticks = ticks(min(y for _, y in points), max(y for _, y in points))
        longest = max(len(f"{tick:g}") for tick in y_ticks)
        left = max(_LEFT, 10 + _DIGIT * longest)
        x = _scale(first, max(last, first + 1), left, WIDTH - _RIGHT)
        y = _scale(y_ticks[0], y_ticks[-1], HEIGHT - _BOTTOM, _TOP)
        parts = [_horizontal(y(tick), tick, left) for tick in y_ticks]
        parts += [
            f'<text x="{x(tick):.1f}" y="{HEIGHT - 6}" text-anchor="middle">{tick:g}</text>'
            for tick in ticks(first, max(last, first + 1), whole=True)
            if first <= tick <= last
        ]
        parts += [_line(name, [(x(e), y(v)) for e, v in line]) for name, line in self.lines.items()]
        if self.best is not None:
            parts.append(f'<circle class="best" cx="{x(self.best[0]):.1f}" cy="{y(self.best[1]):.1f}" r="5"/>')
        parts.append(f'<line class="cursor" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}" x1="-9" x2="-9"/>')
        numbers = {
            "first": first,
            "last": max(last, first + 1),
            "left": left / WIDTH,
            "right": 1 - _RIGHT / WIDTH,
            "lines": {name: {str(epoch): value for epoch, value in line} for name, line in self.lines.items()},
        }
        name = escape(self.title)
        return Markup(
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name} by epoch" '
            f'data-chart="{escape(json.dumps(numbers))}">{"".join(parts)}</svg>'
        )


def charts(history: Sequence[Mapping[str, str]], primary: str = "", mode: str = "max") -> list[Chart]:
    """A chart a metric, the stages of one metric together: loss first, then the primary metric, then by name.

    Args:
        history: rows of metrics.csv: ``epoch`` from 1 (0: before training), ``<stage>/<metric>``; empty cells are left
            out.
        primary: the metric whose best epoch on val is marked.
        mode: ``max`` or ``min``, whether more or less of it is better.
    """
    found: dict[str, Chart] = {}
    for row in history:
        for column, text in row.items():
            stage, _, metric = column.partition("/")
            value = _finite(text)
            if metric and value is not None:
                line = found.setdefault(metric, Chart(metric)).lines.setdefault(stage, [])
                line.append((int(float(row["epoch"])), value))
    for chart in found.values():
        chart.lines = {stage: chart.lines[stage] for stage in _order(chart.lines)}
    if primary in found and (followed := found[primary].lines.get("val")):
        found[primary].best = (max if mode == "max" else min)(followed, key=lambda point: point[1])
    first = {"loss": 0, primary: 1, "lr": 3}
    return sorted(found.values(), key=lambda chart: (first.get(chart.title, 2), chart.title))


def ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """About five round numbers (1, 2 or 5 times a power of ten apart) that enclose a range; of 0 alone, 0 to 1."""
    if high <= low:
        low, high = (low - abs(low) * 0.1, high + abs(high) * 0.1) if low else (0.0, 1.0)
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if (high - low) / (power * factor) <= 5)
    step = max(1.0, round(step)) if whole else step
    start, stop = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(start, stop + 1)]


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """A function that maps [low, high] onto [start, end]."""
    slope = (end - start) / (high - low)
    return lambda value: start + (value - low) * slope


def _horizontal(at: float, tick: float, left: float) -> str:
    return (
        f'<line class="grid" x1="{left:g}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        f'<text x="{left - 6:g}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>'
    )


def _line(name: str, places: Sequence[tuple[float, float]]) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in places) if len(places) <= 15 else ""
    return f'<g class="line {escape(name)}"><polyline points="{path}"/>{dots}</g>'


def _order(lines: Mapping[str, object]) -> list[str]:
    return [stage for stage in _STAGES if stage in lines] + sorted(set(lines) - set(_STAGES))


def _finite(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


# What the report shows, gathered from the run folder.

_DRAWN_ELSEWHERE = ("confusion", "calibration", "pr_curves")  # tables that a chart shows
_SHOWN_PROBLEMS = 200
_SHOWN_ROWS = 2000
_CAPTIONS = {  # of charts whose name alone says little
    "hardest_pairs": "hardest pairs: one identity with the least similarity, two identities with the most",
    "roc": "ROC: pairs of one identity that are accepted, by pairs of two that are",
    "similarities": "similarities (cosine) of pairs of one identity and of two",
}


@dataclass
class Section:
    """What the page shows of one part of several, or of all there is.

    Attributes:
        name: of the part; empty for a single task, and for what the parts have in common.
        curves: over the epochs.
        results: metric -> stage -> value.
        figures: the charts as ``data:`` addresses, by name.
        tables: rows by the tables' names.
    """

    name: str
    curves: list[Chart]
    results: dict[str, dict[str, float]]
    figures: dict[str, str]
    tables: dict[str, list[dict[str, Any]]]


def sections(whole: Section, parts: Mapping[str, Mapping[str, str]]) -> tuple[Section, list[Section]]:
    """What the parts have in common, and a section a part; without parts, the whole as it is.

    Args:
        whole: everything.
        parts: of info.json: by part, in their order, its ``primary`` metric.
    """

    def of(name: str, primary: str) -> Section:
        def own(every: Mapping[str, Any]) -> dict[str, Any]:
            return {key: value for key, value in every.items() if _part_of(key, parts) == name}

        curves = [chart for chart in whole.curves if _part_of(chart.title, parts) == name]
        if name:  # what it is chosen by, then what was measured, then what only its loss is made of
            curves.sort(key=lambda chart: (chart.title != f"{name}/{primary}", "train" in chart.lines, chart.title))
        results = own(whole.results)
        first = {key: results.pop(key) for key in (f"{name}/{primary}",) if key in results}
        return Section(name, curves, {**first, **results}, own(whole.figures), own(whole.tables))

    return of("", ""), [of(name, each.get("primary", "")) for name, each in parts.items()]


def numeric(rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """The columns of a table that hold a number somewhere."""
    return {column for row in rows for column, value in row.items() if isinstance(value, int | float)}


def _part_of(name: str, parts: Mapping[str, Any]) -> str:
    """The part that a metric, a chart or a table belongs to; empty where it is no part's."""
    part, slash, _ = name.partition("/")
    return part if slash and part in parts else ""


def collect(folder: RunFolder) -> dict[str, Any]:
    """Everything that the page's template asks for; empty where the folder does not have it."""
    info = read_info(folder)
    history = read_history(folder.metrics_csv)
    metrics = read_metrics(folder.metrics_json)
    curves = charts(history, info.get("primary", ""), info.get("mode", "max"))
    best = next((chart.best for chart in curves if chart.best), None)
    tables = {
        name: rows[:_SHOWN_ROWS]
        for name, rows in read_object(folder.tables_json).items()
        if rows and part_and_name(name)[1] not in _DRAWN_ELSEWHERE
    }
    figures = {path.stem.replace(".", "/"): _embed(path) for path in sorted(folder.figures.glob("*.png"))}
    skipped = [f"skipped {row['file']}: {row['reason']}" for row in read_csv(folder.skipped)]
    problems = [*info.get("problems", []), *skipped]
    stages, results = by_stage(metrics)
    folds = read_object(folder.path / "cv.json")
    if folds:
        stages, results = _of_folds(folds)
    parts = info.get("parts") or {}
    common, of_parts = sections(Section("", curves, results, figures, tables), parts)
    title = folder.path.resolve().name
    if "task" in info:
        title = f"{info['task'].replace('_', ' ')} · {info['backbone']} · side {side(info['resolution'])}"
    return {
        "title": title,
        "run": str(folder.path),
        "info": info,
        "tiles": _tiles(info, metrics, best, folds, resumed=_resumed(folder.log)),
        "stages": stages,
        "common": common,
        "parts": of_parts,
        "captions": _CAPTIONS,
        "numeric": numeric,
        "over": ", pooled over all folds" if folds else "",
        "pictures": _images(folder.predictions, panels=max(1, len(parts))),
        "problems": problems[:_SHOWN_PROBLEMS],
        "more_problems": max(0, len(problems) - _SHOWN_PROBLEMS),
        "config": folder.config.read_text(encoding="utf-8") if folder.config.is_file() else "",
    }


def _of_folds(folds: dict[str, Any]) -> tuple[list[str], dict[str, dict[str, float]]]:
    """The columns and rows of a cross-validation's results, in place of a run's stages."""
    columns = {
        "mean over folds": folds["mean"],
        "± deviation": folds["standard_deviation"],
        "pooled over all folds": folds["pooled"],
    }
    columns = {name: values for name, values in columns.items() if values}
    rows = {
        metric: {name: values[metric] for name, values in columns.items() if metric in values}
        for metric in folds["mean"]
    }
    return list(columns), rows


def _tiles(
    info: dict[str, Any],
    metrics: dict[str, float],
    best: tuple[int, float] | None,
    folds: dict[str, Any],
    *,
    resumed: bool,
) -> list[dict[str, str]]:
    """The few numbers that people look for first; a run that was resumed also waited, so its time says nothing."""
    primary = info.get("primary", "")
    found = []
    if folds:
        spread = f"± {folds['standard_deviation'][primary]:.3f}, mean over {len(folds['folds'])} folds"
        found.append((f"test {primary}", f"{folds['mean'][primary]:.3f}", spread))
    for stage in () if folds else ("test", "val"):
        if f"{stage}/{primary}" in metrics:
            judges = info.get("samples", {}).get(stage)
            of = f"of {judges:,} images" if judges else ""
            found.append((f"{stage} {primary}", f"{metrics[f'{stage}/{primary}']:.3f}", of))
    if best and f"val/{primary}" not in metrics:
        found.append((f"val {primary}", f"{best[1]:.3f}", f"best, epoch {best[0]}"))
    if "parameters" in info:
        found.append(("parameters", short(info["parameters"]), f"{4 * info['parameters'] / 1e6:.1f} MB as float32"))
        found.append(("mult-adds", short(info["mult_adds"]), "an image"))
    if samples := info.get("samples"):
        detail = ", ".join(f"{count:,} {name}" for name, count in samples.items())
        found.append(("images", f"{sum(samples.values()):,}", detail))
    if lasted := "" if resumed else _lasted(info):
        found.append(("time", lasted, str(info.get("device", ""))))
    return [{"name": name, "value": value, "detail": detail} for name, value, detail in found]


def short(number: float) -> str:
    """A large number for people: ``4.2 M``."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:g}"


def _lasted(info: dict[str, Any]) -> str:
    """From the start to the end, in words."""
    if "started" not in info or "finished" not in info:
        return ""
    seconds = (datetime.fromisoformat(info["finished"]) - datetime.fromisoformat(info["started"])).total_seconds()
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _resumed(log: Path) -> bool:
    """Whether train.log has more than one part; each begins with a line of dashes and the time."""
    if not log.is_file():
        return False
    with log.open(encoding="utf-8") as file:
        return sum(line.startswith("--- ") for line in file) > 1


def _images(folder: Path, *, panels: int) -> dict[str, list[dict[str, Any]]]:
    """The drawn predictions by the first part of their names, worst before typical.

    Args:
        folder: the run's ``predictions``.
        panels: drawings that lie beside each other in an image, one a part.
    """
    if not (rows := read_csv(folder / "predictions.csv")):
        return {}
    groups: dict[str, list[dict[str, Any]]] = {}
    listed = [*rows, *read_csv(folder / "confused.csv")]
    drawn = [row for row in listed if is_name(row.get("picture")) and (folder / row["picture"]).is_file()]
    for row in sorted(drawn, key=lambda row: row["picture"]):
        group, path = row["picture"].partition("_")[0], folder / row["picture"]
        looked = path.parent / "activation" / path.name
        activation = _embed(looked, side=320) if looked.is_file() else ""
        shown = {"data": _embed(path, side=320 * panels), "wide": _is_wide(path), "activation": activation}
        shown["panels"] = panels
        groups.setdefault(group, []).append({**row, **shown})
    return {name: groups[name] for name in sorted(groups, reverse=True)}


def _is_wide(path: Path) -> bool:
    """Whether two panels lie side by side in an image."""
    with Image.open(path) as image:
        return image.width > 1.5 * image.height


def _embed(path: Path, *, side: int | None = None) -> str:
    """An image as a ``data:`` address: a chart as it is, a photo of at most ``side`` pixels as JPEG."""
    if side is None:
        return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    buffer = io.BytesIO()
    with Image.open(path) as image:
        image.thumbnail((side * (1 + _is_wide(path)), side * 2), Image.Resampling.LANCZOS)
        image.convert("RGB").save(buffer, format="JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def write_report(folder: RunFolder) -> Path:
    """Make ``report.html`` from what lies in the run folder; a missing part is left out.

    Images, charts, style and script are inside the page: nothing is fetched, and the file can be sent as it is.

    Args:
        folder: the run's.

    Returns:
        The page's file.
    """
    write_text(folder.report, template("page.html.j2").render(collect(folder)))
    return folder.report


def template(name: str, *, lstrip_blocks: bool = True) -> Template:
    """A template of this folder; what a page does not give it is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    how: Any = {"autoescape": True, "undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": lstrip_blocks}
    return Environment(loader=FileSystemLoader(Path(__file__).parent), **how).get_template(name)
