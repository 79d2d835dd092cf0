"""predictions/: pictures with truth and prediction, after the test."""

from __future__ import annotations

from typing import Any, final

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from mobilevision.runs.folder import RunFolder


@final
class Pictures(Callback):
    """Draws the worst and some ordinary predictions of the test.

    Args:
        folder: the run's.
        count: pictures.
    """

    limit = 5000
    """Samples looked at, at most."""

    def __init__(self, *, folder: RunFolder, count: int = 16) -> None:
        self.folder = folder
        self.count = count

    def on_test_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Draw, in one process."""
        from mobilevision.runs.pictures import write_pictures

        if trainer.is_global_zero and self.count:
            data = trainer.datamodule  # type: ignore[attr-defined]
            # No more than the test looked at: trainer=debug looks at two batches.
            tested = sum(trainer.num_test_batches) * (data.eval_batch_size or data.batch_size) * trainer.world_size
            write_pictures(pl_module, data, self.folder, count=self.count, limit=min(int(tested), self.limit))
