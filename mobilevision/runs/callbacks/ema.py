"""Exponential moving average of the weights."""

from __future__ import annotations

from typing import Any, final

from pytorch_lightning.callbacks import EMAWeightAveraging

from mobilevision.ranges import PositiveInt, ShareBelowOne, check_ranges


@final
class EMA(EMAWeightAveraging):
    """Validates, and saves into checkpoints, a moving average of the weights (Polyak and Juditsky 1992).

    Args:
        decay: share of the old average kept at each step.
        every_n_steps: steps between two updates.
    """

    @check_ranges("callbacks.ema")
    def __init__(self, *, decay: ShareBelowOne = 0.999, every_n_steps: PositiveInt = 1) -> None:
        options: dict[str, Any] = {"decay": decay, "update_every_n_steps": every_n_steps}
        super().__init__(**options)
