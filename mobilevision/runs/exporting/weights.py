"""Pretrained weights as what is exported: their own classifier, or their features, without a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mobilevision.errors import UserError
from mobilevision.runs.exporting.subject import Subject, pictures_of

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mobilevision.data.skipped import SkipLog
    from mobilevision.runs.evaluation_subject import Subject as Evaluated

_IMAGENET = 1000


def subject_of_weights(overrides: Sequence[str], *, gated: bool) -> Subject:
    """The model that the overrides describe; without data among them, classes have numbers or ImageNet's names.

    Raises:
        UserError: no weights, or weights without a classifier that the head could take.
    """
    from mobilevision.data.skipped import SkipLog
    from mobilevision.runs.evaluation_subject import of_weights
    from mobilevision.runs.recording import quiet

    if not names_data(overrides):
        return _without_data(overrides)
    skip = SkipLog(None)
    with quiet():
        found = of_weights(overrides, None, skip)
    pictures = pictures_of(found, skip) if gated else None
    return Subject(found.task.eval(), found.cfg, None, pictures, found.samples.split)


def training_pictures(overrides: Sequence[str], skip: SkipLog) -> Evaluated:
    """The data's train, or what it has.

    Raises:
        UserError: no data among the overrides.
    """
    from mobilevision.runs.evaluation_subject import of_weights
    from mobilevision.runs.recording import quiet

    if not names_data(overrides):
        raise UserError(
            "--quantize int8 takes its ranges from pictures, and weights bring none: add data=auto data.root=PICTURES"
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
    from mobilevision.runs.build import build_backbone
    from mobilevision.runs.evaluation_subject import config_of_weights, task_of_weights

    cfg = config_of_weights(overrides)
    if not any(each.lstrip("+").startswith("data.resolution=") for each in overrides):
        cfg.data.resolution = None  # that of the task's default data is nothing to the weights
    if cfg.task.kind in ("boxes", "coordinate"):
        raise UserError(f"task={cfg.task.name}: weights bring no head for it: train one, then export the run")
    backbone = build_backbone(cfg)
    count = 0 if backbone.classifier is None else len(backbone.classifier.bias)
    known = () if cfg.task.kind == "identity" else _class_names(cfg, count)
    return Subject(task_of_weights(cfg, backbone, known)[0].eval(), cfg, None)


def _class_names(cfg: DictConfig, count: int) -> tuple[str, ...]:
    """ImageNet's names of weights that say that they are ImageNet's, else ``class 0`` and so on."""
    weights = str(cfg.backbone.weights)
    if count == _IMAGENET and (weights == "timm" or "in1k" in weights.rpartition("/")[2]):
        return imagenet_names()
    return tuple(f"class {number}" for number in range(count))


def imagenet_names() -> tuple[str, ...]:
    """The first name of each of ImageNet's 1000 classes; the WNID behind it where two have the same."""
    from timm.data import ImageNetInfo

    info: Any = ImageNetInfo()
    names = [str(words).split(",")[0].strip() for words in info.label_descriptions()]
    often = Counter(names)  # crane, the bird and the machine
    wnids = info.label_names()
    return tuple(f"{name} {wnid}" if often[name] > 1 else name for name, wnid in zip(names, wnids, strict=True))
