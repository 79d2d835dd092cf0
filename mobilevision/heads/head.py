"""The interface of a head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from mobilevision.spec import BackboneSpec, DataSpec, FeatureExtractor, Features, Needs


class Head(nn.Module, ABC):
    """Features in, raw outputs out.

    A head sizes itself from what the backbone gives and from what the data holds; nobody sets a class count.

    Args:
        backbone: width of the pooled vector and channels at each stride.
        data: classes, channels and side.
    """

    needs: Needs
    """What it takes from the backbone; several heads over one backbone pass are served the union."""

    side: ClassVar[int | None] = None
    """Side of the input, in pixels, that it is made for where nobody says another; None leaves it to the weights."""

    learns_from_scratch: ClassVar[bool] = False
    """Whether its own layers are many, as a neck's are: they learn at the rate of random weights, whatever the backbone
    has."""

    dimensions: int | None = None
    """Length of the vector that it gives of an image, where that is what it gives."""

    tail: nn.Module | None
    """The backbone's last stage, where ``needs.tail`` asked for it."""

    def __init__(self, *, backbone: BackboneSpec, data: DataSpec) -> None:
        super().__init__()
        self.tail = None  # not on the class: there it would hide the module
        self.backbone_spec = backbone
        self.data_spec = data

    @abstractmethod
    def forward(self, features: Features) -> Any:
        """Raw outputs: logits, or for detection what its loss and decoding need."""

    def extract(self, backbone: FeatureExtractor, images: Tensor, more: Needs | None = None) -> Any:
        """The features that the head takes of images, as :meth:`forward` wants them.

        Args:
            backbone: computes features of images.
            images: [B, C, H, W], uint8 or float, 0..255.
            more: features that are wanted beside those.
        """
        return backbone(images, self.needs if more is None else self.needs | more)

    def take_tail(self, tail: nn.Module) -> None:
        """Take over the backbone's last stage, at stride 1, as a part of the head."""
        self.tail = tail

    def load_classifier(self, weight: Tensor, bias: Tensor) -> bool:
        """Take over the last layer of pretrained weights where it fits; true if it was taken."""
        return False


def draw_small(layer: nn.Linear | nn.Conv2d, std: float = 0.01) -> None:
    """Let a last layer begin near zero, all outputs alike: normal weights, no bias yet."""
    nn.init.normal_(layer.weight, std=std)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
