"""Measure a run, or pretrained weights, on data: its own test split or any other."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from omegaconf import DictConfig, OmegaConf

from mobilevision.errors import UserError
from mobilevision.runs.evaluation_config import changed_config, take_split
from mobilevision.runs.folder import RunFolder, write_json

if TYPE_CHECKING:
    from pytorch_lightning import Trainer

    from mobilevision.data import Records
    from mobilevision.data.skipped import SkipLog
    from mobilevision.runs.evaluation_data import Samples
    from mobilevision.spec import DataSpec


@final
@dataclass(frozen=True)
class _Subject:
    """What is evaluated, on what: a task, samples and their records in its class order, the config that tells how."""

    task: Any
    spec: DataSpec
    samples: Samples
    records: Records
    cfg: DictConfig


def evaluate(target: str | Path | None, overrides: Sequence[str] = ()) -> dict[str, float]:
    """Measure a trained run, or pretrained weights without a run.

    With a run: ``data=``, ``data.*``, ``trainer=`` and ``trainer.*`` may be changed, and ``split=test|val|train``
    chooses. Without changes to the data, the run's own split is measured again; other data must have classes that the
    run knows, by name, in any order. Without a run: the config composed of ``overrides``, whose ``backbone.weights``
    bring their own classifier, on data of as many classes. Exact on any number of processes.

    The numbers are printed, and written with tables and charts to ``<run>/evaluations/<date_time>/`` (without a run,
    ``outputs/evaluate/<date_time>/``); the training's own are not touched.

    Args:
        target: a run folder, or None for pretrained weights.
        overrides: as on the command line.

    Returns:
        ``<split>/<metric>`` -> value; the same in every process.

    Raises:
        UserError: for all that the user can mend.
    """
    from mobilevision.data.skipped import SkipLog
    from mobilevision.runs.processes import shared_folder
    from mobilevision.runs.recording import quiet

    split, changes = take_split(overrides)
    folder = RunFolder(shared_folder(lambda: _new_folder(target)))
    skip = SkipLog(folder.skipped)
    with quiet(), _gone_if_empty(folder):
        subject = _weights(changes, split, skip) if target is None else _run(target, changes, split, skip)
        trainer = _trainer(subject.cfg)
        if trainer.is_global_zero:
            _announce(subject, target)
        metrics = _measure(subject, trainer, skip)
    if trainer.is_global_zero:
        _keep(subject, folder, target, metrics)
    return metrics


@contextmanager
def _gone_if_empty(folder: RunFolder) -> Iterator[None]:
    """Leave no empty folder behind an evaluation that could not be made."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            folder.path.rmdir()
        raise


def _new_folder(target: str | Path | None) -> Path:
    if target is None:
        return RunFolder.create("evaluate", None).path
    name = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    base = RunFolder.existing(target).path / "evaluations"
    for count in range(1000):
        path = base / (name if count == 0 else f"{name}_{count}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path
    raise UserError(f"{base}: a thousand evaluations started in this second")


def _run(target: str | Path, changes: Sequence[str], split: str | None, skip: SkipLog) -> _Subject:
    """A run's best model, on its own data or on other."""
    from mobilevision.runs.build import build_data
    from mobilevision.runs.evaluation_data import in_order_of, new_samples, own_samples
    from mobilevision.runs.restore import load_run

    restored = load_run(target)
    spec, crop = restored.task.data_spec, restored.task.backbone.preset.crop
    cfg, other_data = changed_config(restored.cfg, changes, channels=spec.channels)
    data = build_data(cfg)
    log = skip if data.on_error == "skip" else None
    samples = new_samples(data, split, log) if other_data else own_samples(data, spec, crop, split)
    side = _resolution(cfg.data.resolution) if other_data else None
    records = in_order_of(samples, spec.classes)
    return _Subject(restored.task, replace(spec, resolution=side or spec.resolution), samples, records, cfg)


def _weights(changes: Sequence[str], split: str | None, skip: SkipLog) -> _Subject:
    """Pretrained weights with the classifier that they bring."""
    from mobilevision.runs.build import build_backbone, build_data, build_task
    from mobilevision.runs.compose import compose
    from mobilevision.runs.evaluation_data import new_samples
    from mobilevision.runs.plugins import load_for
    from mobilevision.spec import DataSpec

    cfg = compose(changes)
    load_for(cfg)
    if cfg.backbone.get("weights") is None:
        raise UserError("nothing to evaluate: name a run folder, or pretrained weights with backbone.weights=...")
    backbone, data = build_backbone(cfg), build_data(cfg)
    samples = new_samples(data, split, skip if data.on_error == "skip" else None)
    side = _resolution(cfg.data.resolution) or (backbone.preset.side, backbone.preset.side)
    spec = DataSpec(cfg.task.kind, samples.classes, cfg.data.channels, side)
    task = build_task(cfg, spec, backbone)
    if backbone.classifier is None:
        raise UserError(
            f"backbone.weights={cfg.backbone.weights} bring no classifier: train one, then evaluate the run"
        )
    if not task.head.load_classifier(*backbone.classifier):
        raise UserError(
            f"backbone.weights={cfg.backbone.weights} know {len(backbone.classifier.bias)} classes, the data has "
            f"{len(samples.classes)}: choose data of the same classes, or train a head and evaluate the run"
        )
    return _Subject(task, spec, samples, samples.records, cfg)


def _resolution(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _trainer(cfg: DictConfig) -> Trainer:
    from mobilevision.runs.build import instantiate
    from mobilevision.runs.callbacks import Progress

    live = sys.stdout.isatty()
    node = OmegaConf.to_container(cfg.trainer, resolve=True)
    assert isinstance(node, dict)
    node.update(node.pop("kwargs", None) or {})
    trainer: Trainer = instantiate(
        node,
        callbacks=[Progress()] if live else [],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=live,
    )
    return trainer


def _announce(subject: _Subject, target: str | Path | None) -> None:
    from mobilevision.runs.summary import print_evaluation

    report = subject.task.backbone.report
    weights = [] if report is None or target is not None else report.lines()
    print_evaluation(
        model=str(target or subject.cfg.backbone.weights),
        lines=weights,
        split=subject.samples.split,
        count=len(subject.records),
        notes=subject.samples.notes,
        resolution=subject.spec.resolution,
    )


def _measure(subject: _Subject, trainer: Trainer, skip: SkipLog) -> dict[str, float]:
    from mobilevision.data.module import default_workers
    from mobilevision.runs.evaluation_data import EvaluationData

    settings = subject.cfg.data
    data = EvaluationData(
        records=subject.records,
        spec=subject.spec,
        crop=subject.task.backbone.preset.crop,
        batch_size=settings.eval_batch_size or settings.batch_size,
        workers=default_workers() if settings.workers is None else settings.workers,
        skip=skip if settings.on_error == "skip" else None,
    )
    measured = trainer.test(subject.task, datamodule=data, verbose=False)
    return {
        f"{subject.samples.split}/{name.partition('/')[2]}": float(value)
        for part in measured
        for name, value in part.items()
    }


def _keep(subject: _Subject, folder: RunFolder, target: str | Path | None, metrics: dict[str, float]) -> None:
    from mobilevision.runs.finish import keep_evaluation
    from mobilevision.runs.info import command_line
    from mobilevision.runs.summary import print_metrics

    write_json(folder.metrics_json, metrics)
    keep_evaluation(subject.task, folder, "test")
    data = OmegaConf.to_container(subject.cfg.data, resolve=True)
    about = {"split": subject.samples.split, "samples": len(subject.records), "data": data}
    write_json(
        folder.info_json, {"model": str(target or subject.cfg.backbone.weights), **about, "command": command_line()}
    )
    print_metrics(metrics)
    print(f"written to {folder.path}")
