"""How far training has come, for losses that change on the way."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from mobilevision.spec import DataSpec


@final
class Progress(nn.Module):
    """Counts the samples that a loss was trained on; kept in checkpoints, so that a resumed run goes on where it was.

    Args:
        data: what the data set knows of itself; its training samples are an epoch.
    """

    seen: Tensor

    def __init__(self, data: DataSpec) -> None:
        super().__init__()
        self.epoch = max(sum(data.counts), 1)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def add(self, samples: int) -> None:
        """Count the samples of a training step of this process; the others, if any, have as many."""
        world = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        self.seen += samples * world

    def ramp(self, epochs: float) -> float:
        """Rises from 0 to 1 over so many epochs, and stays there; 0 epochs: 1 from the start."""
        return min(1.0, float(self.seen) / (self.epoch * epochs)) if epochs > 0 else 1.0
