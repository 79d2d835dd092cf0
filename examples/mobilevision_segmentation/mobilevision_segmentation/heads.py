"""Heads that give logits of every class for every place of a map: LR-ASPP and a light DeepLabV3+."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mobilevision.api import BackboneSpec, DataSpec, DenseHead, Features, OutputStride, conv_block, separable_block
from mobilevision.ranges import PositiveInt, check_ranges


@final
class LRASPP(DenseHead):
    """Lite reduced atrous spatial pyramid pooling (Howard et al., arXiv 1905.02244, section 6.4).

    Two branches over the last stage, one of them a gate by the mean of the whole map, joined by the map of stride 8.

    Args:
        backbone: as in :class:`Head`.
        data: as in :class:`Head`.
        output_stride: of the last stage, which is dilated for it; 32 dilates nothing.
        channels: of both branches; None: 128 times the backbone's width.
    """

    @check_ranges("head")
    def __init__(
        self,
        *,
        backbone: BackboneSpec,
        data: DataSpec,
        output_stride: OutputStride = 16,
        channels: PositiveInt | None = None,
    ) -> None:
        super().__init__(backbone=backbone, data=data, strides=(8,), output_stride=output_stride, channels=channels)
        deep, width = self.inputs, self.channels
        self.reduce = conv_block(deep, width)
        self.gate = nn.Sequential(nn.Conv2d(deep, width, 1, bias=False), nn.Sigmoid())
        self.low = nn.Conv2d(backbone.strides[8], len(data.classes), 1)
        self.high = nn.Conv2d(width, len(data.classes), 1)

    def forward(self, features: Features) -> Tensor:
        """Float logits [batch, classes, height / 8, width / 8]."""
        deep, low = features.maps[self.last], features.maps[8]
        gated = self.reduce(deep) * self.gate(deep.mean(dim=(2, 3), keepdim=True))
        high = self.high(interpolate(gated, low.shape[2:], mode="bilinear", align_corners=False))
        logits: Tensor = self.low(low) + high
        return logits


@final
class DeepLab(DenseHead):
    """DeepLabV3+ with separable convolutions throughout (Chen et al., arXiv 1802.02611; arXiv 1801.04381, section 6.3).

    Args:
        backbone: as in :class:`Head`.
        data: as in :class:`Head`.
        output_stride: of the last stage, which is dilated for it; 32 dilates nothing.
        channels: of every branch; None: 128 times the backbone's width.
    """

    @check_ranges("head")
    def __init__(
        self,
        *,
        backbone: BackboneSpec,
        data: DataSpec,
        output_stride: OutputStride = 16,
        channels: PositiveInt | None = None,
    ) -> None:
        super().__init__(backbone=backbone, data=data, strides=(4,), output_stride=output_stride, channels=channels)
        deep, width = self.inputs, self.channels
        rates = [max(1, 96 * part // output_stride) for part in (1, 2, 3)]  # 6, 12, 18 at stride 16
        self.branches = nn.ModuleList(
            [conv_block(deep, width), *(separable_block(deep, width, dilation=rate) for rate in rates)]
        )
        # Without batch norm, which would have one place an image, and one in all of a batch of one.
        self.whole = nn.Sequential(nn.Conv2d(deep, width, 1), nn.ReLU(inplace=True))
        self.join = conv_block(width * (len(rates) + 2), width)
        self.low = conv_block(backbone.strides[4], max(8, width // 4))
        self.refine = separable_block(width + max(8, width // 4), width)
        self.classify = nn.Conv2d(width, len(data.classes), 1)

    def forward(self, features: Features) -> Tensor:
        """Float logits [batch, classes, height / 4, width / 4]."""
        deep, low = features.maps[self.last], features.maps[4]
        whole = self.whole(deep.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *deep.shape[2:])
        joined = self.join(torch.cat([*(branch(deep) for branch in self.branches), whole], dim=1))
        larger = interpolate(joined, low.shape[2:], mode="bilinear", align_corners=False)
        logits: Tensor = self.classify(self.refine(torch.cat([larger, self.low(low)], dim=1)))
        return logits
