"""From a run folder back to its trained model; its data set need not be there any more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from mobilevision.errors import UserError
from mobilevision.runs.build import build_backbone, build_task
from mobilevision.runs.folder import RunFolder
from mobilevision.spec import DataSpec


@dataclass(frozen=True)
class Restored:
    """A run's model as it was trained.

    Attributes:
        task: a :class:`tasks.base.Task` in evaluation mode, on the CPU.
        cfg: the run's config.
        folder: the run folder.
    """

    task: Any
    cfg: DictConfig
    folder: RunFolder


def load_run(
    path: str | Path, *, which: Literal["best", "last"] = "best", resolution: tuple[int, int] | None = None
) -> Restored:
    """Rebuild a run's model from its config and a checkpoint; no data and no pretrained weights are read.

    Args:
        path: the run folder.
        which: the checkpoint.
        resolution: (height, width) of another input than the run's.

    Raises:
        UserError: if the folder holds no run, or the checkpoint cannot be read or does not fit its config.
    """
    from mobilevision.runs.callbacks import read_checkpoint
    from mobilevision.runs.config.loaded import read_config
    from mobilevision.runs.info import read_info
    from mobilevision.runs.plugins import load_for, require

    folder = RunFolder.existing(path)
    require(read_info(folder).get("plugins"), folder.path)
    cfg = read_config(folder.config)
    load_for(cfg)
    file = folder.best if which == "best" else folder.last
    if not file.is_file():
        raise UserError(f"{file}: the run has no such checkpoint yet")
    checkpoint = read_checkpoint(file)
    if "mobilevision" not in checkpoint:
        raise UserError(f"{file}: not a checkpoint of mobilevision")
    known = checkpoint["mobilevision"]
    bare = cfg.copy()
    OmegaConf.update(bare, "backbone.weights", None, force_add=True)
    OmegaConf.update(bare, "backbone.preset", known["preset"], force_add=True)
    spec = DataSpec.from_dict(known["data"])
    task = build_task(bare, replace(spec, resolution=resolution or spec.resolution), build_backbone(bare))
    try:
        # What a distilled run learnt along to compare itself with its teacher is no part of the model.
        weights = {key: value for key, value in checkpoint["state_dict"].items() if not key.startswith("distiller.")}
        task.load_state_dict(weights)
    except RuntimeError as error:
        if resolution is not None:
            trained = "x".join(map(str, spec.resolution))
            raise UserError(
                f"data.resolution={list(resolution)}: {folder.path} has layers for {trained} only"
            ) from error
        raise UserError(f"{file}: does not fit the run's config.yaml: {str(error).splitlines()[1].strip()}") from error
    task.decision = known.get("decision", {})
    task.eval()
    return Restored(task=task, cfg=cfg, folder=folder)
