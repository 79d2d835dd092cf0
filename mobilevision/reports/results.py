"""After the test: metrics, tables and charts into the run folder and the tracker, the report, the last words."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mobilevision.callbacks.history import read_history
from mobilevision.engine.info import update_info
from mobilevision.io.atomic_files import read_csv, write_json, write_metrics
from mobilevision.io.printable_text import is_name
from mobilevision.prediction.samples import tracked_images
from mobilevision.reports import summary
from mobilevision.tracking.tracker import SampleImage

if TYPE_CHECKING:
    from mobilevision.engine.build import Built
    from mobilevision.tasks.base import Stage, Task
    from mobilevision.tracking.loggers import Tracker
    from mobilevision.tracking.run_folder import RunFolder

Tables = Mapping[str, list[dict[str, Any]]]

_log = logging.getLogger(__name__)
_IMAGES = 16
MIN_TEST_IMAGES = 20
"""Images of test (or val) below which a metric moves by points with each of them."""
FOLDS = 5
_MISTAKES = 20  # of a confusion matrix that are listed
_WIDEST = 200  # classes of a confusion matrix that is kept as a table


def write_results(
    built: Built,
    folder: RunFolder,
    tracker: Tracker,
    results: Mapping[str, float],
    teacher_comparison: list[dict[str, Any]] | None = None,
) -> None:
    """Write and track what the training came to, and print it; called in one process.

    Args:
        built: the task as it was tested, and what it was tested on.
        folder: the run's.
        tracker: the run's.
        results: ``<stage>/<metric>`` -> value; the stage is test, or val where the data has no test.
        teacher_comparison: rows of student and teacher, for a distilled run.
    """
    stage: Stage = "test" if any(name.startswith("test/") for name in results) else "val"
    write_metrics(folder.metrics_json, results)
    more = {"student_and_teacher": teacher_comparison} if teacher_comparison else {}
    keep_evaluation(built.task, folder, stage, more)
    update_info(folder, {"finished": datetime.now().isoformat(timespec="seconds")})
    track(built, folder, tracker, results, stage, more)
    try:
        from mobilevision.reports.page import write_report

        write_report(folder)
    except Exception as error:  # hours of training do not end in a traceback for the sake of a page
        _log.warning("report.html could not be written: %s", error, exc_info=True)
    if teacher_comparison:
        summary.print_teacher_comparison(teacher_comparison)
    summary.print_results(results, folder, tracker.closing(), judged=small_test_set_warning(built, stage))


def small_test_set_warning(built: Built, stage: Stage) -> str:
    """What to say where a handful of images judged a model, and folds would judge by more; else nothing."""
    data, kind = built.data, built.task.data_spec.kind
    judges = getattr(data.splits, stage)
    drawn = not any(each.format.expected for each in data.parts.values() or [data])  # as many as are asked for
    if judges is None or len(judges) >= MIN_TEST_IMAGES or data.folds or data.splits.train is None or drawn:
        return ""
    each = f", each of which is {100 / len(judges):.0f} points" if kind == "class" else ""
    counts = built.task.data_spec.counts if kind == "class" else ()
    extended = built.cfg.get("extend") is not None  # its images stay where they were
    folds = min([FOLDS, len(data.splits.train), *counts])
    steadier = f"; data.folds={folds} judges by all images of train, each once" if folds > 1 and not extended else ""
    return f"{len(judges)} image{'s' * (len(judges) > 1)} of {stage}{each}{steadier}"


def keep_evaluation(task: Task, folder: RunFolder, stage: Stage, more: Tables | None = None) -> None:
    """The task's tables as ``tables.json`` (table -> rows) and its charts as ``figures/<name>.png``."""
    write_json(folder.tables_json, {**(more or {}), **readable(task.tables(stage))})
    folder.figures.mkdir(exist_ok=True)
    for name, image in task.figures(stage).items():
        image.save(folder.figures / f"{name.replace('/', '.')}.png")  # of several parts: part/name


def readable(tables: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """The tables, with the most frequent mistakes of a confusion matrix listed, and itself left out where it is huge.

    Args:
        tables: name -> rows; ``confusion`` has a row a true class: its name, then counts by predicted class.
    """
    found = dict(tables)
    for name, rows in tables.items():
        if summary.part_and_name(name)[1] != "confusion" or not rows:
            continue
        found[f"{summary.part_and_name(name)[0]}most_confused"] = most_confused(rows)
        if len(rows) > _WIDEST:  # a thousand classes are a million cells; the chart shows them
            del found[name]
    return found


def most_confused(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The most frequent mistakes: true class, predicted class, how often, and the share of the true class."""
    mistakes = []
    for row in rows:
        name, *_ = row.values()
        cells = {key: value for key, value in list(row.items())[1:] if value}
        total = sum(cells.values())
        mistakes += [
            {"truth": name, "taken_for": predicted, "times": times, "share": times / total}
            for predicted, times in cells.items()
            if predicted != name
        ]
    return sorted(mistakes, key=lambda row: (-row["times"], -row["share"]))[:_MISTAKES]


def track(
    built: Built, folder: RunFolder, tracker: Tracker, results: Mapping[str, float], stage: Stage, more: Tables
) -> None:
    """Tables, charts, sample images, final numbers with the costs, and the best checkpoint to the tracker."""
    for name, rows in {**more, **readable(built.task.tables(stage))}.items():
        tracker.table(f"{stage}/{name}", rows)
    for name, image in built.task.figures(stage).items():
        tracker.figure(f"{stage}/{name}_chart", image)
    rows = read_csv(folder.predictions / "predictions.csv")
    shown = tracked_images([row for row in rows if is_name(row["picture"])][:_IMAGES], folder.predictions)
    tracker.samples(f"{stage}/predictions", shown)
    looked = [(folder.predictions / "activation" / each.path.name, each.caption) for each in shown]
    tracker.samples(f"{stage}/activation_maps", [SampleImage(path, said) for path, said in looked if path.is_file()])
    costs = {"cost/parameters": built.cost.parameters, "cost/mult_adds": built.cost.mult_adds}
    tracker.summary({**results, **costs, **best_on_val(built.task, folder)})
    tracker.model(folder.best, {**results, **costs})


def best_on_val(task: Task, folder: RunFolder) -> dict[str, float]:
    """The best value of the metric that the run chose by, and its epoch; epoch 0 is the probe."""
    name = f"val/{task.followed}"
    rows = [row for row in read_history(folder.metrics_csv) if row.get(name)]
    if not rows:
        return {}
    best = (max if task.followed_mode == "max" else min)(rows, key=lambda row: float(row[name]))
    return {f"best/{name}": float(best[name]), "best/epoch": int(best["epoch"])}
