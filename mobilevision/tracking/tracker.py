"""What a run tells its tracker, beyond the numbers that Lightning logs."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from pytorch_lightning.loggers import Logger

Rows = Sequence[Mapping[str, Any]]


class SampleImage(NamedTuple):
    """An image of the data with a prediction.

    Attributes:
        path: the image with the prediction drawn on it.
        caption: the prediction and the truth in words.
        plain: the image with nothing drawn on it, where there are outlines.
        outlines: for trackers that draw boxes themselves, on ``plain``: layer (prediction, truth) -> rows of label, box
            (left, top, right, bottom in pixels) and perhaps score.
    """

    path: Path
    caption: str
    plain: Path | None = None
    outlines: Mapping[str, Rows] | None = None


class Tracker(Logger, ABC):
    """A Lightning logger that also takes tables, images, final numbers and the model.

    Every method may be called at any time on any process and never raises for a reason that lies with the tracker:
    a training does not die of its logbook. What a tracker has no place for, it leaves to the run folder, which holds
    everything anyway.
    """

    @property
    def version(self) -> str:
        """Of the run, where a tracker has one."""
        return ""

    @property
    def takes_images(self) -> bool:
        """Whether images of the data are kept."""
        return False

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the configuration is in config.yaml, and trackers that keep it take it at the start."""

    def table(self, key: str, rows: Rows) -> None:
        """Keep a table: one mapping a row, all with the first row's keys."""

    def figure(self, key: str, image: Image.Image) -> None:
        """Keep a chart."""

    def samples(self, key: str, pictures: Sequence[SampleImage], *, step: int | None = None) -> None:
        """Keep images of the data with predictions on them: those that a run has below ``predictions/``.

        Args:
            key: what they are kept as.
            pictures: the images.
            step: that of the numbers which they belong to; None for that of the last ones.
        """

    def summary(self, values: Mapping[str, Any]) -> None:
        """Keep final numbers: test metrics, parameters, mult-adds."""

    def model(self, path: Path, metadata: Mapping[str, Any]) -> None:
        """Keep the best checkpoint."""

    def opening(self) -> list[str]:
        """Lines for the console before training: where things go and what is sent."""
        return []

    def closing(self) -> list[str]:
        """Lines for the console at the very end, after the last thing was logged: where to look, what to type."""
        return []
