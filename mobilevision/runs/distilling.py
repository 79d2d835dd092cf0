"""Distillation joined to a run: what ``distill=`` says becomes a part of the task's loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from mobilevision.errors import UserError
from mobilevision.runs.build import instantiate
from mobilevision.runs.teachers import find_teacher

if TYPE_CHECKING:
    from mobilevision.distill import Distiller, Objective, Seen, Teacher
    from mobilevision.runs.build import Built

SHARED = ("kinds", "teacher", "weight", "label_weight", "cache", "cache_folder", "auto_width")


def distil(cfg: DictConfig, built: Built) -> None:
    """Give the task its distiller, if ``distill=`` asks for one.

    Raises:
        UserError: a teacher that cannot teach this student, or options that do not go with one.
    """
    unlabelled = cfg.data.get("unlabelled")
    if cfg.get("distill") is None:
        if unlabelled is not None:
            raise UserError(
                f"data.unlabelled={unlabelled}: pictures without labels teach nothing by themselves: add"
                " distill=outputs distill.teacher=RUN, or leave them out"
            )
        return
    task = built.task
    teacher = find_teacher(cfg, built.data.taught().source.records, emits=task.emits)
    check(cfg, built, teacher)
    if cfg.distill.cache:
        from mobilevision.runs.teacher_cache import cached

        teacher = cached(cfg, built, teacher)
    task.distiller = make(cfg, built, teacher)
    built.data.splits.notes.append(f"teacher: {teacher.name}, {said(cfg)}")


def said(cfg: DictConfig) -> str:
    """What is imitated and what it counts, in words."""
    name = cfg.distill["_target_"].rpartition(".")[2].lower()
    return f"its {name} count {cfg.distill.weight:g}, the labels {cfg.distill.label_weight:g}"


def make(cfg: DictConfig, built: Built, teacher: Teacher) -> Distiller:
    """The distiller of a task under a teacher; both look at one empty picture first, which shows their shapes."""
    from mobilevision.distill import Distiller, order

    task = built.task
    objective: Objective = instantiate(cfg.distill, drop=SHARED, emits=task.emits)
    places = None
    if objective.by_class and task.emits != "embedding" and teacher.classes:
        places = order(task.data_spec.classes, teacher.classes, emits=task.emits, name=teacher.name)
    distiller = Distiller(
        teacher=teacher,
        objective=objective,
        order=places,
        label_weight=cfg.distill.label_weight,
        weight=cfg.distill.weight,
    )
    batch = built.data.eval_dataloader("train", shard=False).source.__getitems__([(0, 0)])
    distiller.prepare(look(task, distiller, batch), batch)
    return distiller


def look(task: Any, distiller: Distiller, batch: Any) -> Seen:
    """What the student makes of a batch, in evaluation mode."""
    import torch

    from mobilevision.distill import Seen

    training = task.training
    task.eval()
    with torch.no_grad():
        features = task.extract(batch["image"], distiller.needs)
        seen = Seen(task.head(features), features)
    task.train(training)
    return seen


def check(cfg: DictConfig, built: Built, teacher: Teacher) -> None:
    """Refuse what does not go with a teacher.

    Raises:
        UserError: naming the option and the fix.
    """
    if cfg.freeze.epochs and cfg.freeze.cache:
        raise UserError(
            "freeze.cache=true gives features without pictures, and a teacher needs these: freeze.cache=false"
        )
    augment = built.data.augment
    if augment is None:
        return
    if augment.mixes and (not teacher.looks or cfg.distill.cache):
        raise UserError(
            "augment.mixup, augment.cutmix: outputs that were computed before are not those of mixed pictures:"
            " set both to 0, or let the teacher look (a run, distill.cache=false)"
        )
    mosaic = bool(cfg.augment.get("mosaic", 0))
    if cfg.data.get("unlabelled") is not None and (augment.mixes or mosaic):
        raise UserError(
            "data.unlabelled: augment.mixup, cutmix and mosaic mix labelled pictures with others: set them to 0"
        )
