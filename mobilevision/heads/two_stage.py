"""Two-stage detection: propose regions, look at each again (Ren et al., "Faster R-CNN", arXiv 1506.01497)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mobilevision.errors import UserError
from mobilevision.heads.detection import DetectionHead
from mobilevision.ops.anchor_planning import Places
from mobilevision.ops.anchors import Sizes, anchor_sizes, centred, grid_anchors
from mobilevision.ops.candidates import Candidates, DetectorOutputs, Weights
from mobilevision.ops.proposals import best_proposals, sampled_regions
from mobilevision.ranges import Items, PositiveFloat
from mobilevision.spec import BackboneSpec, DataSpec, Features

# The first stage of a two-stage detector: where something might be (Ren et al., "Faster R-CNN", arXiv 1506.01497).

WEIGHTS: Weights = (1.0, 1.0, 1.0, 1.0)
Shape = Annotated[Sequence[PositiveFloat], Items(2, 2)]
Anchors = Annotated[Sequence[Annotated[Sequence[Shape], Items(min=1)]], Items(min=1)]


@final
class RegionProposals(nn.Module):
    """A 3x3 convolution, then two scores (background, object) and a box for every anchor; the same layers on all maps.

    Args:
        channels: of the maps.
        width: channels of the convolution.
        strides: of the maps.
        sizes: (width, height) of the anchors of each map as fractions of the input's sides; as many for every map.
        resolution: (height, width) of the input in pixels.
    """

    shapes: Tensor

    def __init__(
        self, *, channels: int, width: int, strides: Sequence[int], sizes: Sizes, resolution: tuple[int, int]
    ) -> None:
        super().__init__()
        self.strides, self.count = tuple(strides), len(sizes[0])
        self.conv = nn.Conv2d(channels, width, 3, padding=1)
        self.objectness = nn.Conv2d(width, 2 * self.count, 1)
        self.deltas = nn.Conv2d(width, 4 * self.count, 1)
        for layer in (self.conv, self.objectness, self.deltas):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        shapes = torch.stack([centred(each, resolution) for each in sizes])
        self.register_buffer("shapes", shapes, persistent=False)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Candidates, list[int]]:
        """Candidates of all maps, and how many each map gave.

        Args:
            maps: float [B, channels, h, w] each, in the order of the strides.
        """
        logits, deltas, anchors = [], [], []
        for x, shapes, stride in zip(maps, self.shapes, self.strides, strict=True):
            hidden = functional.relu(self.conv(x))
            logits.append(_rows(self.objectness(hidden), 2))
            deltas.append(_rows(self.deltas(hidden), 4))
            anchors.append(grid_anchors(shapes, (x.shape[2], x.shape[3]), stride))
        references = torch.cat(anchors).expand(maps[0].shape[0], -1, -1)
        valid = torch.ones_like(references[..., 0], dtype=torch.bool)
        first = Candidates(torch.cat(logits, dim=1), torch.cat(deltas, dim=1), references, valid, WEIGHTS)
        return first, [len(each) for each in anchors]


def proposal_anchors(
    maps: int,
    resolution: tuple[int, int],
    *,
    scales: Sequence[float],
    ratios: Sequence[float],
    anchors: Anchors | None,
) -> Sizes:
    """Sizes of the anchors of each map: the given ones, else every scale in every ratio.

    Args:
        maps: how many the head has.
        resolution: (height, width) of the input in pixels.
        scales: as in :func:`anchor_sizes`.
        ratios: as in :func:`anchor_sizes`.
        anchors: (width, height) of each map's, as fractions of the input's sides; these win.

    Raises:
        UserError: for another number of maps, not as many for each, or sizes that are none.
    """
    if anchors is None:
        if not (scales and ratios) or min(*scales, *ratios) <= 0:
            raise UserError(f"head.scales={list(scales)} head.ratios={list(ratios)}: give numbers above 0")
        try:
            return anchor_sizes(maps, resolution, scales=scales, ratios=ratios)
        except ValueError as error:
            raise UserError(f"head.scales: {error}") from None
    if len(anchors) != maps or len({len(each) for each in anchors}) != 1 or not anchors[0]:
        counts = [len(each) for each in anchors]
        raise UserError(f"head.anchors: lists of {counts} anchors; give {maps} of them, each with as many")
    if any(len(shape) != 2 or min(shape) <= 0 for each in anchors for shape in each):
        raise UserError("head.anchors: give [width, height] pairs above 0")
    return [[(float(width), float(height)) for width, height in each] for each in anchors]


def _rows(x: Tensor, values: int) -> Tensor:
    """[B, K * values, h, w] to [B, h * w * K, values]."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, values)


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
