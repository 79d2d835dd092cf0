"""What heads share that give something for every place of a map: their layers, and the maps that they take."""

from __future__ import annotations

from abc import ABC
from typing import Literal

from torch import nn

from mobilevision.errors import UserError
from mobilevision.heads.head import Head
from mobilevision.spec import BackboneSpec, DataSpec, Needs

OutputStride = Literal[8, 16, 32]
"""Strides that the map of a backbone's last stage can have; 32 is MobileNets' own."""


def conv_block(inputs: int, outputs: int, *, kernel: int = 1, dilation: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm and ReLU, from [B, inputs, h, w] to [B, outputs, h, w].

    Args:
        inputs: channels.
        outputs: channels.
        kernel: side of the convolution's kernel, odd.
        dilation: places between what it looks at.
        groups: of channels; ``inputs`` makes it depthwise.
    """
    padding = dilation * (kernel // 2)
    layer = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def separable_block(inputs: int, outputs: int, *, dilation: int = 1) -> nn.Sequential:
    """A depthwise 3x3 convolution and a pointwise one, with batch norm and ReLU (arXiv 1704.04861, section 3.1)."""
    depthwise = conv_block(inputs, inputs, kernel=3, dilation=dilation, groups=inputs)
    return nn.Sequential(depthwise, conv_block(inputs, outputs))


class DenseHead(Head, ABC):
    """A head over the map of the backbone's last stage, which may be dilated, and maps of other strides.

    Args:
        backbone: as in :class:`Head`.
        data: as in :class:`Head`.
        strides: of the maps beside that of the last stage.
        output_stride: of the last stage's map; that stage's own stride or more dilates nothing.
        channels: of the head's layers; None: 128 times the backbone's width.

    Attributes:
        last: the last stage's own stride, by which its map is called among the features.
        inputs: channels of that map.
        channels: of the head's layers.

    Raises:
        UserError: the backbone has no such maps.
    """

    def __init__(
        self,
        *,
        backbone: BackboneSpec,
        data: DataSpec,
        strides: tuple[int, ...],
        output_stride: OutputStride,
        channels: int | None,
    ) -> None:
        super().__init__(backbone=backbone, data=data)
        self.last = max(backbone.strides, default=0)
        if self.last <= max(strides, default=4) or not set(strides) <= set(backbone.strides):
            wanted = ", ".join([*map(str, strides), "a deeper one"])
            have = ", ".join(map(str, backbone.strides)) or "none"
            raise UserError(f"head: maps of the strides {wanted} are wanted, and the backbone has {have}")
        dilated = output_stride if output_stride < self.last else None
        self.needs = Needs((*strides, self.last), output_stride=dilated)
        self.inputs = backbone.strides[self.last]
        self.channels = channels or max(16, round(128 * backbone.multiplier))
