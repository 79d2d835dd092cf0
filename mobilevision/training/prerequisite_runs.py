"""A run that another one rests on, trained once and found again by whoever asks for the same.

That is a first stage (a run on a larger set, whose labels may be wrong, and then this one from its weights), or a
teacher.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mobilevision.config.auto_settings import AUTO
from mobilevision.config.compose import compose
from mobilevision.config.keys import PARTS
from mobilevision.config.parts import names
from mobilevision.errors import UserError
from mobilevision.tracking.run_folder import RunFolder

Train = Callable[[DictConfig], dict[str, float]]
"""Trains by a config; returns the final metrics."""

_OF_LENGTH = ("max_epochs", "max_steps", "limit_train_batches")
_NOT_SHAPING = ("run_dir", "logger", "callbacks", "allocator")
_KEPT = ("resolution", "batch_size", "eval_batch_size", "workers", "channels", "fit", "seed", "cells")
"""Keys of the data that the first stage has as this run does."""


def one_device(cfg: DictConfig) -> bool:
    """Whether this is the only process of a run on one device; others would each train the first run, too."""
    return cfg.trainer.devices in (1, "1") and "LOCAL_RANK" not in os.environ


def prerequisite_config(values: dict[str, Any], group: str, **shaping: Any) -> DictConfig:
    """The config of a run in ``outputs/<group>``, in a folder that is named by what it is.

    Args:
        values: the config; its ``run_dir`` is set.
        group: the folder of all such runs.
        **shaping: what tells it from others in place of the whole of a node.
    """
    what = {key: values[key] for key in values if key not in _NOT_SHAPING} | shaping
    text = json.dumps(what, sort_keys=True, default=str)
    name = f"{values['task']['name']}_{hashlib.sha256(text.encode()).hexdigest()[:10]}"
    values["run_dir"] = str(Path("outputs") / group / name)
    cfg: DictConfig = OmegaConf.create(values)
    OmegaConf.set_struct(cfg, True)
    return cfg


def train_or_reuse(cfg: DictConfig, train: Train, *, who: str, begins: str, then: str) -> RunFolder:
    """Train it, unless that is done; one that was broken off goes on.

    Args:
        cfg: of the first run, by :func:`prerequisite_config`.
        train: trains by a config.
        who: what it is to the other run, for the console.
        begins: for the console, when it is trained now.
        then: what comes after it.

    Returns:
        Its folder.
    """
    folder = RunFolder(cfg.run_dir)
    if folder.metrics_json.is_file():
        print(f"{who}: {folder.path}, trained before", flush=True)
        return folder
    print(f"{who}: {begins} in {folder.path}", flush=True)
    if folder.can_go_on:
        cfg.resume = str(folder.path)
    train(cfg)
    print(f"{who}: done, now {then}", flush=True)
    return folder


def pretrain(cfg: DictConfig, train: Train) -> DictConfig:
    """With ``pretrain.root``, train on that set first, or find it trained, and start from its weights.

    The first stage is a run of its own in ``outputs/pretrained``. One that was broken off goes on; one that is done is
    used again.

    Args:
        cfg: of this run.
        train: trains by a config.

    Raises:
        UserError: a task that learns neither from classes nor from places, or several processes.
    """
    if cfg.pretrain.root is None or cfg.resume is not None:
        return cfg
    if cfg.task.kind == "coordinate" and cfg.pretrain.loss != "cross_entropy":
        raise UserError(f"pretrain.loss={cfg.pretrain.loss} is for classes; places are learnt by loss= in both stages")
    if cfg.task.kind not in ("class", "coordinate"):
        raise UserError(
            f"pretrain.root is for classes and places, and the task learns from {cfg.task.kind}: train the first stage"
            " by itself and name its run, backbone.weights=RUN pretrain.root=null"
        )
    if not one_device(cfg):
        raise UserError(
            "pretrain.root trains on one device: train the first stage by itself and name its run,"
            " backbone.weights=RUN pretrain.root=null"
        )
    begins = f"on {cfg.pretrain.root} first,"
    folder = train_or_reuse(first_stage(cfg), train, who="pretraining", begins=begins, then="from its weights")
    changed = cfg.copy()
    OmegaConf.update(changed, "backbone.weights", str(folder.path))
    return changed


def first_stage(cfg: DictConfig) -> DictConfig:
    """The config of the first stage; its folder is named by what it is."""
    places = cfg.task.kind == "coordinate"
    kind = ["task=geolocalization"] if places else ["task=classification", f"loss={cfg.pretrain.loss}"]
    words = [*kind, "data=auto", "data.root=_"]
    parts: Any = OmegaConf.to_container(compose(words), resolve=True)
    values: Any = OmegaConf.to_container(cfg, resolve=True)
    data, loss = parts["data"], values["loss"] if places else parts["loss"]
    root = str(Path(str(cfg.pretrain.root)).expanduser())
    data |= {key: values["data"][key] for key in _KEPT} | {"root": root, "on_error": "skip"}
    values |= {"data": data, "loss": loss, "distill": None, "resume": None}
    values["trainer"]["max_epochs"] = cfg.pretrain.epochs or values["trainer"]["max_epochs"]
    values["pretrain"]["root"] = None
    return prerequisite_config(values, "pretrained")


def train_teacher(cfg: DictConfig, train: Train) -> DictConfig:
    """With ``distill.teacher=auto``, of the run or a part, train that teacher, or find it trained, and name it instead.

    It is a run of its own in ``outputs/teachers``: the student's config without distillation and unlabelled images,
    with a backbone of ``distill.auto_width``. Of several tasks it learns all of them, from the same images of train as
    the student: a part by itself would be cut otherwise. One that was broken off goes on; one that is done is used
    again.

    Args:
        cfg: the student's.
        train: trains by a config.

    Raises:
        UserError: the backbone has no width, or none to spare; or several processes.
    """
    changed = cfg.copy()
    for node in [""] if not names(cfg) else [f"{PARTS}.{name}." for name in names(cfg)]:
        if OmegaConf.select(cfg, f"{node}distill.teacher") != AUTO:
            continue
        wide, width = OmegaConf.select(cfg, f"{node}distill.auto_width"), cfg.backbone.get("width")
        if width is None or not width < wide:
            have = "has no width" if width is None else f"has width {width:g}"
            raise UserError(
                f"{node}distill.teacher=auto trains the student's backbone at width {wide:g} first, and the student's"
                f" {have}: choose a narrower backbone, or name a teacher with {node}distill.teacher=RUN"
            )
        if not one_device(cfg):
            raise UserError(
                f"{node}distill.teacher=auto trains on one device: train the teacher first and name its run"
            )
        begins = f"width {wide:g}, trained first"
        folder = train_or_reuse(teacher_config(cfg, wide), train, who="teacher", begins=begins, then="the student")
        OmegaConf.update(changed, f"{node}distill.teacher", str(folder.path))
    return changed


def teacher_config(cfg: DictConfig, width: float) -> DictConfig:
    """The config of the teacher that ``auto`` trains, of this width; its folder is named by what it is."""
    values: Any = OmegaConf.to_container(cfg, resolve=True)
    values |= {"distill": None, "resume": None}
    for part in (values.get(PARTS) or {}).values():
        part["distill"] = None
    values["backbone"]["width"] = width
    values["data"]["unlabelled"] = None
    values["freeze"]["parts"] = []
    return prerequisite_config(values, "teachers", trainer={key: values["trainer"][key] for key in _OF_LENGTH})
