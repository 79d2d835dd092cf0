"""Cross-validation: a run a fold, each evaluated on images that it never saw; then mean, spread and pooled figures.

On few images a test of a fifth of them says little: of 40 images each is 2.5 points. With folds every image is
evaluated once, by a model that was neither trained on it nor chosen by it (Stone 1974; Hastie et al. 2009, section
7.10).
"""

from __future__ import annotations

import csv
import hashlib
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from mobilevision.engine.info import command_line, read_info
from mobilevision.errors import StoppedError, UserError
from mobilevision.io.atomic_files import remove_unfinished, write_csv, write_json, write_metrics, write_text
from mobilevision.tracking.run_folder import FINAL, FOLDS, RunFolder
from mobilevision.training.sweep import Start, differences, finished, refuse_processes

RESULT = "cv.json"
_ADD_FINAL = "data.folds_final=true"
_WORST = 12  # images of all folds that the page shows


class Fold(NamedTuple):
    """One run.

    Attributes:
        folder: of the run.
        images: of its test, which the run never saw.
        metrics: of its test, without the stage.
    """

    folder: RunFolder
    images: int
    metrics: dict[str, float]


def cross_validate(cfg: DictConfig, start: Start) -> dict[str, float]:
    """Do what is left of a cross-validation, and sum it up.

    Args:
        cfg: with ``data.folds`` above 1 and no ``data.fold``.
        start: trains by a config.

    Returns:
        The mean of each metric over the folds, by ``test/<metric>``.

    Raises:
        UserError: the folder holds another cross-validation, several processes are asked for, or a run failed.
        StoppedError: somebody stopped a run; the same command goes on.
    """
    refuse_processes(cfg, f"data.folds={cfg.data.folds}")
    folder = _open(cfg)
    number = int(cfg.data.folds)
    print(f"cross-validation in {folder}\n" + "\n".join(statement(cfg)), flush=True)
    folds = []
    for fold in range(1, number + 1):
        run = RunFolder(folder / f"fold_{fold}")
        print(f"\nfold {fold} of {number}: {run.path.name}", flush=True)
        one = _run_config(cfg, run)
        OmegaConf.update(one, "data.fold", fold)
        OmegaConf.update(one, "data.folds_final", False)
        found = finished(one, run) or _begin(one, start, folder)
        metrics = {name.partition("/")[2]: value for name, value in found.items() if name.startswith("test/")}
        folds.append(Fold(run, read_info(run)["samples"]["test"], metrics))
    if cfg.data.folds_final:
        _train_final(cfg, RunFolder(folder / FINAL), start)
    return sum_up(folder, cfg, folds)


def _begin(cfg: DictConfig, start: Start, folder: Path) -> dict[str, float]:
    """Train, or go on; who stops a run has stopped all."""
    try:
        return start(cfg)
    except StoppedError as stopped:
        where = f"stopped in {Path(str(cfg.run_dir)).name}; resume={shlex.quote(str(folder))} goes on"
        raise StoppedError(where) from stopped


def statement(cfg: DictConfig) -> list[str]:
    """Which images choose and which evaluate, in words."""
    share = f"{cfg.data.val_fraction * 100:g} % of" if cfg.data.val_fraction else "no part of"
    lines = [
        f"chooses: val, {share} the folds that a run trains on (or the data's own val)",
        f"judges: the fold that a run never saw, each of {cfg.data.folds} once; a test of the data's own is left apart",
    ]
    if OmegaConf.select(cfg, "distill.teacher") is not None:
        lines.append("the teacher must not have seen these images either: else it passes on what it knows of them")
    if cfg.trainer.max_time is not None:
        runs = int(cfg.data.folds) + bool(cfg.data.folds_final)
        lines.append(f"time: trainer.max_time={cfg.trainer.max_time} is for each run; there are {runs}")
    return lines


def resume_folds(folder: str, overrides: Sequence[str]) -> DictConfig:
    """The config of a cross-validation that goes on.

    Raises:
        UserError: anything but a final run is asked for beside ``resume``, or the config cannot be used.
    """
    from mobilevision.config.loaded import read_config

    given = [each for each in overrides if each.lstrip("+").partition("=")[0] != "resume"]
    if more := [each for each in given if each != _ADD_FINAL]:
        raise UserError(f"{more[0]}: a cross-validation goes on as it was begun: resume={folder}, perhaps {_ADD_FINAL}")
    cfg = read_config(Path(folder) / FOLDS)
    if given:
        OmegaConf.update(cfg, "data.folds_final", True)
    cfg.run_dir = folder
    return cfg


def _open(cfg: DictConfig) -> Path:
    """The folder: ``run_dir``, or one that the same command finds again."""
    bare = OmegaConf.merge(cfg, {"run_dir": None, "resume": None})
    plain = OmegaConf.to_yaml(bare, resolve=True)
    OmegaConf.update(bare, "data.folds_final", False)  # a final run can be added to the same folds
    digest = hashlib.sha256(OmegaConf.to_yaml(bare, resolve=True).encode()).hexdigest()[:8]
    folder = Path(cfg.run_dir or Path("outputs") / str(cfg.task.name) / f"folds_{digest}")
    RunFolder(folder).check_parts()
    remove_unfinished(folder / FOLDS)
    if (folder / "config.yaml").exists():
        raise UserError(f"run_dir={folder} holds a run already: name another folder")
    if (folder / FOLDS).exists():
        from mobilevision.io.safe_yaml import read_yaml

        now, before = OmegaConf.create(plain), read_yaml(folder / FOLDS)
        assert isinstance(now, DictConfig)
        changed = differences(before, now)
        runs = [RunFolder(each) for each in folder.glob("fold_*")]
        if changed and all(run.nothing_trained for run in runs):  # such as after more folds than can be cut
            for run in runs:
                run.config.unlink(missing_ok=True)
            write_text(folder / FOLDS, plain)
        elif changed:
            raise UserError(
                f"{folder} holds a cross-validation of another configuration ({', '.join(changed[:3])}): "
                "name another run_dir, or move it away"
            )
        if before["data"].get("folds_final"):
            OmegaConf.update(cfg, "data.folds_final", True)
        elif cfg.data.folds_final:
            write_text(folder / FOLDS, plain)
    else:
        write_text(folder / FOLDS, plain)
    return folder


def _run_config(cfg: DictConfig, run: RunFolder) -> DictConfig:
    one = cfg.copy()
    OmegaConf.update(one, "run_dir", str(run.path))
    return one


def _train_final(cfg: DictConfig, run: RunFolder, start: Start) -> None:
    """One more run, on the images of all folds: a val is cut as in theirs, a test is not."""
    print(f"\nall folds: {run.path.name}", flush=True)
    one = _run_config(cfg, run)
    for key, value in (("folds", None), ("folds_final", False), ("test_fraction", 0.0)):
        OmegaConf.update(one, f"data.{key}", value)
    if finished(one, run) is None:
        _begin(one, start, run.path.parent)


def sum_up(folder: Path, cfg: DictConfig, folds: Sequence[Fold]) -> dict[str, float]:
    """Print the table; write ``cv.json``, the tables and ``report.html`` into the folder.

    Returns:
        The mean of each metric over the folds, by ``test/<metric>``.
    """
    import numpy as np

    from mobilevision.reports.page import write_report

    info = read_info(folds[0].folder)
    names = list(folds[0].metrics)
    values = np.array([[fold.metrics[name] for name in names] for fold in folds])  # NaN where a fold has none
    means = dict(zip(names, values.mean(axis=0).tolist(), strict=True))
    spreads = dict(zip(names, values.std(axis=0, ddof=1).tolist(), strict=True))
    place = RunFolder(folder)
    table = [{"fold": fold.folder.path.name, "images": fold.images, **fold.metrics} for fold in folds]
    pooled, why = pool(place, cfg, folds, {"folds": table})
    images = sum(fold.images for fold in folds)
    rows = [{"fold": "mean", "images": images, **means}, {"fold": "std", "images": "", **spreads}]
    if pooled:
        rows.append({"fold": "pooled", "images": images, **pooled})
    print_folds([*table, *rows], info["primary"])
    statements = [*statement(cfg), f"pooled: all {images:,} predictions measured at once" if pooled else why]
    write_json(
        folder / RESULT,
        {
            "folds": table,
            "metric": info["primary"],
            "mean": means,
            "standard_deviation": spreads,
            "pooled": pooled,
            "statement": statements,
            "final": FINAL if cfg.data.folds_final else None,
        },
    )
    results = {f"test/{name}": value for name, value in means.items()}
    write_metrics(place.metrics_json, results)
    kept = ("task", "primary", "mode", "backbone", "width", "resolution", "channels", "parameters", "mult_adds")
    write_json(
        place.info_json,
        {
            **{key: info[key] for key in (*kept, "classes", "weights", "device", "versions")},
            "samples": {"in all folds": images},
            "notes": [*statements, f"{info['primary']}: {means[info['primary']]:.3f} ± {spreads[info['primary']]:.3f}"],
            "command": command_line(),
        },
    )
    _gather_worst(place, folds)
    write_report(place)
    print(f"\nfolder      {folder}\nreport      {place.report}", flush=True)
    if cfg.data.folds_final:
        print(f"the model   {folder / FINAL}, of all images; what it is worth is what the folds say", flush=True)
    return results


def pool(
    place: RunFolder, cfg: DictConfig, folds: Sequence[Fold], tables: dict[str, list[dict[str, Any]]]
) -> tuple[dict[str, float], str]:
    """Measure the predictions of all folds, each by its own run, as one set; keep its tables and charts.

    Returns:
        Metric -> value, and why there is none.
    """
    from mobilevision.config.loaded import read_config
    from mobilevision.engine.build import build_data
    from mobilevision.engine.restore import load_run
    from mobilevision.prediction.samples import evaluating
    from mobilevision.reports.results import keep_evaluation

    apart = {
        "identity": "not pooled: embeddings of two models cannot be compared",
        "coordinate": "not pooled: each run has the cells of its own photos; data.cells.file gives all the same",
    }
    kind = str(cfg.task.kind)
    if kind == "identity" or (kind == "coordinate" and cfg.data.cells.file is None):
        write_json(place.tables_json, tables)
        return {}, apart[kind]
    first = load_run(folds[0].folder.path).task
    meter = first.meter("test")
    meter.has_loss = False
    for fold in folds:
        task = first if fold is folds[0] else load_run(fold.folder.path).task
        data = build_data(read_config(fold.folder.config))
        data.setup_data(default_resolution=task.data_spec.resolution, crop=task.backbone.preset.crop)
        with evaluating(task):
            for batch in data.eval_dataloader("test"):
                meter.update(None, task.decode(task.outputs(batch)), batch["target"], samples=len(batch["index"]))
    meter.tabulate()
    keep_evaluation(first, place, "test", tables)
    return {name: float(value) for name, value in meter.metric.compute().items()}, ""


def print_folds(rows: Sequence[dict[str, Any]], first: str) -> None:
    """The table on the console, the metric that the runs follow first."""
    from rich.console import Console
    from rich.table import Table

    names = sorted((name for name in rows[0] if name not in ("fold", "images", "loss")), key=lambda name: name != first)
    table = Table(box=None, pad_edge=False)
    for name in ("fold", "images", *names[:6]):
        table.add_column(name, justify="left" if name == "fold" else "right")
    for row in rows:
        shown = [f"{row[name]:.3f}" if name in row else "" for name in names[:6]]
        table.add_row(str(row["fold"]), f"{row['images']:,}" if row["images"] else "", *shown)
    print()
    Console().print(table)


def _gather_worst(place: RunFolder, folds: Sequence[Fold]) -> None:
    """The worst images of all folds, as their runs drew them, into ``predictions/``."""
    listed = []
    for fold in folds:
        path = fold.folder.predictions / "predictions.csv"
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if row.get("picture", "").startswith("worst")]
            listed += [(float(row["loss"]), fold, row) for row in rows]
    listed.sort(key=lambda each: -each[0])
    shutil.rmtree(place.predictions, ignore_errors=True)
    if not listed:
        return
    place.predictions.mkdir(parents=True)
    kept = []
    for number, (_, fold, row) in enumerate(listed[:_WORST], start=1):
        name = f"worst_{number:02d}.png"
        shutil.copyfile(fold.folder.predictions / row["picture"], place.predictions / name)
        kept.append({**row, "picture": name, "fold": fold.folder.path.name})
    write_csv(place.predictions / "predictions.csv", kept, escape=False)
