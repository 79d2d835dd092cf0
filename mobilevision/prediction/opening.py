"""A run or an exported model, by its folder: both predict alike. An exported one needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mobilevision.deploy.manifest import is_artifact
from mobilevision.errors import UserError
from mobilevision.plugins import load

if TYPE_CHECKING:
    from mobilevision.deploy.artifact import Artifact
    from mobilevision.deploy.manifest import Manifest
    from mobilevision.prediction.model import Model

_NO_BOXES = {"multitask": "has several parts"}


def open_model(
    folder: str | Path, *, which: Literal["best", "last"] = "best", device: str | None = None
) -> Model | Artifact:
    """What lies in a folder, ready to predict.

    Args:
        folder: of a run, or of an exported model.
        which: the checkpoint of a run.
        device: for a run; an exported model is run on the CPU.

    Raises:
        UserError: neither is there, or it cannot be used.
    """
    if not is_artifact(folder):
        from mobilevision.prediction import model

        return model.load(folder, which=which, device=device)
    if device not in (None, "cpu"):
        raise UserError(f"--device {device}: {folder} is an exported model, which runs on the CPU")
    if which != "best":
        raise UserError(f"--which {which}: {folder} is an exported model, which has no checkpoints to choose from")
    from mobilevision.deploy.answers import ANSWERS
    from mobilevision.deploy.artifact import Artifact
    from mobilevision.deploy.manifest import Manifest

    if Manifest.read(folder).answer not in ANSWERS:
        load()
    found = Artifact(folder)
    caution(found.manifest, folder)
    return found


def check_run(folder: str | Path, *, tiles: bool = False, annotations: str | None = None) -> None:
    """Look at a run's configuration before anything is loaded: whether what it predicts goes with these options.

    Raises:
        UserError: no run, or an option for what it does not predict.
    """
    if is_artifact(folder) or not (tiles or annotations):
        return
    from mobilevision.config.parts import names  # imports hydra, which an exported model does not need
    from mobilevision.engine.run_config import read_run_config

    _, cfg = read_run_config(folder)
    if tiles:
        require_boxes(str(cfg.task.kind), str(cfg.task.name))
    if of_parts := names(cfg):
        raise UserError(
            f"--annotations {annotations}: it holds what one task predicts; {folder} has several parts"
            f" ({', '.join(of_parts)}): take a run of one of them alone"
        )


def require_boxes(kind: str, task: str) -> None:
    """Raise a UserError where tiles are asked for of what finds no boxes."""
    if kind != "boxes":
        raise UserError(f"--tiles: it is for detectors; task={task} {_NO_BOXES.get(kind, 'finds no boxes')}")


def caution(manifest: Manifest, place: str | Path) -> None:
    """Tell whoever uses a model that the gate refused, on standard error."""
    from rich.console import Console

    if manifest.refused:
        text = f"{place}: the gate refused this model, since it answers otherwise than its checkpoint"
        Console(stderr=True, highlight=False).print(text, style="yellow", soft_wrap=True, markup=False)
