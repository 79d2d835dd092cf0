"""predictions/: images with truth and prediction, after the test."""

from __future__ import annotations

from typing import Annotated, Any, final

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from mobilevision.ranges import Range, check_ranges
from mobilevision.tracking.run_folder import RunFolder


@final
class PredictionImages(Callback):
    """Draws the worst and some ordinary predictions of the test.

    Args:
        folder: the run's.
        count: images.
        activation: whether the same images are drawn with what the model looked at.
    """

    limit = 5000
    """Samples looked at, at most."""

    @check_ranges("callbacks.pictures")
    def __init__(
        self, *, folder: RunFolder, count: Annotated[int, Range(min=0, max=1000)] = 16, activation: bool = True
    ) -> None:
        self.folder = folder
        self.count = count
        self.activation = activation

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
