"""MobileNet backbones behind every vision task that runs on a phone: train, compare, ship."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from mobilevision.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from mobilevision.deploy.artifact import Artifact
    from mobilevision.exporting.command import export
    from mobilevision.prediction.model import Model

__all__ = ["__version__", "export", "load"]


def load(run: str | Path, *, which: Literal["best", "last"] = "best", device: str | None = None) -> Model | Artifact:
    """Load a trained or an exported model: ``mobilevision.load("outputs/.../RUN").predict("picture.jpg")``.

    Args:
        run: the run folder, or that of an exported model, which needs no torch.
        which: the best checkpoint of a run, or the last.
        device: for a run, such as ``cpu`` or ``cuda``; None takes a GPU where there is one.

    Raises:
        UserError: neither is there, or no such checkpoint.
    """
    from mobilevision.prediction.opening import open_model  # torch is imported only where it is needed

    return open_model(run, which=which, device=device)


def __getattr__(name: str) -> Any:
    """``mobilevision.export(run, out="cats")``, as the command of that name; imported where it is asked for."""
    if name == "export":
        from mobilevision.exporting.command import export as found

        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
