"""Faster R-CNN whose second stage is the backbone's own last stage, as arXiv 1704.04861 counts it in Table 13."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, final

from torch import Tensor, nn

from mobilevision.errors import UserError
from mobilevision.heads.two_stage import Anchors, TwoStageHead, calm
from mobilevision.ops.roi_align import roi_align
from mobilevision.ranges import Items, PositiveFloat, PositiveInt, Range, Share, ShareBelowOne, check_ranges
from mobilevision.spec import BackboneSpec, DataSpec, Features, Needs

STRIDE = 16
SIDE = 7
"""Places a direction of the features of a region."""


@final
class FasterRCNNHead(TwoStageHead):
    """Regions are proposed from the map of stride 16; the backbone's last stage at stride 1 runs on each, 7x7.

    With MobileNet V1 1.0 and 91 outputs: 25.224 G mult-adds at 300 pixels, 30.494 G at 600, 6.066 M parameters.

    Args:
        backbone: as in :class:`Head`; it has to have a tail.
        data: as in :class:`Head`.
        outputs: as in :class:`DetectionHead`.
        score_threshold: as in :class:`DetectionHead`.
        nms: as in :class:`DetectionHead`.
        per_class: as in :class:`DetectionHead`.
        detections: as in :class:`DetectionHead`.
        rpn_width: as in :class:`TwoStageHead`.
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
        UserError: the backbone has no last stage that can run on regions; see also :class:`TwoStageHead`.
    """

    side: ClassVar[int | None] = 300
    needs = Needs(strides=(STRIDE,), tail=True)

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
        rpn_width: Annotated[int, Range(min=1, max=65_536)] | None = None,
        scales: Annotated[Sequence[PositiveFloat], Items(min=1)] = (0.1, 0.2, 0.4, 0.8),
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
        if backbone.tail is None:
            why = "this backbone has no last stage to run on regions"
            raise UserError(f"head=faster_rcnn: {why}; use head=faster_rcnn_fpn")
        super().__init__(
            backbone=backbone,
            data=data,
            outputs=outputs,
            score_threshold=score_threshold,
            nms=nms,
            per_class=per_class,
            detections=detections,
            channels=backbone.strides[STRIDE],
            rpn_width=rpn_width,
            strides=(STRIDE,),
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
        self.classifier = nn.Linear(backbone.tail, self.outputs)
        self.regressor = nn.Linear(backbone.tail, 4 * (self.outputs - 1))
        calm(self.classifier, self.regressor)

    def maps(self, features: Features) -> list[Tensor]:
        """The map of stride 16."""
        return [features.maps[STRIDE]]

    def look(self, maps: list[Tensor], regions: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`TwoStageHead.look`; the tail must have been handed over (:meth:`Head.take_tail`)."""
        assert self.tail is not None, "take_tail() first"
        x = self.tail(roi_align(maps, regions, (STRIDE,), side=SIDE)).mean(dim=(2, 3))
        return self.classifier(x), self.regressor(x)
