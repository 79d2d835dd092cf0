"""SSD on a mobile backbone, as the MobileNet paper counts it (arXiv 1704.04861, Table 13; SSD: arXiv 1512.02325)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, final

from torch import nn

from mobilevision.heads.single_shot import Activation, Anchors, ConvNorm, SingleShotHead, anchor_sizes, pyramid, reading
from mobilevision.ops.anchors import RATIOS, SCALES
from mobilevision.ranges import Items, PositiveFloat, PositiveInt, Range, Share, ShareBelowOne, check_ranges
from mobilevision.spec import BackboneSpec, DataSpec, Needs


@final
class SSDHead(SingleShotHead):
    """Two maps of the backbone and four more, each from a 1x1 and a 3x3 convolution; 1917 default boxes at 300 pixels.

    Args:
        backbone: as in :class:`Head`.
        data: as in :class:`Head`; its resolution fixes the default boxes.
        strides: of the backbone's maps; with 8 among them, smaller objects are found.
        extras: channels of the further maps; those after a map of one place are not built.
        width: factor on ``extras``.
        kernel: side of the predictors' convolutions; the paper's cost is that of 1, SSD's own is 3.
        activation: of the extra layers.
        scales: of the default boxes, over the input's shorter side: of the first and the last map, or of each.
        ratios: width over height of the default boxes.
        reduced: three default boxes instead of all on the first map.
        clip: no default box longer than the input.
        anchors: (width, height) of the default boxes of each map, as fractions of the input, instead of what the
            four options before describe.
        outputs: as in :class:`DetectionHead`.
        score_threshold: as in :class:`DetectionHead`.
        nms: as in :class:`DetectionHead`.
        per_class: as in :class:`DetectionHead`.
        detections: as in :class:`DetectionHead`.

    Raises:
        UserError: strides that the backbone does not have; scales or anchors for another number of maps; too few
            outputs.
    """

    side = 300

    @check_ranges("head")
    def __init__(
        self,
        *,
        backbone: BackboneSpec,
        data: DataSpec,
        strides: Annotated[Sequence[PositiveInt], Items(min=1)] = (16, 32),
        extras: Sequence[PositiveInt] = (512, 256, 256, 128),
        width: Annotated[float, Range(above=0, max=16)] = 1.0,
        kernel: Literal[1, 3, 5, 7] = 1,
        activation: Activation = "relu",
        scales: Annotated[Sequence[PositiveFloat], Items(min=1)] = SCALES,
        ratios: Annotated[Sequence[PositiveFloat], Items(min=1)] = RATIOS,
        reduced: bool = True,
        clip: bool = True,
        anchors: Anchors | None = None,
        outputs: PositiveInt | None = None,
        score_threshold: ShareBelowOne = 0.01,
        nms: Share = 0.5,
        per_class: PositiveInt | None = 400,
        detections: PositiveInt = 100,
    ) -> None:
        super().__init__(
            backbone=backbone,
            data=data,
            outputs=outputs,
            score_threshold=score_threshold,
            nms=nms,
            per_class=per_class,
            detections=detections,
        )
        self.kernel = kernel
        maps = pyramid(backbone, data.resolution, strides=strides, extras=extras, width=width)
        self.needs = Needs(strides=maps.strides)
        sizes = anchor_sizes(
            len(maps.grids),
            data.resolution,
            scales=scales,
            ratios=ratios,
            reduced=reduced,
            clip=clip,
            anchors=anchors,
        )
        self.grow(maps, sizes, activation)

    def extra(self, inputs: int, outputs: int, activation: Activation) -> nn.Module:
        """To half the channels to come, then to half the side."""
        return nn.Sequential(
            ConvNorm(inputs, outputs // 2, activation=activation),
            ConvNorm(outputs // 2, outputs, 3, stride=2, activation=activation),
        )

    def predictor(self, inputs: int, outputs: int, activation: Activation) -> nn.Module:
        """One convolution."""
        del activation
        return reading(inputs, outputs, self.kernel)
