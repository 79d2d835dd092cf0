"""Measure a run, an exported model or pretrained weights on data: a run's own test split or any other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from omegaconf import OmegaConf

from mobilevision.config.keys import PARTS
from mobilevision.config.names import did_you_mean
from mobilevision.deploy.answers import find_answer
from mobilevision.deploy.manifest import Manifest, is_artifact
from mobilevision.engine.run_config import read_run_config
from mobilevision.errors import UserError
from mobilevision.evaluation.config import changed_config, take_split
from mobilevision.io.atomic_files import write_json, write_metrics
from mobilevision.io.regular_files import check_own_part
from mobilevision.io.text_columns import print_fact, side
from mobilevision.prediction.opening import check_run
from mobilevision.prediction.predict import check_shown, set_threshold, write_rows
from mobilevision.prediction.tiling import Tiling
from mobilevision.tracking.run_folder import RunFolder, new_folder

if TYPE_CHECKING:
    from pytorch_lightning import Callback

    from mobilevision.data.skipped import SkipLog
    from mobilevision.evaluation.data import EvaluationData
    from mobilevision.evaluation.subject import Subject
    from mobilevision.tracking.tracker import Tracker

_PINNED = ("data.resolution", "data.fit", "data.channels")


def evaluate(
    target: str | Path | None,
    overrides: Sequence[str] = (),
    *,
    scores: Literal["shown", "all"] | None = None,
    threshold: float | None = None,
    track_as: str | None = None,
    tiles: str | None = None,
    overlap: float | None = None,
    merge: Literal["best", "weighted"] | None = None,
) -> dict[str, float]:
    """Measure a trained run, an exported model, or pretrained weights without a run.

    With a run: ``data=``, ``data.*``, ``trainer=`` and ``trainer.*`` may be changed, and ``split=test|val|train``
    chooses. Without changes to the data, the run's own split is measured again; other data must have classes that the
    run knows, by name, in any order. Without a run: the config composed of ``overrides``, whose ``backbone.weights``
    bring their own classifier, on data of as many classes. An exported model is measured as a run is, through its
    runtime and from the files on, as its model.json says; ``data=`` has to be named, since it keeps no paths. Exact on
    any number of processes.

    The numbers are printed, and written with tables and charts to ``<target>/evaluations/<date_time>/`` (without a
    target, ``outputs/evaluate/<date_time>/``); the training's own are not touched.

    Args:
        target: a run folder, that of an exported model, or None for pretrained weights.
        overrides: as on the command line.
        scores: writes a row a sample (``predictions.csv`` and ``predictions.json``): ``shown`` what the model shows,
            ``all`` also every detection, or the probability of every class.
        threshold: score from which detections are shown, or attributes are there, in these rows; None takes what val
            chose. Metrics do not depend on it.
        track_as: also sends numbers, tables and charts to the run's tracker, into the run that trained the model, as
            ``<track_as>/<split>/<metric>``.
        tiles: a detector looks at overlapping tiles of each image, too, as in
            :func:`mobilevision.prediction.predict.predict`; there is no loss then.
        overlap: of tiles, likewise.
        merge: of tiles, likewise.

    Returns:
        ``<split>/<metric>`` -> value; the same in every process.

    Raises:
        UserError: for all that the user can mend.
    """
    split, changes = take_split(overrides)
    check_shown(scores, threshold)
    tiling = Tiling.of(tiles, overlap=overlap, merge=merge)
    if track_as is not None:
        _check_trackable(target, track_as)
    if target is not None and is_artifact(target):  # before torch is imported
        _check_measurable(target, changes)
    elif target is not None:
        _check_run(target, changes, tiling)
    from mobilevision.callbacks import Progress
    from mobilevision.config.auto_settings import without_training
    from mobilevision.data.skipped import SkipLog
    from mobilevision.engine.build import make_trainer
    from mobilevision.engine.recording import quiet
    from mobilevision.evaluation.predictions import CollectPredictions
    from mobilevision.evaluation.tiles import look_at_tiles
    from mobilevision.tracking.processes import shared_folder

    folder = RunFolder(shared_folder(lambda: _new_folder(target)))
    skip = SkipLog(folder.skipped)
    with quiet(), _gone_if_empty(folder):
        subject = _subject(target, changes, split, skip)
        data = _data(subject, skip)
        if tiling is not None:
            subject = look_at_tiles(subject, target, tiling)
        callbacks: list[Callback] = [Progress()]
        collected: CollectPredictions | None = None
        if scores is not None or threshold is not None:
            set_threshold(subject.task.current_answer, threshold)
            collected = CollectPredictions(data.source, all_scores=scores == "all")
            callbacks.append(collected)
        if track_as is not None:
            _require_tracker(subject, target)
        trainer = make_trainer(without_training(subject.cfg), callbacks, checkpoints=True)
        if trainer.is_global_zero:
            _announce(subject, target)
        measured = trainer.test(subject.task, datamodule=data, verbose=False)
        metrics = _by_split(subject.samples.split, measured)
        rows = None if collected is None else collected.rows()
    if trainer.is_global_zero:
        if rows is not None:
            write_rows(folder.path, rows)
        _keep(subject, folder, target, metrics, {} if tiling is None else {"tiles": str(tiling)})
        if track_as is not None:
            _track(subject, target, metrics, track_as)
    return metrics


def _check_trackable(target: str | Path | None, name: str) -> None:
    """Refuse to track what no training tracked.

    Raises:
        UserError: the target is no run, or the name is none of a group of metrics.
    """
    if target is None or is_artifact(target):
        raise UserError(f"--track-as {name}: only a run has a tracker: evaluate a run folder")
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w .-]*", name):
        raise UserError(f"--track-as {name}: a name of letters, digits, spaces, dots, - and _")


def _require_tracker(subject: Subject, run: str | Path | None) -> None:
    """See that the run was tracked, before anything is measured.

    Raises:
        UserError: it was trained with ``logger=none``.
    """
    from hydra.utils import get_method

    from mobilevision.tracking.loggers import no_logger

    if get_method(subject.cfg.logger["_target_"]) is no_logger:
        raise UserError(f"--track-as: {run} was trained with logger=none, so there is nowhere to send it")


def _track(subject: Subject, run: str | Path | None, metrics: Mapping[str, float], name: str) -> None:
    """Send what was measured to the tracker of the run, which goes on with what it tracked."""
    from mobilevision.engine.build import instantiate
    from mobilevision.reports.results import readable

    known = {"task": OmegaConf.to_container(subject.cfg.task, resolve=True)}  # the rest it knows from the training
    tracker: Tracker = instantiate(subject.cfg.logger, run_dir=run, config=known)
    group = f"{name}/{subject.samples.split}"
    tracker.log_metrics({f"{name}/{metric}": value for metric, value in metrics.items()})
    for table, rows in readable(subject.task.tables("test")).items():
        tracker.table(f"{group}/{table}", rows)
    for chart, image in subject.task.figures("test").items():
        tracker.figure(f"{group}/{chart}_chart", image)
    for line in tracker.closing():
        print(line)


def _check_measurable(folder: str | Path, overrides: Sequence[str]) -> None:
    """Look at the folder and at the overrides of an evaluation.

    Raises:
        UserError: the folder is damaged, no data is named, or something is asked for that the file has fixed.
    """
    manifest = Manifest.read(folder)
    find_answer(manifest, str(folder))
    manifest.check(Path(folder))
    keys = [each.lstrip("+").partition("=")[0] for each in overrides]
    if fixed := [key for key in keys if key in _PINNED or (key.startswith(f"{PARTS}.") and key.endswith(_PINNED))]:
        height, width = manifest.preprocessing.height, manifest.preprocessing.width
        raise UserError(
            f"{fixed[0]}: an exported model has its own side ({height} x {width}), fit and channels; leave it out"
        )
    parts = list(manifest.facts["parts"]) if manifest.answer == "parts" else []
    named = [key.split(".")[1] for key in keys if key.startswith(f"{PARTS}.")]
    if parts and (unknown := [name for name in named if name not in parts]):
        raise UserError(f"{PARTS}.{unknown[0]}: {folder} has no such part{did_you_mean(unknown[0], parts)}")
    told = [name for name in parts if name in named]
    without = [name for name in told or parts if f"{PARTS}.{name}.data" not in keys]
    if without or (not parts and "data" not in keys):
        start = f"{PARTS}.{without[0]}." if without else ""
        if rooted := [each for each in overrides if each.startswith(f"{start}data.root=")]:
            raise UserError(f"{rooted[0]}: {folder} does not keep of which format its data was: add {start}data=auto")
        known = manifest.about.get("data") or {}
        made = f" (it was trained on {known['name']})" if known.get("name") else ""
        of_parts = " (data of each part that is to be measured)" if parts else ""
        raise UserError(
            f"{folder} does not keep where its images lay{made}: name them, as in"
            f" `mobilevision evaluate {folder} {start}data=auto {start}data.root=IMAGES split=test`{of_parts}"
        )


def _check_run(run: str | Path, overrides: Sequence[str], tiling: Tiling | None) -> None:
    """Look at a run's config and at the overrides of an evaluation.

    Raises:
        UserError: no run, or something is asked for that it cannot be evaluated with.
    """
    check_run(run, tiles=tiling is not None)
    if overrides:
        _, cfg = read_run_config(run)
        changed_config(cfg, overrides, channels=cfg.data.channels)


def _subject(target: str | Path | None, changes: Sequence[str], split: str | None, skip: SkipLog) -> Subject:
    from mobilevision.evaluation.subject import of_run, of_weights

    if target is None:
        return of_weights(changes, split, skip)
    if is_artifact(target):
        from mobilevision.evaluation.exported_model import of_artifact

        return of_artifact(target, changes, split, skip)
    return of_run(target, changes, split, skip)


@contextmanager
def _gone_if_empty(folder: RunFolder) -> Iterator[None]:
    """Leave no empty folder behind an evaluation that could not be made."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            folder.path.rmdir()
            folder.path.parent.rmdir()
        raise


def _new_folder(target: str | Path | None) -> Path:
    if target is None:
        return RunFolder.create("evaluate", None).path
    base = (Path(target) if is_artifact(target) else RunFolder.existing(target).path) / "evaluations"
    check_own_part(base, "folder")
    return new_folder(base)


def _announce(subject: Subject, target: str | Path | None) -> None:
    from mobilevision.evaluation.subject import weights_of

    report = subject.task.backbone.report
    weights = [] if report is None or target is not None else report.lines()
    print_fact("model", "\n".join([str(target or weights_of(subject.cfg)), *weights]))
    print_fact("data", f"{subject.samples.split} {len(subject.records):,} · side {side(subject.spec.resolution)}")
    print_fact("", "\n".join(subject.samples.notes))


def _data(subject: Subject, skip: SkipLog) -> EvaluationData:
    from mobilevision.config.auto_settings import without_training
    from mobilevision.data.module import default_workers
    from mobilevision.evaluation.data import EvaluationData

    settings = without_training(subject.cfg).data
    return EvaluationData(
        records=subject.records,
        spec=subject.spec,
        crop=subject.task.backbone.preset.crop,
        batch_size=settings.eval_batch_size or settings.batch_size,
        workers=default_workers() if settings.workers is None else settings.workers,
        skip=skip if settings.on_error == "skip" else None,
    )


def _by_split(split: str, measured: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What Lightning measured as test, by the split that it was measured on."""
    every = (item for part in measured for item in part.items())
    return {f"{split}/{name.partition('/')[2]}": float(value) for name, value in every}


def _keep(
    subject: Subject,
    folder: RunFolder,
    target: str | Path | None,
    metrics: dict[str, float],
    more: Mapping[str, str],
) -> None:
    from mobilevision.engine.info import command_line
    from mobilevision.evaluation.subject import weights_of
    from mobilevision.reports.results import keep_evaluation
    from mobilevision.reports.summary import print_metrics

    write_metrics(folder.metrics_json, metrics)
    keep_evaluation(subject.task, folder, "test")
    data = OmegaConf.to_container(subject.cfg.data, resolve=True)
    about = {"split": subject.samples.split, "samples": len(subject.records), "data": data, **more}
    if target is None:  # no run says what model it was
        parts = {key: OmegaConf.to_container(subject.cfg[key], resolve=True) for key in ("task", "backbone", "head")}
        about |= {"config": parts, "resolution": list(subject.spec.resolution)}
    write_json(folder.info_json, {"model": str(target or weights_of(subject.cfg)), **about, "command": command_line()})
    print_metrics(metrics)
    print(f"written to {folder.path}")
