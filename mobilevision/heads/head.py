"""The face that every head shows to a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from mobilevision.spec import BackboneSpec, DataSpec, Features, Needs


class Head(nn.Module, ABC):
    """Features in, raw outputs out.

    A head sizes itself from what the backbone gives and from what the data holds; nobody sets a class count.

    Args:
        backbone: width of the pooled vector and channels at each stride.
        data: classes, channels and side.
    """

    needs: Needs
    """What it takes from the backbone; several heads over one backbone pass are served the union."""

    def __init__(self, *, backbone: BackboneSpec, data: DataSpec) -> None:
        super().__init__()
        self.backbone_spec = backbone
        self.data_spec = data

    @abstractmethod
    def forward(self, features: Features) -> Any:
        """Raw outputs: logits, or for detection what its loss and decoding need."""

    def load_classifier(self, weight: Tensor, bias: Tensor) -> bool:
        """Take over the last layer of pretrained weights where it fits; true if it was taken."""
        del weight, bias
        return False
