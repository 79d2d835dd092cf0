"""From a run folder back to its trained model; its data set need not be there any more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omegaconf import DictConfig

from mobilevision.engine.build import build_backbone, build_task
from mobilevision.errors import UserError
from mobilevision.io.printable_text import listed
from mobilevision.spec import DataSpec
from mobilevision.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from mobilevision.tasks.base import Task

_HAVE_WEIGHTS = ("class", "attributes", "boxes", "coordinate")  # kinds whose heads have weights for each class


@dataclass(frozen=True)
class Restored:
    """A run's model as it was trained.

    Attributes:
        task: a :class:`mobilevision.tasks.base.Task` in evaluation mode, on the CPU.
        cfg: the run's config.
        folder: the run folder.
    """

    task: Task
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
    from mobilevision.config.used_plugins import load_for
    from mobilevision.engine.run_config import read_run_config
    from mobilevision.io.tensor_files import read_checkpoint

    folder, cfg = read_run_config(path)
    load_for(cfg)
    file = folder.best if which == "best" else folder.last
    if not file.is_file():
        raise UserError(f"{file}: the run has no such checkpoint yet")
    checkpoint = read_checkpoint(file)
    spec, preset, decision, state = _read(checkpoint, file)
    backbone = build_backbone(cfg, checkpoint_preset=preset)
    task = build_task(cfg, spec.at_resolution(resolution or spec.resolution), backbone)
    try:
        # What a distilled run learnt along to compare itself with its teacher is no part of the model.
        weights = {key: value for key, value in state.items() if not key.startswith("distiller.")}
        task.load_state_dict(weights)
    except RuntimeError as error:
        if resolution is not None:
            trained = "x".join(map(str, spec.resolution))
            raise UserError(
                f"data.resolution={list(resolution)}: {folder.path} has layers for {trained} only"
            ) from error
        raise UserError(f"{file}: does not fit the run's config.yaml: {_misfit(str(error))}") from error
    task.decision = decision
    task.eval()
    return Restored(task=task, cfg=cfg, folder=folder)


def _misfit(error: str) -> str:
    """What torch says first of a file's layers; of a long list, such as of a head from before, its beginning."""
    problem = error.splitlines()[1].strip()
    if "key(s)" in problem and len(keys := problem.split(", ")) > 3:
        return f"{listed(keys, 3)}; if an earlier version trained it, train it again"
    return problem


def _check_classes(spec: DataSpec, weights: dict[str, Any]) -> None:
    """See that there is a weight for each class at least, before a head for all of them is built.

    Raises:
        ValueError: there are more classes.
    """
    from torch import Tensor

    stored = sum(each.numel() for each in weights.values() if isinstance(each, Tensor))
    for one in (spec, *spec.parts.values()):
        if one.kind in _HAVE_WEIGHTS and len(one.classes) > stored:
            raise ValueError(f"it names {len(one.classes):,} classes, and has {stored:,} weights in all")


def _read(checkpoint: dict[str, Any], file: Path) -> tuple[DataSpec, dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What a checkpoint knows of its data, its preset, its decision and its weights; each of the type that it has.

    Raises:
        UserError: anything else in their place; a preset becomes part of a config, so it holds plain values only.
    """
    from mobilevision.backbones.presets import Preset
    from mobilevision.config.loaded import check_targets

    try:
        known, state = checkpoint["mobilevision"], checkpoint["state_dict"]
        spec, preset, decision = (
            DataSpec.from_dict(known["data"]),
            dict(known["preset"]),
            dict(known.get("decision") or {}),
        )
        check_targets(preset, {})
        Preset.from_dict(preset)
        weights = {str(key): value for key, value in state.items()}
        _check_classes(spec, weights)
    except KeyError as error:
        raise UserError(f"{file}: not a checkpoint of mobilevision ({error} is missing)") from error
    except (TypeError, ValueError, AttributeError, UserError) as error:
        raise UserError(f"{file}: not a checkpoint of mobilevision ({error})") from error
    return spec, preset, decision, weights
