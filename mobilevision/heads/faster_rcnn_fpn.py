"""Faster R-CNN over a feature pyramid (Lin et al., "Feature Pyramid Networks", arXiv 1612.03144), on any backbone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Annotated, ClassVar, final

from torch import Tensor, nn
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from mobilevision.errors import UserError
from mobilevision.heads.two_stage import Anchors, TwoStageHead, calm
from mobilevision.ops.anchors import box_levels
from mobilevision.ops.roi_align import roi_align
from mobilevision.ranges import Items, PositiveFloat, PositiveInt, Range, Share, ShareBelowOne, check_ranges
from mobilevision.spec import BackboneSpec, DataSpec, Features, Needs

SIDE = 7
"""Places a direction of the features of a region."""


@final
class FasterRCNNFPNHead(TwoStageHead):
    """Maps of several strides mixed from coarse to fine; each region is looked up in the one that suits its size.

    The pyramid is torchvision's, with batch norm; it is narrower than usual, as suits a small backbone, and so are the
    two fully connected layers that look at regions.

    Args:
        backbone: as in :class:`Head`.
        data: as in :class:`Head`.
        outputs: as in :class:`DetectionHead`.
        score_threshold: as in :class:`DetectionHead`.
        nms: as in :class:`DetectionHead`.
        per_class: as in :class:`DetectionHead`.
        detections: as in :class:`DetectionHead`.
        strides: of the backbone's maps; those that it has of them are taken, and one more of twice the last stride for
            proposals.
        width: channels of the pyramid and of the first stage.
        hidden: outputs of the two fully connected layers.
        canonical: side of the smallest box that is looked up at stride 16, over the input's shorter side (224 of 800 in
            the paper); one twice as large is looked up at stride 32.
        scales: as in :class:`TwoStageHead`.
        ratios: as in :class:`TwoStageHead`.
        anchors: as in :class:`TwoStageHead`.
        rpn_nms: as in :class:`TwoStageHead`.
        candidates: as in :class:`TwoStageHead`.
        proposals: as in :class:`TwoStageHead`.
        train_candidates: as in :class:`TwoStageHead`.
        train_proposals: as in :class:`TwoStageHead`.
        regions: as in :class:`TwoStageHead`.
        positives: as in :class:`TwoStageHead`.

    Raises:
        UserError: the backbone has none of the strides; see also :class:`TwoStageHead`.
    """

    side: ClassVar[int | None] = 320

    @check_ranges("head")
    def __init__(
        self,
        *,
        backbone: BackboneSpec,
        data: DataSpec,
        outputs: PositiveInt | None = None,
        score_threshold: ShareBelowOne = 0.01,
        nms: Share = 0.5,
        per_class: PositiveInt | None = 100,
        detections: PositiveInt = 100,
        strides: Annotated[Sequence[PositiveInt], Items(min=1)] = (8, 16, 32),
        width: Annotated[int, Range(min=1, max=65_536)] = 128,
        hidden: Annotated[int, Range(min=1, max=65_536)] = 512,
        canonical: PositiveFloat = 0.28,
        scales: Annotated[Sequence[PositiveFloat], Items(min=1)] = (0.05, 0.08, 0.12, 0.18, 0.26, 0.38, 0.56, 0.8),
        ratios: Annotated[Sequence[PositiveFloat], Items(min=1)] = (0.5, 1.0, 2.0),
        anchors: Anchors | None = None,
        rpn_nms: Share = 0.7,
        candidates: PositiveInt = 1000,
        proposals: PositiveInt = 300,
        train_candidates: PositiveInt = 2000,
        train_proposals: PositiveInt = 1000,
        regions: PositiveInt = 64,
        positives: Share = 0.25,
    ) -> None:
        taken = tuple(sorted(set(strides) & set(backbone.strides)))
        if not taken:
            have = ", ".join(map(str, backbone.strides)) or "none"
            raise UserError(f"head.strides={list(strides)}: this backbone has maps of stride {have}")
        super().__init__(
            backbone=backbone,
            data=data,
            outputs=outputs,
            score_threshold=score_threshold,
            nms=nms,
            per_class=per_class,
            detections=detections,
            channels=width,
            rpn_width=None,
            strides=(*taken, 2 * taken[-1]),
            scales=scales,
            ratios=ratios,
            anchors=anchors,
            rpn_nms=rpn_nms,
            candidates=candidates,
            proposals=proposals,
            train_candidates=train_candidates,
            train_proposals=train_proposals,
            regions=regions,
            positives=positives,
        )
        self.needs = Needs(strides=taken)
        self.canonical = canonical * min(data.resolution)
        self.fpn = FeaturePyramidNetwork(
            [backbone.strides[stride] for stride in taken], width, LastLevelMaxPool(), norm_layer=nn.BatchNorm2d
        )
        self.hidden = nn.Sequential(
            nn.Flatten(), nn.Linear(width * SIDE**2, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.classifier = nn.Linear(hidden, self.outputs)
        self.regressor = nn.Linear(hidden, 4 * (self.outputs - 1))
        calm(self.classifier, self.regressor)

    def maps(self, features: Features) -> list[Tensor]:
        """The pyramid's maps, finest first."""
        pyramid = self.fpn(OrderedDict((str(stride), features.maps[stride]) for stride in self.needs.strides))
        return list(pyramid.values())

    def look(self, maps: list[Tensor], regions: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`TwoStageHead.look`; the map of twice the last stride serves proposals only."""
        strides = self.needs.strides
        levels = box_levels(regions, strides, canonical=self.canonical)
        x = self.hidden(roi_align(maps[: len(strides)], regions, strides, levels=levels, side=SIDE))
        return self.classifier(x), self.regressor(x)
