"""MobileNet backbones behind every vision task that runs on a phone: train, compare, ship."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from mobilevision.runs.api import Model

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(run: str | Path, *, which: Literal["best", "last"] = "best", device: str | None = None) -> Model:
    """Load a trained model: ``mobilevision.load("outputs/.../RUN").predict("picture.jpg")``.

    Args:
        run: the run folder.
        which: the best checkpoint, or the last.
        device: such as ``cpu`` or ``cuda``; None takes a GPU where there is one.

    Raises:
        UserError: no run there, or no such checkpoint.
    """
    from mobilevision.runs.api import load as load_model  # torch is imported only where it is needed

    return load_model(run, which=which, device=device)
