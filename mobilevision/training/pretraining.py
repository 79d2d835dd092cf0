"""Two stages as one command: a run on a larger set, whose labels may be wrong, and then this one from its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mobilevision.config.compose import compose
from mobilevision.errors import UserError
from mobilevision.training.prerequisite_runs import Train, one_device, prerequisite_config, train_or_reuse

_KEPT = ("resolution", "batch_size", "eval_batch_size", "workers", "channels", "fit", "seed", "cells")
"""Keys of the data that the first stage has as this run does."""


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
    settled = cfg.copy()
    OmegaConf.update(settled, "backbone.weights", str(folder.path))
    return settled


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
