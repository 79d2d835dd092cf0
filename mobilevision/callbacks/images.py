"""predictions/: images with truth and prediction, after the test; for trackers also while the run goes on."""

from __future__ import annotations

import logging
from typing import Annotated, Any, final

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from mobilevision.ranges import Range, check_ranges
from mobilevision.tracking.run_folder import RunFolder
from mobilevision.tracking.tracker import Tracker

_log = logging.getLogger(__name__)


@final
class PredictionImages(Callback):
    """Draws the worst and some ordinary predictions of the test.

    Args:
        folder: the run's.
        count: images.
        activation: whether the same images are drawn with what the model looked at.
        every_n_epochs: a tracker that takes images is sent the predictions for the same few images of val so often; 0
            sends none.
    """

    limit = 5000
    """Samples looked at, at most."""
    followed = 8
    """Images of val that a tracker is sent, at most."""

    @check_ranges("callbacks.pictures")
    def __init__(
        self,
        *,
        folder: RunFolder,
        count: Annotated[int, Range(min=0, max=1000)] = 16,
        activation: bool = True,
        every_n_epochs: Annotated[int, Range(min=0, max=1_000_000)] = 5,
    ) -> None:
        self.folder = folder
        self.count = count
        self.activation = activation
        self.every_n_epochs = every_n_epochs

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Draw for the tracker behind the last batch, while the weights are those that val measures (EMA's, say)."""
        drawn = self.every_n_epochs and (trainer.current_epoch + 1) % self.every_n_epochs == 0
        training = trainer.state.fn == "fit" and not trainer.sanity_checking
        if not (drawn and training and batch_idx + 1 == sum(trainer.num_val_batches) and trainer.is_global_zero):
            return
        tracker = trainer.logger
        if not (isinstance(tracker, Tracker) and tracker.takes_images and self.count):
            return
        from mobilevision.prediction.samples import draw_followed

        data = trainer.datamodule  # type: ignore[attr-defined]
        folder, count = self.folder.predictions / "val", min(self.count, self.followed)
        try:
            # Numbers of val are logged after this, at the step of the last batch before it.
            step = max(trainer.global_step - 1, 0)
            tracker.samples("val/predictions", draw_followed(pl_module, data, folder, count=count), step=step)
        except Exception as error:  # of a plugin's drawing; a training does not end in it
            _log.warning("no images of val for the tracker: %s", error)
            self.every_n_epochs = 0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Draw after the last look at val, where the data has no test."""
        if trainer.state.fn == "validate":
            self._draw(trainer, pl_module, sum(trainer.num_val_batches))

    def on_test_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Draw after the test."""
        self._draw(trainer, pl_module, sum(trainer.num_test_batches))

    def _draw(self, trainer: pl.Trainer, pl_module: Any, batches: float) -> None:
        """Draw, in one process."""
        from mobilevision.prediction.samples import write_images

        if trainer.is_global_zero and self.count:
            data = trainer.datamodule  # type: ignore[attr-defined]
            # No more than the trainer looked at: trainer=debug looks at two batches.
            tested = batches * (data.eval_batch_size or data.batch_size) * trainer.world_size
            limit = min(int(tested), self.limit)
            write_images(pl_module, data, self.folder, count=self.count, limit=limit, activation=self.activation)
