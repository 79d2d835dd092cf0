"""Two-stage detection: propose regions, look at each again (Ren et al., "Faster R-CNN", arXiv 1506.01497)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from mobilevision.heads.detection import DetectionHead
from mobilevision.heads.region_proposals import Anchors, RegionProposals, proposal_anchors
from mobilevision.ops.anchor_planning import Places
from mobilevision.ops.candidates import Candidates, DetectorOutputs, Weights
from mobilevision.ops.proposals import best_proposals, sampled_regions
from mobilevision.spec import BackboneSpec, DataSpec, Features

REGION_WEIGHTS: Weights = (10.0, 10.0, 5.0, 5.0)


class TwoStageHead(DetectionHead, ABC):
    """What both stages have to agree on.

    Every class has a box of its own. No gradient flows from the second stage into the proposed boxes.

    Args:
        backbone: as in :class:`Head`.
        data: as in :class:`Head`; its resolution fixes the anchors.
        outputs: as in :class:`DetectionHead`.
        score_threshold: as in :class:`DetectionHead`.
        nms: as in :class:`DetectionHead`.
        per_class: as in :class:`DetectionHead`.
        detections: as in :class:`DetectionHead`.
        channels: of the maps that regions are proposed from.
        rpn_width: channels of the first stage's convolution; None for ``channels``.
        strides: of those maps.
        scales: square roots of the anchors' areas over the input's shorter side, dealt out to the maps.
        ratios: width over height of the anchors.
        anchors: (width, height) of the anchors of each map, as fractions of the input, in place of both.
        rpn_nms: of two proposals that overlap by more than this (IoU), the better one stays.
        candidates: anchors of each map that are compared with each other.
        proposals: of these, regions that are looked at again.
        train_candidates: as ``candidates``, in training.
        train_proposals: regions that training chooses from.
        regions: of these and the true boxes, a picture's sample that is looked at again in training.
        positives: share of the sample that may show objects.

    Raises:
        UserError: scales or anchors for another number of maps.
    """

    def __init__(
        self,
        *,
        backbone: BackboneSpec,
        data: DataSpec,
        outputs: int | None,
        score_threshold: float,
        nms: float,
        per_class: int | None,
        detections: int,
        channels: int,
        rpn_width: int | None,
        strides: Sequence[int],
        scales: Sequence[float],
        ratios: Sequence[float],
        anchors: Anchors | None,
        rpn_nms: float,
        candidates: int,
        proposals: int,
        train_candidates: int,
        train_proposals: int,
        regions: int,
        positives: float,
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
        self.anchors = proposal_anchors(len(strides), data.resolution, scales=scales, ratios=ratios, anchors=anchors)
        self.rpn = RegionProposals(
            channels=channels,
            width=rpn_width or channels,
            strides=strides,
            sizes=self.anchors,
            resolution=data.resolution,
        )
        self.rpn_nms, self.candidates, self.proposals = rpn_nms, candidates, proposals
        self.train_candidates, self.train_proposals = train_candidates, train_proposals
        self.regions, self.positives = regions, positives

    @property
    def places(self) -> list[Places]:
        """The corners of the cells of each map."""
        height, width = self.data_spec.resolution
        return [
            Places(np.arange(0, width, stride) / width, np.arange(0, height, stride) / height)
            for stride in self.rpn.strides
        ]

    @abstractmethod
    def maps(self, features: Features) -> list[Tensor]:
        """The maps that regions are proposed from, float [B, channels, h, w] each."""

    @abstractmethod
    def look(self, maps: list[Tensor], regions: Tensor) -> tuple[Tensor, Tensor]:
        """Look at regions again.

        Args:
            maps: as :meth:`maps` gives them.
            regions: float32 [B, R, 4], (left, top, right, bottom) in pixels of the input.

        Returns:
            Class scores [B * R, outputs] and a box for each class but background, [B * R, 4 * (outputs - 1)].
        """

    def forward(self, features: Features, target: Mapping[str, Tensor] | None = None) -> DetectorOutputs:
        """Raw outputs of both stages.

        Args:
            features: maps at the strides that it needs.
            target: the boxes of the batch; while training, regions are sampled among proposals and true boxes, without
                them the best proposals are taken.
        """
        maps = self.maps(features)
        first, levels = self.rpn(maps)
        regions, valid = self._regions(first, levels, target)
        logits, deltas = self.look(maps, regions)
        batch, count = valid.shape
        deltas = deltas.view(batch, count, self.outputs - 1, 4)
        final = Candidates(
            logits=logits.view(batch, count, self.outputs),
            deltas=functional.pad(deltas, (0, 0, 1, 0)),  # background has no box
            references=regions,
            valid=valid,
            weights=REGION_WEIGHTS,
        )
        return DetectorOutputs(final, first)

    def _regions(
        self, first: Candidates, levels: Sequence[int], target: Mapping[str, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        training = self.training
        after = self.proposals
        if training:
            after = self.train_proposals if target is not None else self.regions
        boxes, valid = best_proposals(
            first,
            levels,
            resolution=self.data_spec.resolution,
            before=self.train_candidates if training else self.candidates,
            after=after,
            iou=self.rpn_nms,
        )
        if not training or target is None:
            return boxes, valid
        return sampled_regions(boxes, valid, target, count=self.regions, positives=self.positives)


def calm(classifier: nn.Linear, regressor: nn.Linear) -> None:
    """Let the last layers begin near zero: all classes alike, every region as proposed."""
    for layer, spread in ((classifier, 0.01), (regressor, 0.001)):
        nn.init.normal_(layer.weight, std=spread)
        nn.init.zeros_(layer.bias)
