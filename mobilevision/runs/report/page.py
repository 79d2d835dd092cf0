"""What the report shows, gathered from the run folder."""

from __future__ import annotations

import base64
import csv
import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image

from mobilevision.ops.plain_text import is_name, uncells
from mobilevision.ops.regular_files import read_text
from mobilevision.runs.callbacks.history import read_history
from mobilevision.runs.folder import RunFolder
from mobilevision.runs.info import read_info
from mobilevision.runs.report.curves import charts
from mobilevision.runs.summary import by_stage, side

_DRAWN_ELSEWHERE = ("confusion", "calibration", "pr_curves")  # tables that a chart shows
_SHOWN_PROBLEMS = 200
_SHOWN_ROWS = 2000
_CAPTIONS = {  # of charts whose name alone says little
    "hardest_pairs": "hardest pairs: one identity with the least similarity, two identities with the most",
    "roc": "ROC: pairs of one identity that are accepted, by pairs of two that are",
    "similarities": "similarities (cosine) of pairs of one identity and of two",
}


def collect(folder: RunFolder) -> dict[str, Any]:
    """Everything that the page's template asks for; empty where the folder does not have it."""
    info = read_info(folder)
    history = read_history(folder.metrics_csv)
    metrics = _json(folder.metrics_json)
    curves = charts(history, info.get("primary", ""), info.get("mode", "max"))
    best = next((chart.best for chart in curves if chart.best), None)
    tables = _json(folder.tables_json)
    problems = [*info.get("problems", []), *_skipped(folder.skipped)]
    stages, results = by_stage(metrics)
    folds = _json(folder.path / "cv.json")
    if folds:
        stages, results = _of_folds(folds)
    return {
        "title": " · ".join(_title(info)) or folder.path.resolve().name,
        "run": str(folder.path),
        "info": info,
        "tiles": _tiles(info, metrics, best, folds, resumed=_resumed(folder.log)),
        "stages": stages,
        "results": results,
        "curves": curves,
        "tables": {name: rows[:_SHOWN_ROWS] for name, rows in tables.items() if rows and name not in _DRAWN_ELSEWHERE},
        "figures": {path.stem: _embed(path) for path in sorted(folder.figures.glob("*.png"))},
        "captions": _CAPTIONS,
        "over": ", pooled over all folds" if folds else "",
        "pictures": _pictures(folder.predictions),
        "problems": problems[:_SHOWN_PROBLEMS],
        "more_problems": max(0, len(problems) - _SHOWN_PROBLEMS),
        "config": folder.config.read_text(encoding="utf-8") if folder.config.is_file() else "",
    }


def _title(info: dict[str, Any]) -> list[str]:
    if "task" not in info:
        return []
    return [info["task"].replace("_", " "), str(info["backbone"]), f"side {side(info['resolution'])}"]


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
        found.append(("mult-adds", short(info["mult_adds"]), "a picture"))
    if samples := info.get("samples"):
        detail = ", ".join(f"{count:,} {name}" for name, count in samples.items())
        found.append(("pictures", f"{sum(samples.values()):,}", detail))
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


def _pictures(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The drawn predictions by the first part of their names, worst before typical."""
    path = folder / "predictions.csv"
    if not path.is_file():
        return {}
    groups: dict[str, list[dict[str, Any]]] = {}
    listed = [row for table in (path, folder / "confused.csv") for row in _rows(table)]
    drawn = [row for row in listed if is_name(row.get("picture")) and (folder / row["picture"]).is_file()]
    for row in sorted(drawn, key=lambda row: row["picture"]):
        group = row["picture"].partition("_")[0]
        path = folder / row["picture"]
        groups.setdefault(group, []).append({**row, "data": _embed(path, side=320), "wide": _is_wide(path)})
    return {name: groups[name] for name in sorted(groups, reverse=True)}


def _rows(table: Path) -> list[dict[str, Any]]:
    if not table.is_file():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        return list(map(uncells, csv.DictReader(file)))


def _is_wide(path: Path) -> bool:
    """Whether two panels lie side by side in a picture."""
    with Image.open(path) as picture:
        return picture.width > 1.5 * picture.height


def _embed(path: Path, *, side: int | None = None) -> str:
    """A picture as a ``data:`` address: a chart as it is, a photo of at most ``side`` pixels as JPEG."""
    if side is None:
        return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    buffer = io.BytesIO()
    with Image.open(path) as picture:
        picture.thumbnail((side * (1 + _is_wide(path)), side * 2), Image.Resampling.LANCZOS)
        picture.convert("RGB").save(buffer, format="JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _skipped(path: Path) -> list[str]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [f"skipped {row['file']}: {row['reason']}" for row in map(uncells, csv.DictReader(file))]


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
