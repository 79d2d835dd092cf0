"""Trackers of a run: W&B, TensorBoard, CSV and none; one factory an option of ``conf/logger``.

Each factory takes its option's keys and, from the run, ``run_dir`` (the run's folder) and ``config`` (the composed
configuration as plain mappings), and gives a :class:`Tracker`, which is a Lightning logger.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack, final

import numpy as np
from PIL import Image
from pytorch_lightning.utilities import rank_zero_only

from mobilevision.errors import UserError
from mobilevision.io.regular_files import append_to
from mobilevision.tracking.tracker import Rows, SampleImage, Tracker
from mobilevision.tracking.wandb import WandbOptions, WandbTracker, choose_mode

__all__ = ["Tracker", "csv_logger", "no_logger", "tensorboard_logger", "wandb_logger"]

_OF_PEOPLE = ("attributes", "identity")  # kinds of data whose images are faces


def wandb_logger(
    *,
    run_dir: Path | str,
    config: Mapping[str, Any],
    mode: str = "auto",
    pictures: bool | None = None,
    **options: Unpack[WandbOptions],
) -> Tracker:
    """Weights & Biases.

    Args:
        run_dir: the run's folder.
        config: the composed configuration.
        mode: ``auto`` (online with a credential, else offline), ``online`` or ``offline``.
        pictures: whether sample images are sent; None sends them unless they are of people's faces.
        **options: of :class:`~mobilevision.tracking.wandb.WandbTracker`.

    Raises:
        UserError: an unknown mode, or online without a credential.
    """
    chosen = choose_mode(mode)
    if not _first_process():
        return SilentTracker()
    shown = _shows_no_people(config) if pictures is None else pictures
    return WandbTracker(run_dir=Path(run_dir), config=config, mode=chosen, pictures=shown, **options)


def tensorboard_logger(*, run_dir: Path | str, config: Mapping[str, Any], pictures: bool | None = None) -> Tracker:
    """TensorBoard, in ``<run_dir>/tensorboard``; ``pictures`` as in :func:`wandb_logger`."""
    if not _first_process():
        return SilentTracker()
    kept = _shows_no_people(config) if pictures is None else pictures
    return TensorBoardTracker(run_dir=Path(run_dir), config=config, pictures=kept)


def csv_logger(*, run_dir: Path | str, config: Mapping[str, Any]) -> Tracker:
    """Every logged step as a line of ``<run_dir>/steps.csv``."""
    return CsvTracker(run_dir=Path(run_dir)) if _first_process() else SilentTracker()


def no_logger(*, run_dir: Path | str, config: Mapping[str, Any]) -> Tracker:
    """No tracker; the run folder holds everything all the same."""
    return SilentTracker()


def _first_process() -> bool:
    return bool(getattr(rank_zero_only, "rank", 0) == 0)


def _shows_no_people(config: Mapping[str, Any]) -> bool:
    task = config.get("task")
    return not (isinstance(task, Mapping) and task.get("kind") in _OF_PEOPLE)


@final
class SilentTracker(Tracker):
    """Keeps nothing: ``logger=none``, and every process but the first of a distributed run."""

    name = "none"

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Do nothing."""


@final
class CsvTracker(Tracker):
    """Appends what Lightning logs to ``steps.csv``, a line a number: step, metric, value.

    Lines are only ever added, so a killed run loses none and a resumed run goes on in the same file. (``metrics.csv``,
    a row an epoch, is written whatever the logger.)

    Args:
        run_dir: the run's folder.
    """

    name = "csv"

    def __init__(self, *, run_dir: Path) -> None:
        super().__init__()
        self.path = run_dir / "steps.csv"

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append one line for every metric."""
        new = not self.path.exists()
        with append_to(self.path) as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", "metric", "value"])
            writer.writerows([step, name, float(value)] for name, value in metrics.items())

    def opening(self) -> list[str]:
        """Where the numbers go."""
        return [f"every logged step goes to {self.path}"]


@final
class TensorBoardTracker(Tracker):
    """Writes scalars, tables, charts and images for TensorBoard into ``<run_dir>/tensorboard``.

    Args:
        run_dir: the run's folder.
        config: the composed configuration, kept as text.
        pictures: whether sample images are written.

    Raises:
        UserError: TensorBoard is not installed.
    """

    name = "tensorboard"

    def __init__(self, *, run_dir: Path, config: Mapping[str, Any], pictures: bool) -> None:
        super().__init__()
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError("logger=tensorboard needs TensorBoard: pip install 'mobilevision[tensorboard]'") from error
        self.folder = run_dir / "tensorboard"
        self._images = pictures
        self._step: int | None = None  # of the last point: images and tables belong to it
        self._writer: Any = SummaryWriter(str(self.folder))
        self._writer.add_text("config", "\n".join(f"    {key}: {value}" for key, value in config.items()))

    @property
    def takes_images(self) -> bool:
        """Whether they may be kept."""
        return self._images

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write one point for every metric."""
        self._step = self._step if step is None else step
        for name, value in metrics.items():
            self._writer.add_scalar(name, float(value), step)

    def table(self, key: str, rows: Rows) -> None:
        """Write the table as text."""
        if not rows:
            return
        head = list(rows[0])
        lines = [" | ".join(head), " | ".join("---" for _ in head)]
        lines += [" | ".join(_cell(row.get(name, "")) for name in head) for row in rows]
        self._writer.add_text(key, "\n".join(lines))

    def figure(self, key: str, image: Image.Image) -> None:
        """Write the chart as an image."""
        self._write(key, image, self._step)

    def samples(self, key: str, pictures: Sequence[SampleImage], *, step: int | None = None) -> None:
        """Write the images, if they may be kept."""
        for index, sample in enumerate(pictures if self._images else ()):
            with Image.open(sample.path) as image:
                self._write(f"{key}/{index:03d}", image, self._step if step is None else step)

    def _write(self, key: str, image: Image.Image, step: int | None) -> None:
        self._writer.add_image(key, np.asarray(image.convert("RGB")), step, dataformats="HWC")

    def summary(self, values: Mapping[str, Any]) -> None:
        """Write final numbers as text."""
        self.table("summary", [{"name": name, "value": value} for name, value in values.items()])

    def finalize(self, status: str) -> None:
        """Bring everything to the disk; Lightning calls this after fit and after test, and more may follow."""
        self._writer.flush()

    def opening(self) -> list[str]:
        """The command that shows it."""
        return [f"TensorBoard: tensorboard --logdir {self.folder}"]

    def closing(self) -> list[str]:
        """Close the file."""
        self._writer.close()
        return self.opening()


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "/")
