"""Exponential moving average of the weights."""

from __future__ import annotations

from typing import Any, final

from pytorch_lightning.callbacks import EMAWeightAveraging


@final
class EMA(EMAWeightAveraging):
    """Validates, and saves into checkpoints, a moving average of the weights (Polyak and Juditsky 1992).

    Args:
        decay: share of the old average kept at each step.
        every_n_steps: steps between two updates.
    """

    def __init__(self, *, decay: float = 0.999, every_n_steps: int = 1) -> None:
        options: dict[str, Any] = {"decay": decay, "update_every_n_steps": every_n_steps}
        super().__init__(**options)
