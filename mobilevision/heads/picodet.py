"""PicoDet: classes and boxes read off points of a light pyramid, without anchors (PP-PicoDet, arXiv 2111.00902).

The body differs from the published one where that is made for its own backbone: any backbone serves, layers have the
activation that is given, and no squeeze-and-excitation stands in the heads. Which point finds which object is
decided by how well its class and its box fit together (:mod:`mobilevision.losses.task_aligned`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Unpack, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from mobilevision.errors import UserError
from mobilevision.heads.detection import DecodingOptions, DetectionHead, rows
from mobilevision.heads.head import draw_small
from mobilevision.heads.ssd import PRIOR, Activation, ConvNorm
from mobilevision.ops.anchor_planning import Places, Reach
from mobilevision.ops.candidates import PointCandidates, PointOutputs, expected_values
from mobilevision.ops.postprocess import top_k_detections
from mobilevision.ranges import Items, PositiveInt, Range, check_ranges
from mobilevision.spec import BackboneSpec, DataSpec, Features, Needs

KERNEL = 5
"""Side of the depthwise convolutions: as cheap as 3 on a phone, and with a wider view (section 2.2)."""


CHANNELS = 128
"""Of every map at full width: the paper's S, M and L have 0.75, 1 and 1.25 times as many (section 3.2)."""


NEVER_SUPPRESSED = 1.0
"""An IoU that no two boxes exceed."""


RIVALRY = 1.0
"""At first, by how many times its distance to its best rival a point is set back."""


def separable(inputs: int, outputs: int, *, stride: int = 1, activation: Activation) -> nn.Module:
    """A depthwise convolution of ``KERNEL`` and a pointwise one."""
    return nn.Sequential(
        ConvNorm(inputs, inputs, KERNEL, stride=stride, groups=inputs, activation=activation),
        ConvNorm(inputs, outputs, activation=activation),
    )


@final
class CSPMerge(nn.Module):
    """Two maps become one: half of the channels go through a separable convolution, half go by (CSP, arXiv 1911.11929).

    Args:
        channels: of each map, and of the result.
        activation: of all layers.
    """

    def __init__(self, channels: int, *, activation: Activation) -> None:
        super().__init__()
        half = channels // 2
        self.through = nn.Sequential(
            ConvNorm(2 * channels, half, activation=activation), separable(half, half, activation=activation)
        )
        self.beside = ConvNorm(2 * channels, half, activation=activation)
        self.last = ConvNorm(2 * half, channels, activation=activation)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Maps [B, channels, H, W], alike."""
        both = torch.cat((one, other), dim=1)
        joined: Tensor = self.last(torch.cat((self.through(both), self.beside(both)), dim=1))
        return joined


@final
class LightPAN(nn.Module):
    """Maps of all strides with what the others know: from coarse to fine, then back (section 2.2).

    Args:
        inputs: channels of the backbone's maps, fine to coarse.
        channels: of every map that comes out.
        further: coarser maps that are added, each of half the side.
        activation: of all layers.
    """

    def __init__(self, inputs: Sequence[int], channels: int, *, further: int, activation: Activation) -> None:
        super().__init__()
        count = len(inputs)
        self.enter = nn.ModuleList(ConvNorm(wide, channels, activation=activation) for wide in inputs)
        self.down = nn.ModuleList(CSPMerge(channels, activation=activation) for _ in range(count - 1))
        self.shrink = nn.ModuleList(
            separable(channels, channels, stride=2, activation=activation) for _ in range(count - 1)
        )
        self.up = nn.ModuleList(CSPMerge(channels, activation=activation) for _ in range(count - 1))
        # A coarser map is made of the backbone's coarsest one and of the finished one beside it.
        self.first = nn.ModuleList(
            separable(channels, channels, stride=2, activation=activation) for _ in range(further)
        )
        self.second = nn.ModuleList(
            separable(channels, channels, stride=2, activation=activation) for _ in range(further)
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps [B, C, H, W], fine to coarse, as many as come in and the further ones."""
        entered = [layer(x) for layer, x in zip(self.enter, maps, strict=True)]
        known = entered[-1]
        lower = [known]
        for layer, x in zip(self.down, entered[-2::-1], strict=True):
            known = layer(x, functional.interpolate(known, size=x.shape[-2:], mode="nearest"))
            lower.insert(0, known)
        found = [lower[0]]
        for shrink, merge, x in zip(self.shrink, self.up, lower[1:], strict=True):
            found.append(merge(x, functional.interpolate(shrink(found[-1]), size=x.shape[-2:], mode="nearest")))
        coarsest = entered[-1]
        for one, other in zip(self.first, self.second, strict=True):
            coarsest = one(coarsest)
            found.append(coarsest + other(found[-1]))
        return found


@final
class Tower(nn.Module):
    """Predicts classes and boxes of one map: separable convolutions that both share, then one that gives all values.

    Args:
        channels: of the map.
        classes: K.
        bins: of each side's distribution.
        depth: separable convolutions.
        activation: of them.
    """

    def __init__(self, channels: int, classes: int, bins: int, *, depth: int, activation: Activation) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*(separable(channels, channels, activation=activation) for _ in range(depth)))
        self.sizes = classes, 4 * bins
        self.output = nn.Conv2d(channels, sum(self.sizes), 1)
        draw_small(self.output)
        assert self.output.bias is not None
        with torch.no_grad():
            self.output.bias[:classes] = -math.log((1 - PRIOR) / PRIOR)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of a map [B, C, h, w]: logits [B, K, h, w], sides [B, 4 * bins, h, w], and the map that both are read off."""
        seen = self.convolutions(x)
        logits, sides = self.output(seen).split(self.sizes, dim=1)
        return logits, sides, seen


@final
class OneToOne(nn.Module):
    """Leaves one point an object its score, where several points have found it (arXiv 2405.14458, section 3.1).

    It starts from the scores that several points an object learn. Each is set back by how far it is behind its best
    rival, the highest score of its class around it, on its own map and the next ones (after 3-D max filtering, arXiv
    2012.03544, section 3.3); layers of each map learn the rest. Nothing here teaches the features, which would learn
    less from one point an object than from several.

    Args:
        channels: of the maps.
        classes: K.
        strides: of the maps.
        activation: of the layers.
    """

    def __init__(self, channels: int, classes: int, *, strides: Sequence[int], activation: Activation) -> None:
        super().__init__()

        def change() -> nn.Module:
            last = nn.Conv2d(channels, classes, 1)
            draw_small(last)
            return nn.Sequential(separable(channels, channels, activation=activation), last)

        self.strides = tuple(strides)
        self.changes = nn.ModuleList(change() for _ in strides)
        self.rivalry = nn.Parameter(torch.full((len(strides),), RIVALRY))

    def forward(self, logits: Sequence[Tensor], seen: Sequence[Tensor]) -> list[Tensor]:
        """Logits [B, K, h, w] from those of several points an object and what these are read off, [B, C, h, w]."""
        learnt = [x.detach() for x in logits]
        behind = [best - own for best, own in zip(best_rivals(learnt, self.strides), learnt, strict=True)]
        maps = zip(learnt, behind, seen, self.changes, strict=True)
        return [x + layer(y.detach()) - self.rivalry[at] * gap for at, (x, gap, y, layer) in enumerate(maps)]


def best_rivals(logits: Sequence[Tensor], strides: Sequence[int]) -> list[Tensor]:
    """The highest logit of each class in the 3 x 3 places around each, on its own map and on the two beside it.

    Args:
        logits: [B, K, h, w], fine to coarse.
        strides: of the maps.

    Returns:
        As the logits, and nowhere below them.
    """
    around = [functional.max_pool2d(x, 3, stride=1, padding=1) for x in logits]
    best = list(around)
    for fine, (x, coarse) in enumerate(itertools.pairwise(logits)):
        ratio = strides[fine + 1] // strides[fine]
        down = functional.max_pool2d(x, 2 * ratio - 1, stride=ratio, padding=ratio - 1)
        best[fine] = torch.maximum(best[fine], _at_size_of(x, around[fine + 1]))
        best[fine + 1] = torch.maximum(best[fine + 1], _at_size_of(coarse, down))
    return best


def _at_size_of(like: Tensor, x: Tensor) -> Tensor:
    """A map with the places of another: backbones round the sides of their maps up or down."""
    same = x.shape[-2:] == like.shape[-2:]
    return x if same else functional.interpolate(x, size=like.shape[-2:], mode="nearest")


@final
class PicoDetHead(DetectionHead):
    """PicoDet over any backbone that has the strides.

    Args:
        backbone: as in :class:`DetectionHead`.
        data: as in :class:`DetectionHead`.
        strides: of the maps that are read, fine to coarse; those coarser than the backbone's are added.
        channels: of every map; None: ``CHANNELS`` times the backbone's width multiplier, in eights.
        depth: separable convolutions before classes and boxes are read.
        bins: whole strides, from 0 on, over which the distance of a side from its point is distributed.
        one_to_one: one point alone finds an object, so that detections are the best scores and nothing is suppressed;
            in training a second reading lets several points learn from one object (arXiv 2405.14458, section 3.1).
        activation: of all layers.
        **options: of :class:`DetectionHead`; ``nms`` and ``per_class`` do nothing under ``one_to_one``.

    Raises:
        UserError: strides that the backbone does not have.
    """

    side = 320
    learns_from_scratch = True
    losses = ("task_aligned",)

    @check_ranges("head")
    def __init__(
        self,
        *,
        backbone: BackboneSpec,
        data: DataSpec,
        strides: Annotated[Sequence[PositiveInt], Items(min=1)] = (8, 16, 32),
        channels: Annotated[int, Range(min=8, max=1024)] | None = None,
        depth: Annotated[int, Range(min=0, max=8)] = 2,
        bins: Annotated[int, Range(min=2, max=64)] = 8,
        one_to_one: bool = False,
        activation: Activation = "relu6",
        **options: Unpack[DecodingOptions],
    ) -> None:
        super().__init__(backbone=backbone, data=data, **options)
        self.strides = tuple(sorted(set(strides)))
        own = tuple(stride for stride in self.strides if stride in backbone.strides)
        further = tuple(stride for stride in self.strides if stride not in backbone.strides)
        if not own or any(stride != own[-1] * 2**number for number, stride in enumerate(further, 1)):
            have = ", ".join(map(str, backbone.strides)) or "none"
            raise UserError(
                f"head.strides={list(strides)}: the backbone has maps at strides {have}; coarser ones double the last"
            )
        self.needs = Needs(strides=own)
        self.one_to_one, self.bins = one_to_one, bins
        inputs = [backbone.strides[stride] for stride in own]
        channels = channels or max(8, round(CHANNELS * backbone.multiplier / 8) * 8)
        self.neck = LightPAN(inputs, channels, further=len(further), activation=activation)

        classes = len(data.classes)
        self.towers = nn.ModuleList(
            Tower(channels, classes, bins, depth=depth, activation=activation) for _ in self.strides
        )
        self.one_to_one_scores = (
            OneToOne(channels, classes, strides=self.strides, activation=activation) if one_to_one else None
        )

    @property
    def places(self) -> list[Places]:
        """It starts from nothing."""
        return []

    @property
    def reach(self) -> list[Reach]:
        """From the distance of the points to twice the longest distance of a side from its point."""
        return [Reach(stride, stride, 2 * (self.bins - 1) * stride) for stride in self.strides]

    def forward(self, features: Features, target: Mapping[str, Tensor] | None = None) -> PointOutputs:
        """Raw outputs; ``target`` is not used."""
        maps = self.neck([features.maps[stride] for stride in self.needs.strides])
        points, strides = self._points(maps)
        logits, sides, seen = zip(*(tower(x) for tower, x in zip(self.towers, maps, strict=True)), strict=True)
        images = maps[0].shape[0]  # len() would make it a constant of an exported graph
        distributions = _joined(sides, 4 * self.bins).reshape(images, -1, 4, self.bins)
        where = points.expand(images, -1, -1), strides.expand(images, -1)
        many = PointCandidates(_joined(logits, classes := len(self.data_spec.classes)), distributions, *where)
        if self.one_to_one_scores is None:
            return PointOutputs(many)
        own = many._replace(logits=_joined(self.one_to_one_scores(logits, seen), classes))
        return PointOutputs(own, one_to_one=True, one_to_many=many if self.training else None)

    def decode(self, outputs: Any) -> dict[str, Tensor]:
        """As in :class:`DetectionHead`."""
        if not outputs.one_to_one:
            return super().decode(outputs)
        resolution, most = self.data_spec.resolution, self.detections
        return top_k_detections(outputs.final, resolution=resolution, score_threshold=self.score_threshold, most=most)

    def raw(self, outputs: PointOutputs) -> dict[str, Tensor]:
        """As in :class:`DetectionHead`: ``logits`` [B, A, K] and ``deltas`` [B, A, 4], distances in strides."""
        return {"logits": outputs.final.logits, "deltas": expected_values(outputs.final.sides)}

    def raw_facts(self, outputs: PointOutputs) -> dict[str, Any]:
        """As in :class:`DetectionHead`: the cell round each point for an anchor; one to one, nothing is suppressed."""
        height, width = self.data_spec.resolution
        points, half = outputs.final.points[0].cpu(), outputs.final.strides[0, :, None].cpu() / 2
        return {
            "anchors": torch.cat((points - half, points + half), dim=1).tolist(),
            **{"coding": "distances", "background": None, "clip": [width, height]},
            **{"classes": len(self.data_spec.classes), "score_threshold": self.score_threshold},
            "nms_iou": NEVER_SUPPRESSED if outputs.one_to_one else self.nms,
            "per_class": None if outputs.one_to_one else self.per_class,
            "detections": self.detections,
        }

    def _points(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The middle of every cell of every map, float32 [A, 2], and its stride, float32 [A]; in pixels."""
        points, strides = [], []
        for x, stride in zip(maps, self.strides, strict=True):
            y, across = (torch.arange(size, dtype=torch.float32, device=x.device) for size in x.shape[-2:])
            grid = torch.stack(torch.meshgrid(across, y, indexing="xy"), dim=-1).flatten(0, 1)
            points.append((grid + 0.5) * stride)
            strides.append(torch.full_like(points[-1][:, 0], stride))
        return torch.cat(points), torch.cat(strides)


def _joined(maps: Sequence[Tensor], values: int) -> Tensor:
    """What is said of the points of all maps [B, values, h, w], fine to coarse: [B, A, values]."""
    return torch.cat([rows(each, values) for each in maps], dim=1)
