"""What is exported: a run's best model or pretrained weights, and the images to compare it on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.backbones.imagenet import imagenet_names
from mobilevision.errors import UserError
from mobilevision.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mobilevision.data.loader import BatchSource
    from mobilevision.data.skipped import SkipLog
    from mobilevision.evaluation.subject import Subject as Evaluated
    from mobilevision.tasks.base import Task


# Pretrained weights as what is exported: their own classifier, or their features, without a run.

_IMAGENET = 1000


def subject_of_weights(overrides: Sequence[str], *, gated: bool) -> Subject:
    """The model that the overrides describe; without data among them, classes have numbers or ImageNet's names.

    Raises:
        UserError: no weights, or weights without a classifier that the head could take.
    """
    from mobilevision.data.skipped import SkipLog
    from mobilevision.engine.recording import quiet
    from mobilevision.evaluation.subject import of_weights

    if not names_data(overrides):
        return _without_data(overrides)
    skip = SkipLog(None)
    with quiet():
        found = of_weights(overrides, None, skip)
    images = images_of(found, skip) if gated else None
    return Subject(found.task.eval(), found.cfg, None, images, found.samples.split)


def training_images(overrides: Sequence[str], skip: SkipLog) -> Evaluated:
    """The data's train, or what it has.

    Raises:
        UserError: no data among the overrides.
    """
    from mobilevision.engine.recording import quiet
    from mobilevision.evaluation.subject import of_weights

    if not names_data(overrides):
        raise UserError(
            "--quantize int8 takes its ranges from images, and weights bring none: add data=auto data.root=IMAGES"
        )
    with quiet():
        try:
            return of_weights(overrides, "train", skip)
        except UserError:  # without a train; or something else, which is then said
            return of_weights(overrides, None, skip)


def names_data(overrides: Sequence[str]) -> bool:
    """Whether data is among the overrides; the default data of a task is nothing that weights learnt."""
    return any(each.lstrip("+").partition("=")[0] in ("data", "data.root") for each in overrides)


def _without_data(overrides: Sequence[str]) -> Subject:
    from mobilevision.engine.build import build_backbone, build_data
    from mobilevision.evaluation.subject import config_of_weights, task_of_weights
    from mobilevision.heads.torchvision_detectors import coco_classes

    cfg = config_of_weights(overrides)
    if not any(each.lstrip("+").startswith("data.resolution=") for each in overrides):
        cfg.data.resolution = None  # that of the task's default data is nothing to the weights
    detector = cfg.head.get("weights") is not None
    if cfg.task.kind in ("boxes", "coordinate") and not detector:
        raise UserError(f"task={cfg.task.name}: weights bring no head for it: train one, then export the run")
    backbone = build_backbone(cfg)
    count = 0 if backbone.classifier is None else len(backbone.classifier.bias)
    known = () if cfg.task.kind == "identity" else coco_classes() if detector else _class_names(cfg, count)
    task, _ = task_of_weights(cfg, backbone, known, fit=build_data(cfg).fit)
    return Subject(task.eval(), cfg, None)


def _class_names(cfg: DictConfig, count: int) -> tuple[str, ...]:
    """ImageNet's names of weights that say that they are ImageNet's, else ``class 0`` and so on."""
    weights = str(cfg.backbone.weights)
    if count == _IMAGENET and (weights == "timm" or "in1k" in weights.rpartition("/")[2]):
        return imagenet_names()
    return tuple(f"class {number}" for number in range(count))


@final
@dataclass(frozen=True)
class Subject:
    """What is exported.

    Attributes:
        task: on the CPU, in evaluation mode.
        cfg: its config.
        home: its run's folder; None of pretrained weights.
        source: the images to compare on; None where nothing is to be compared.
        split: their name.
        info: what the run noted of itself.
    """

    task: Task
    cfg: DictConfig
    home: Path | None
    source: BatchSource | None = None
    split: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)


def subject_of(run: str | Path | Sequence[str], *, gated: bool) -> Subject:
    """The model of a run, or of pretrained weights.

    Args:
        run: the run folder, or overrides that name weights.
        gated: whether to open the data, too.

    Raises:
        UserError: no run, no checkpoint, no weights with a classifier, or data that is not there any more.
    """
    from mobilevision.data.skipped import SkipLog
    from mobilevision.engine.info import read_info
    from mobilevision.engine.recording import quiet
    from mobilevision.engine.restore import load_run
    from mobilevision.evaluation.subject import of_run

    if not isinstance(run, str | Path):
        return subject_of_weights(run, gated=gated)
    folder = RunFolder.existing(run)
    if not gated:
        restored = load_run(run)
        return Subject(restored.task, restored.cfg, folder.path, info=read_info(folder))
    skip = SkipLog(None)
    try:
        with quiet():
            found = of_run(run, (), None, skip)
    except UserError as error:
        load_run(run)  # what is wrong with the run itself is said as it is
        raise UserError(f"{error} (the gate compares on the run's own data; --gate-samples 0 leaves it out)") from error
    images = images_of(found, skip)
    return Subject(found.task, found.cfg, folder.path, images, found.samples.split, read_info(folder))


def calibration_of(run: str | Path | Sequence[str], samples: int) -> NDArray[np.uint8]:
    """Images that the model trained on, at equal distances, as it takes them: uint8 [N, C, H, W].

    Raises:
        UserError: the run's data is not there any more, or weights come without data.
    """
    from mobilevision.data.skipped import SkipLog
    from mobilevision.engine.recording import quiet
    from mobilevision.evaluation.subject import of_run

    skip = SkipLog(None)
    if not isinstance(run, str | Path):
        found = training_images(run, skip)
    else:
        try:
            with quiet():
                found = of_run(run, (), "train", skip)
        except UserError as error:
            raise UserError(f"{error} (int8 takes its ranges from the run's training images)") from error
    places = np.unique(np.linspace(0, len(found.records) - 1, samples).astype(int))
    batch = images_of(found, skip).__getitems__([(0, int(each)) for each in places])
    return np.ascontiguousarray(batch["image"].numpy())


def images_of(found: Evaluated, skip: SkipLog) -> BatchSource:
    """What an evaluation shows to the model."""
    from mobilevision.data.loader import BatchSource

    spec = found.task.data_spec
    return BatchSource(
        found.records,
        channels=spec.channels,
        resolution=spec.resolution,
        fit=spec.fit,
        crop=found.task.backbone.preset.crop,
        skip=skip if found.cfg.data.on_error == "skip" else None,
    )
