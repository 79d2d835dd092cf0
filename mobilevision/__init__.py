"""MobileNet backbones behind every vision task that runs on a phone: train, compare, ship.

What is public stands in ``__all__``, and on the page docs/api.md; everything else may change from version to version.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from mobilevision.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from mobilevision.backbones import Backbone
    from mobilevision.data.data_format import DataFormat
    from mobilevision.deploy.artifact import Artifact
    from mobilevision.evaluation.evaluate import evaluate
    from mobilevision.exporting.command import export
    from mobilevision.heads import Head
    from mobilevision.losses import Loss
    from mobilevision.metrics import TaskMetric as Metric
    from mobilevision.prediction.model import Model
    from mobilevision.prediction.predict import predict
    from mobilevision.tasks.base import Task

__all__ = [
    "Backbone",
    "DataFormat",
    "Head",
    "Loss",
    "Metric",
    "Task",
    "__version__",
    "evaluate",
    "export",
    "load",
    "predict",
    "train",
]

# Public name -> where it stands; imported where it is asked for, since most of them need torch.
_STANDS_IN = {
    "Backbone": ("mobilevision.backbones", "Backbone"),
    "DataFormat": ("mobilevision.data.data_format", "DataFormat"),
    "Head": ("mobilevision.heads", "Head"),
    "Loss": ("mobilevision.losses", "Loss"),
    "Metric": ("mobilevision.metrics", "TaskMetric"),
    "Task": ("mobilevision.tasks.base", "Task"),
    "evaluate": ("mobilevision.evaluation.evaluate", "evaluate"),
    "export": ("mobilevision.exporting.command", "export"),
    "predict": ("mobilevision.prediction.predict", "predict"),
}


def load(run: str | Path, *, which: Literal["best", "last"] = "best", device: str | None = None) -> Model | Artifact:
    """Load a trained or an exported model: ``mobilevision.load("outputs/.../RUN").predict("image.jpg")``.

    Args:
        run: the run folder, or that of an exported model, which needs no torch.
        which: the best checkpoint of a run, or the last.
        device: for a run, such as ``cpu`` or ``cuda``; None takes a GPU where there is one.

    Raises:
        UserError: neither is there, or no such checkpoint.
    """
    from mobilevision.prediction.opening import open_model  # torch is imported only where it is needed

    return open_model(run, which=which, device=device)


def train(overrides: Sequence[str] = ()) -> dict[str, float]:
    """Train a model, as ``python train.py`` does: ``mobilevision.train(["task=classification", "seed=1"])``.

    Args:
        overrides: as on the command line; with ``resume=RUN`` among them, that run goes on.

    Returns:
        The final metrics, fractions from 0 to 1, by ``test/<metric>``.

    Raises:
        UserError: for all that the user can mend, with every mistake in the overrides.
    """
    import time

    began = time.perf_counter()
    from mobilevision.cli.main import composed

    cfg = composed({}, list(overrides))
    from mobilevision.training.train import start  # imports torch: after the checks, which take no time

    return start(cfg, began=began)


def __getattr__(name: str) -> Any:
    """The public names that :func:`load` and :func:`train` are not; imported where they are asked for."""
    if name not in _STANDS_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, inside = _STANDS_IN[name]
    return getattr(import_module(module), inside)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
