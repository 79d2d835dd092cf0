"""A run that another one rests on, a teacher or a first stage: trained once, found again by who asks for the same."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mobilevision.tracking.run_folder import RunFolder

Train = Callable[[DictConfig], dict[str, float]]
"""Trains by a config; returns the final metrics."""

_NOT_SHAPING = ("run_dir", "logger", "callbacks", "allocator")


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
        begins: what is said when it is trained now.
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
