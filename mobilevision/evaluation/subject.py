"""What an evaluation measures: a run's model or pretrained weights, and the samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from omegaconf import DictConfig

from mobilevision.backbones.imagenet import outputs_of
from mobilevision.config.compose import compose
from mobilevision.config.used_plugins import load_for
from mobilevision.data.module import height_and_width
from mobilevision.data.skipped import SkipLog
from mobilevision.engine.build import build_backbone, build_data, build_task
from mobilevision.engine.restore import load_run
from mobilevision.errors import UserError
from mobilevision.evaluation.config import changed_config
from mobilevision.evaluation.data import Samples, in_order_of, new_samples, own_samples, samples_of_parts
from mobilevision.heads.torchvision_detectors import COCO_OUTPUTS, coco_output
from mobilevision.spec import DataSpec

if TYPE_CHECKING:
    from mobilevision.backbones import Backbone
    from mobilevision.data import Records
    from mobilevision.tasks.base import Task


@final
@dataclass(frozen=True)
class Subject:
    """What is evaluated, on what: a task, samples and their records in its class order, the config that tells how."""

    task: Task
    spec: DataSpec
    samples: Samples
    records: Records
    cfg: DictConfig


def of_run(target: str | Path, changes: Sequence[str], split: str | None, skip: SkipLog) -> Subject:
    """A run's best model, on its own data or on other.

    Args:
        target: the run folder.
        changes: overrides on the data and the trainer.
        split: which part of the data; None takes test, else val.
        skip: where bad images are listed, under ``data.on_error=skip``.

    Raises:
        UserError: no such run, data that cannot be read, or classes that the run does not know.
    """
    restored = load_run(target)
    spec, crop = restored.task.data_spec, restored.task.backbone.preset.crop
    cfg, other_data = changed_config(restored.cfg, changes, channels=spec.channels)
    data = build_data(cfg)
    data.white_level = data.white_level or spec.white_level
    log = skip if data.on_error == "skip" else None
    changed = [name for name in spec.parts if cfg.parts[name].data != restored.cfg.parts[name].data]
    if changed:
        samples = samples_of_parts(data, spec, changed, split, log)
    else:
        samples = new_samples(data, split, log) if other_data else own_samples(data, spec, crop, split)
    side = height_and_width(cfg.data.resolution) if other_data or cfg.data != restored.cfg.data else None
    records = in_order_of(samples, spec.classes, spec.cells)
    if side is not None and side != spec.resolution:  # a head may depend on it, as a detector's anchors do
        restored = load_run(target, resolution=side)
    if spec.kind == "identity":  # it tells apart whom it never saw, so names are those of the data
        restored.task.data_spec = replace(restored.task.data_spec, classes=samples.classes)
    return Subject(restored.task, replace(restored.task.data_spec, fit=data.fit), samples, records, cfg)


def of_weights(changes: Sequence[str], split: str | None, skip: SkipLog) -> Subject:
    """Pretrained weights with the classifier that they bring; arguments as in :func:`of_run`.

    Raises:
        UserError: no weights, weights without a classifier, or data of another number of classes.
    """
    cfg = config_of_weights(changes)
    backbone, data = build_backbone(cfg), build_data(cfg)
    samples = new_samples(data, split, skip if data.on_error == "skip" else None)
    task, note = task_of_weights(cfg, backbone, samples.classes, fit=data.fit)
    samples = replace(samples, notes=(*samples.notes, *([note] if note else [])))
    return Subject(task, task.data_spec, samples, samples.records, cfg)


def config_of_weights(changes: Sequence[str]) -> DictConfig:
    """The config of a model that consists of pretrained weights.

    Raises:
        UserError: no weights are named.
    """
    cfg = compose(changes)
    load_for(cfg)
    if cfg.head.get("weights") is not None:
        cfg.head.outputs = COCO_OUTPUTS  # scores are shares of all of them, those of other classes too
    elif cfg.backbone.get("weights") is None:
        raise UserError("nothing to take: name a run folder, or pretrained weights with backbone.weights=...")
    return cfg


def weights_of(cfg: DictConfig) -> str:
    """The weights that such a config names."""
    return str(cfg.head.get("weights") or cfg.backbone.weights)


def task_of_weights(cfg: DictConfig, backbone: Backbone, classes: tuple[str, ...], *, fit: str) -> tuple[Any, str]:
    """A task that needs no training: with the weights' own classifier, or without a layer to be learnt.

    Of a classifier of ImageNet's classes, or a detector of COCO's, the outputs that the data's classes are, by their
    names.

    Returns:
        The task, and what the order of its classes rests on (empty where it has none).

    Raises:
        UserError: no classifier, or one of other classes.
    """
    side = height_and_width(cfg.data.resolution) or (backbone.preset.side, backbone.preset.side)
    task = build_task(cfg, DataSpec(cfg.task.kind, classes, cfg.data.channels, side, fit=fit), backbone)
    if backbone.detector is not None:
        if missing := [name for name in classes if coco_output(name) is None]:
            raise UserError(
                f"head.weights={cfg.head.weights} do not know {', '.join(missing[:5])}: train on this data first"
            )
        return task, f"the data's {len(classes)} classes are read as names of COCO"
    if not any(True for _ in task.head.parameters()):  # nothing to be learnt: features are compared as they are
        return task, ""
    if cfg.task.kind == "identity":
        raise UserError(
            "the head has layers that no weights bring: head.dimensions=null head.norm=false takes features as they are"
        )
    if backbone.classifier is None:
        raise UserError(f"backbone.weights={cfg.backbone.weights} bring no classifier: train one, then take the run")
    outputs = len(backbone.classifier.bias)
    chosen, read = outputs_of(classes, outputs)
    if chosen is not None:
        taken = task.head.load_classifier(backbone.classifier.weight[chosen], backbone.classifier.bias[chosen])
    else:
        taken = task.head.load_classifier(*backbone.classifier)
    if not taken:
        raise UserError(
            f"backbone.weights={cfg.backbone.weights} know {outputs} classes, the data has {len(classes)} ({read}):"
            " choose data of the same classes, or train a head and take the run"
        )
    if chosen is None:
        read = f"the data's classes, by name, are taken for the weights' {outputs} outputs in their order ({read})"
    return task, read
