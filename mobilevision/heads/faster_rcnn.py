"""Faster R-CNN: propose regions, look at each again (Ren et al., arXiv 1506.01497)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Unpack, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from mobilevision.errors import UserError
from mobilevision.heads import torchvision_detectors
from mobilevision.heads.detection import Anchors, DetectionHead, DetectionOptions, anchor_shapes, rows
from mobilevision.heads.head import draw_small
from mobilevision.heads.torchvision_detectors import Layout, Rows, check_layout
from mobilevision.ops.anchor_planning import Places, Sizes
from mobilevision.ops.anchors import anchor_sizes, box_levels, centred, grid_anchors
from mobilevision.ops.box_coding import Weights
from mobilevision.ops.candidates import Candidates, DetectorOutputs
from mobilevision.ops.proposals import best_proposals, sampled_regions
from mobilevision.ops.roi_align import roi_align
from mobilevision.ranges import Items, PositiveFloat, PositiveInt, Range, Share, ShareBelowOne, check_ranges
from mobilevision.spec import BackboneSpec, DataSpec, Features, Inside, Needs

# The first stage: where something might be.

WEIGHTS: Weights = (1.0, 1.0, 1.0, 1.0)


@final
class RegionProposals(nn.Module):
    """A 3x3 convolution, then two scores (background, object) and a box for every anchor; the same layers on all maps.

    Args:
        channels: of the maps.
        width: channels of the convolution.
        strides: of the maps.
        sizes: (width, height) of the anchors of each map as fractions of the input's sides; as many for every map.
        resolution: (height, width) of the input in pixels.
        even: torchvision's distance between places, of a map of n places a whole n-th of the side; else the stride.
    """

    shapes: Tensor

    def __init__(
        self,
        *,
        channels: int,
        width: int,
        strides: Sequence[int],
        sizes: Sizes,
        resolution: tuple[int, int],
        even: bool = False,
    ) -> None:
        super().__init__()
        self.strides, self.count = tuple(strides), len(sizes[0])
        self.resolution, self.even = resolution, even
        self.conv = nn.Conv2d(channels, width, 3, padding=1)
        self.objectness = nn.Conv2d(width, 2 * self.count, 1)
        self.deltas = nn.Conv2d(width, 4 * self.count, 1)
        for layer in (self.conv, self.objectness, self.deltas):
            draw_small(layer)
        shapes = torch.stack([centred(each, resolution) for each in sizes])
        self.register_buffer("shapes", shapes, persistent=False)

    def steps(self, size: tuple[int, int], stride: int) -> tuple[int, int]:
        """Pixels of the input from one place of a map of (height, width) ``size`` to the next, down and across."""
        if not self.even:
            return stride, stride
        return self.resolution[0] // size[0], self.resolution[1] // size[1]

    def forward(self, maps: Sequence[Tensor]) -> tuple[Candidates, list[int]]:
        """Candidates of all maps, and how many each map gave.

        Args:
            maps: float [B, channels, h, w] each, in the order of the strides.
        """
        logits, deltas, by_map = [], [], []
        for x, shapes, stride in zip(maps, self.shapes, self.strides, strict=True):
            hidden = functional.relu(self.conv(x))
            logits.append(rows(self.objectness(hidden), 2))
            deltas.append(rows(self.deltas(hidden), 4))
            size = x.shape[2], x.shape[3]
            by_map.append(grid_anchors(shapes, size, self.steps(size, stride)))
        anchors = torch.cat(by_map).expand(maps[0].shape[0], -1, -1)
        valid = torch.ones_like(anchors[..., 0], dtype=torch.bool)
        first = Candidates(torch.cat(logits, dim=1), torch.cat(deltas, dim=1), anchors, valid, WEIGHTS)
        return first, [len(each) for each in by_map]


REGION_WEIGHTS: Weights = (10.0, 10.0, 5.0, 5.0)


@final
class TwoStageOptions(DetectionOptions, total=False):
    """Arguments of :class:`TwoStageHead` that both heads take; it says what they mean."""

    ratios: Annotated[Sequence[PositiveFloat], Items(min=1)]
    anchors: Anchors | None
    rpn_nms: Share
    rpn_score: ShareBelowOne
    candidates: PositiveInt
    proposals: PositiveInt
    train_candidates: PositiveInt
    train_proposals: PositiveInt
    regions: PositiveInt
    positives: Share


class TwoStageHead(DetectionHead, ABC):
    """What both stages have to agree on.

    Every class has a box of its own. No gradient flows from the second stage into the proposed boxes.

    Args:
        backbone: as in :class:`Head`.
        data: as in :class:`Head`; its resolution fixes the anchors.
        channels: of the maps that regions are proposed from.
        strides: of those maps.
        scales: square roots of the anchors' areas over the input's shorter side, dealt out to the maps.
        rpn_width: channels of the first stage's convolution; None for ``channels``.
        ratios: width over height of the anchors.
        anchors: (width, height) of the anchors of each map, as fractions of the input, in place of scales and ratios.
        rpn_nms: of two proposals that overlap by more than this (IoU), the better one stays.
        rpn_score: proposals of a lower score are left out.
        candidates: anchors of each map that are compared with each other.
        proposals: of these, regions that are looked at again.
        train_candidates: as ``candidates``, in training.
        train_proposals: regions that training chooses from.
        regions: of these and the true boxes, an image's sample that is looked at again in training.
        positives: share of the sample that may show objects.
        even: see :class:`RegionProposals`.
        **options: of :class:`DetectionHead`, with 100 for ``per_class`` where it is not stated.

    Raises:
        UserError: scales or anchors for another number of maps.
    """

    def __init__(
        self,
        *,
        backbone: BackboneSpec,
        data: DataSpec,
        channels: int,
        strides: Sequence[int],
        scales: Sequence[float],
        rpn_width: int | None = None,
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
        anchors: Anchors | None = None,
        rpn_nms: float = 0.7,
        rpn_score: float = 0.0,
        candidates: int = 1000,
        proposals: int = 300,
        train_candidates: int = 2000,
        train_proposals: int = 1000,
        regions: int = 64,
        positives: float = 0.25,
        even: bool = False,
        **options: Unpack[DetectionOptions],
    ) -> None:
        options.setdefault("per_class", 100)
        super().__init__(backbone=backbone, data=data, **options)
        counts = [len(each) for each in anchors or ()]
        if anchors is not None and (len(counts) != len(strides) or len(set(counts)) != 1):
            raise UserError(f"head.anchors: lists of {counts} anchors; give {len(strides)} of them, each with as many")
        self.anchor_shapes = anchor_shapes(
            anchors, lambda: anchor_sizes(len(strides), data.resolution, scales=scales, ratios=ratios)
        )
        self.rpn = RegionProposals(
            channels=channels,
            width=rpn_width or channels,
            strides=strides,
            sizes=self.anchor_shapes,
            resolution=data.resolution,
            even=even,
        )
        self.rpn_score = rpn_score
        self.rpn_nms, self.candidates, self.proposals = rpn_nms, candidates, proposals
        self.train_candidates, self.train_proposals = train_candidates, train_proposals
        self.regions, self.positives = regions, positives

    @property
    def places(self) -> list[Places]:
        """The corners of the cells of each map."""
        height, width = self.data_spec.resolution
        found = []
        for stride in self.rpn.strides:
            rows, columns = math.ceil(height / stride), math.ceil(width / stride)
            down, across = self.rpn.steps((rows, columns), stride)
            found.append(Places(np.arange(columns) * across / width, np.arange(rows) * down / height))
        return found

    @abstractmethod
    def maps(self, features: Features) -> list[Tensor]:
        """The maps that regions are proposed from, float [B, channels, h, w] each."""

    @abstractmethod
    def refine(self, maps: list[Tensor], regions: Tensor) -> tuple[Tensor, Tensor]:
        """Classify regions and correct their boxes.

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
        logits, deltas = self.refine(maps, regions)
        batch, count = valid.shape
        deltas = deltas.view(batch, count, self.outputs - 1, 4)
        final = Candidates(
            logits=logits.view(batch, count, self.outputs),
            deltas=functional.pad(deltas, (0, 0, 1, 0)),  # background has no box
            anchors=regions,
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
            least=self.rpn_score,
        )
        if not training or target is None:
            return boxes, valid
        return sampled_regions(boxes, valid, target, count=self.regions, positives=self.positives)


def last_layers(width: int, outputs: int) -> tuple[nn.Linear, nn.Linear]:
    """The second stage's class scores, and a box for each class but background; they begin near zero."""
    classifier, regressor = nn.Linear(width, outputs), nn.Linear(width, 4 * (outputs - 1))
    draw_small(classifier)
    draw_small(regressor, std=0.001)
    return classifier, regressor


STRIDE = 16
SIDE = 7
"""Places a direction of the features of a region."""


@final
class FasterRCNNHead(TwoStageHead):
    """The second stage is the backbone's own last stage, as arXiv 1704.04861 counts it in Table 13.

    Regions are proposed from the map of stride 16; the backbone's last stage at stride 1 runs on each, 7x7.

    With MobileNet V1 1.0 and 91 outputs: 25.224 G mult-adds at 300 pixels, 30.494 G at 600, 6.066 M parameters.

    Args:
        backbone: as in :class:`Head`; it has to have a tail.
        data: as in :class:`Head`.
        scales: as in :class:`TwoStageHead`.
        rpn_width: as in :class:`TwoStageHead`.
        **options: :class:`TwoStageHead`'s.

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
        scales: Annotated[Sequence[PositiveFloat], Items(min=1)] = (0.1, 0.2, 0.4, 0.8),
        rpn_width: Annotated[int, Range(min=1, max=65_536)] | None = None,
        **options: Unpack[TwoStageOptions],
    ) -> None:
        if backbone.tail is None:
            why = "this backbone has no last stage to run on regions"
            raise UserError(f"head=faster_rcnn: {why}; use head=faster_rcnn_fpn")
        super().__init__(
            backbone=backbone,
            data=data,
            channels=backbone.strides[STRIDE],
            strides=(STRIDE,),
            scales=scales,
            rpn_width=rpn_width,
            **options,
        )
        self.classifier, self.regressor = last_layers(backbone.tail, self.outputs)

    def maps(self, features: Features) -> list[Tensor]:
        """The map of stride 16."""
        return [features.maps[STRIDE]]

    def refine(self, maps: list[Tensor], regions: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`TwoStageHead.refine`; the tail must have been handed over (:meth:`Head.take_tail`)."""
        assert self.tail is not None, "take_tail() first"
        x = self.tail(roi_align(maps, regions, (STRIDE,), side=SIDE)).mean(dim=(2, 3))
        return self.classifier(x), self.regressor(x)


@final
class FasterRCNNFPNHead(TwoStageHead):
    """A feature pyramid (Lin et al., arXiv 1612.03144), on any backbone.

    Maps of several strides mixed from coarse to fine; each region is looked up in the one that suits its size.

    The pyramid is torchvision's, with batch norm; it is narrower than usual, as suits a small backbone, and so are the
    two fully connected layers that look at regions.

    Args:
        backbone: as in :class:`Head`.
        data: as in :class:`Head`.
        strides: of the backbone's maps; those that it has of them are taken, and one more of twice the last stride for
            proposals.
        width: channels of the pyramid and of the first stage.
        hidden: outputs of the two fully connected layers.
        canonical: side of the smallest box that is looked up at stride 16, over the input's shorter side (224 of 800 in
            the paper); one twice as large is looked up at stride 32.
        scales: as in :class:`TwoStageHead`.
        layout: ``torchvision``: as its ``fasterrcnn_mobilenet_v3_large_fpn``: the pyramid stands on the maps of the
            first block and of the last layer of stride 32, without batch norm, and every map has anchors of 32 to 512
            pixels; regions are looked up in its first map. ``own``: none of this.
        weights: pretrained weights of the whole detector, which whoever builds the head loads into backbone and head;
            they need ``layout=torchvision``.
        **options: :class:`TwoStageHead`'s.

    Raises:
        UserError: the backbone has none of the strides, or for torchvision's layout none whose first block can be
            looked into; see also :class:`TwoStageHead`.
    """

    side: ClassVar[int | None] = 320
    published: ClassVar[Mapping[int, str]] = {
        320: "fasterrcnn_mobilenet_v3_large_320_fpn",
        800: "fasterrcnn_mobilenet_v3_large_fpn",
    }

    @check_ranges("head")
    def __init__(
        self,
        *,
        backbone: BackboneSpec,
        data: DataSpec,
        strides: Annotated[Sequence[PositiveInt], Items(min=1)] = (8, 16, 32),
        width: Annotated[int, Range(min=1, max=65_536)] = 128,
        hidden: Annotated[int, Range(min=1, max=65_536)] = 512,
        canonical: PositiveFloat = 0.28,
        scales: Annotated[Sequence[PositiveFloat], Items(min=1)] = (0.05, 0.08, 0.12, 0.18, 0.26, 0.38, 0.56, 0.8),
        layout: Layout = "own",
        weights: str | None = None,
        **options: Unpack[TwoStageOptions],
    ) -> None:
        check_layout(layout, weights)
        self_made = layout == "own"
        if not self_made:
            strides = (_COARSE,)
            if options.get("anchors") is None:
                options["anchors"] = _pixel_anchors(data.resolution, maps=3)
        taken = tuple(sorted(set(strides) & set(backbone.strides)))
        if not taken:
            have = ", ".join(map(str, backbone.strides)) or "none"
            raise UserError(f"head.strides={list(strides)}: this backbone has maps of stride {have}")
        if not self_made and _COARSE not in backbone.entries:
            raise UserError("head.layout=torchvision: this backbone's blocks expand nothing: take mobilenet_v2 or v3")
        super().__init__(
            backbone=backbone,
            data=data,
            channels=width,
            strides=(*taken, 2 * taken[-1]) if self_made else (_COARSE, _COARSE, 2 * _COARSE),
            scales=scales,
            even=not self_made,
            **options,
        )
        self.smallest = 0.0 if self_made else _SMALLEST
        self.needs = Needs(strides=taken, entries=() if self_made else (_COARSE,))
        self.canonical = canonical * min(data.resolution)
        channels = [backbone.strides[stride] for stride in taken]
        if not self_made:
            channels.insert(0, backbone.entries[_COARSE].output)
        self.fpn = FeaturePyramidNetwork(
            channels, width, LastLevelMaxPool(), norm_layer=nn.BatchNorm2d if self_made else None
        )
        self.hidden = nn.Sequential(
            nn.Flatten(), nn.Linear(width * SIDE**2, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.classifier, self.regressor = last_layers(hidden, self.outputs)

    def maps(self, features: Features) -> list[Tensor]:
        """The pyramid's maps, finest first."""
        inside = [Inside(stride, "output") for stride in self.needs.entries]
        own = OrderedDict((f"first {each.stride}", features.maps[each]) for each in inside)
        own.update((str(stride), features.maps[stride]) for stride in self.needs.strides)
        return list(self.fpn(own).values())

    def refine(self, maps: list[Tensor], regions: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`TwoStageHead.refine`; the map of twice the last stride serves proposals only."""
        strides = self.needs.strides
        levels = box_levels(regions, strides, canonical=self.canonical)
        x = self.hidden(roi_align(maps[: len(strides)], regions, strides, levels=levels, side=SIDE))
        return self.classifier(x), self.regressor(x)

    def load_detector(self, state: Mapping[str, Tensor], *, source: str) -> list[str]:
        """See :meth:`DetectionHead.load_detector`."""
        return torchvision_detectors.load(
            self,
            state,
            source=source,
            names=torchvision_detectors.FASTER_RCNN_FPN,
            rows={"classifier": Rows(1), "regressor": Rows(1, values=4, background=False)},
        )


_SMALLEST = 0.01  # pixels of the shorter side of torchvision's detections
_COARSE = 32  # the stride of both maps that torchvision's pyramid stands on


def _pixel_anchors(resolution: tuple[int, int], *, maps: int) -> list[list[tuple[float, float]]]:
    """Torchvision's anchors of whole pixels, the same on all maps, as fractions of the input's sides."""
    height, width = resolution
    anchors = AnchorGenerator(((32, 64, 128, 256, 512),), ((0.5, 1.0, 2.0),)).cell_anchors[0]
    sides = (anchors[:, 2:] - anchors[:, :2]).tolist()
    return [[(wide / width, high / height) for wide, high in sides] for _ in range(maps)]
