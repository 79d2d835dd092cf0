"""The interface of a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mobilevision.spec import DataSpec


class Loss(nn.Module, ABC):
    """Raw outputs and a batch in, named scalar parts out; training minimises their sum.

    Args:
        data: description of the data set (class counts, for weights).
    """

    def __init__(self, *, data: DataSpec) -> None:
        super().__init__()
        self.data_spec = data

    def take_width(self, width: int) -> None:
        """Take the length of the head's vectors; a loss with weights of its own makes them now."""

    @abstractmethod
    def forward(self, outputs: Any, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Scalar parts by name, such as ``{"class": ..., "box": ...}``."""
