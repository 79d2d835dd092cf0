"""Stop when val no longer improves."""

from __future__ import annotations

from typing import Literal, final

from pytorch_lightning.callbacks import EarlyStopping as _EarlyStopping


@final
class EarlyStopping(_EarlyStopping):
    """Ends the training after ``patience`` validations without progress.

    Args:
        monitor: metric, such as ``val/top1``.
        mode: whether more or less of it is better.
        patience: validations to wait.
        min_delta: progress smaller than this does not count.
    """

    def __init__(
        self, *, monitor: str, mode: Literal["max", "min"], patience: int = 10, min_delta: float = 0.0
    ) -> None:
        super().__init__(monitor, mode=mode, patience=patience, min_delta=min_delta, check_finite=True)
