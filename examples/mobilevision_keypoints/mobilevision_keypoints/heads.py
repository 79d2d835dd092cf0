"""Heads that say where points are: a map a point at stride 4, or a position along x and one along y."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal, NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mobilevision.api import (
    BackboneSpec,
    DataSpec,
    DenseHead,
    Features,
    OutputStride,
    UserError,
    conv_block,
    separable_block,
)
from mobilevision.ranges import PositiveInt, Range, check_ranges

NEAR = 0.075
"""Share of the input's side; a point's score is the probability that lies so near to it."""


class Maps(NamedTuple):
    """``maps`` float [B, K, h, w]: high where a point is, 1 at most."""

    maps: Tensor


class Bins(NamedTuple):
    """Logits of the position along x, float [B, K, X], and along y, float [B, K, Y]."""

    x: Tensor
    y: Tensor


def centres(count: int, side: int, like: Tensor) -> Tensor:
    """Centres of so many equal bins of a side of the input, in its pixels."""
    return (torch.arange(count, dtype=torch.float32, device=like.device) + 0.5) * (side / count)


def from_maps(maps: Tensor, resolution: tuple[int, int]) -> dict[str, Tensor]:
    """The largest place of each map, a quarter of a place towards its larger neighbour, along x and y."""
    height, width = maps.shape[2:]
    flat = maps.flatten(2)
    scores, place = flat.max(dim=2, keepdim=True)
    x, y = place % width, torch.div(place, width, rounding_mode="floor")
    step_x = flat.gather(2, y * width + (x + 1).clamp(max=width - 1)) - flat.gather(2, y * width + (x - 1).clamp(min=0))
    step_y = flat.gather(2, (y + 1).clamp(max=height - 1) * width + x) - flat.gather(
        2, (y - 1).clamp(min=0) * width + x
    )
    across = (x + 0.5 + 0.25 * step_x.sign()) * (resolution[1] / width)
    down = (y + 0.5 + 0.25 * step_y.sign()) * (resolution[0] / height)
    return {"points": torch.cat([across, down], dim=2), "scores": scores[..., 0].clamp(0, 1)}


def from_bins(bins: Bins, resolution: tuple[int, int], *, integral: bool) -> dict[str, Tensor]:
    """The mean position, or the most probable one, along x and y."""
    found, scores = [], []
    for logits, side in zip(bins, resolution[::-1], strict=True):
        shares, middles = logits.softmax(dim=2), centres(logits.shape[2], side, logits)
        at = (shares * middles).sum(dim=2) if integral else (logits.argmax(dim=2) + 0.5) * (side / logits.shape[2])
        found.append(at)
        scores.append((shares * ((middles - at[..., None]).abs() <= NEAR * side)).sum(dim=2))
    return {"points": torch.stack(found, dim=2), "scores": scores[0] * scores[1]}


class PointHead(DenseHead, ABC):
    """A head whose outputs can be read as points."""

    @abstractmethod
    def read(self, outputs: Any, resolution: tuple[int, int]) -> dict[str, Tensor]:
        """``points``: float [B, K, 2] in pixels of an input of (height, width); ``scores``: float [B, K], 0 to 1."""


@final
class Heatmap(PointHead):
    """A light decoder to one map a point: the last stage, enlarged twice, joined by the maps of stride 8 and 4.

    Args:
        backbone: as in :class:`Head`.
        data: as in :class:`Head`.
        output_stride: of the last stage, which is dilated for it; 32 dilates nothing.
        channels: of every layer; None: 128 times the backbone's width.
        read: ``integral``: a map is a distribution whose mean is the point (Sun et al., arXiv 1711.08229); ``argmax``:
            its largest place, a quarter of a place towards the larger neighbour.
    """

    @check_ranges("head")
    def __init__(
        self,
        *,
        backbone: BackboneSpec,
        data: DataSpec,
        output_stride: OutputStride = 16,
        channels: PositiveInt | None = None,
        read: Literal["integral", "argmax"] = "integral",
    ) -> None:
        super().__init__(backbone=backbone, data=data, strides=(4, 8), output_stride=output_stride, channels=channels)
        self.integral, width = read == "integral", self.channels
        self.deep = separable_block(self.inputs, width)
        self.skips = nn.ModuleList([conv_block(backbone.strides[stride], width) for stride in (8, 4)])
        self.refine = nn.ModuleList([separable_block(width, width) for _ in (8, 4)])
        self.maps = nn.Conv2d(width, len(data.classes), 1)
        nn.init.normal_(self.maps.weight, std=0.01)  # maps begin almost empty, and even
        nn.init.zeros_(self.maps.bias)

    def forward(self, features: Features) -> Maps | Bins:
        """:class:`Maps`, or for ``integral`` the logits of their distributions along x and y."""
        found = self.deep(features.maps[self.last])
        for stride, skip, refine in zip((8, 4), self.skips, self.refine, strict=True):
            low = skip(features.maps[stride])
            found = refine(interpolate(found, low.shape[2:], mode="bilinear", align_corners=False) + low)
        maps: Tensor = self.maps(found)
        return Bins(maps.float().logsumexp(dim=2), maps.float().logsumexp(dim=3)) if self.integral else Maps(maps)

    def read(self, outputs: Any, resolution: tuple[int, int]) -> dict[str, Tensor]:
        """See :class:`PointHead`."""
        if self.integral:
            return from_bins(Bins(*(each.float() for each in outputs)), resolution, integral=True)
        return from_maps(outputs.maps.float(), resolution)


@final
class SimCC(PointHead):
    """Positions along x and along y as classes of fine bins (Li et al., arXiv 2107.03332); small and quick.

    Args:
        backbone: as in :class:`Head`.
        data: as in :class:`Head`.
        output_stride: of the last stage, which is dilated for it; 32 dilates nothing.
        channels: of the layer before the points' own; None: 128 times the backbone's width.
        bins: a pixel of the input.
    """

    @check_ranges("head")
    def __init__(
        self,
        *,
        backbone: BackboneSpec,
        data: DataSpec,
        output_stride: OutputStride = 16,
        channels: PositiveInt | None = None,
        bins: Annotated[float, Range(above=0, max=16)] = 2.0,
    ) -> None:
        super().__init__(backbone=backbone, data=data, strides=(), output_stride=output_stride, channels=channels)
        stride = min(output_stride, self.last)
        height, width = data.resolution
        places = -(-height // stride) * -(-width // stride)
        self.deep = separable_block(self.inputs, self.channels)
        self.points = nn.Conv2d(self.channels, len(data.classes), 1)
        self.x, self.y = (nn.Linear(places, max(2, round(side * bins))) for side in (width, height))

    def forward(self, features: Features) -> Bins:
        """Logits of both positions."""
        each = self.points(self.deep(features.maps[self.last])).flatten(2)
        if each.shape[2] != self.x.in_features:
            raise UserError(
                f"head=simcc was made for {self.x.in_features} places of the last stage, not {each.shape[2]}:"
                f" its images are {self.data_spec.resolution[1]} x {self.data_spec.resolution[0]} pixels"
            )
        return Bins(self.x(each), self.y(each))

    def read(self, outputs: Any, resolution: tuple[int, int]) -> dict[str, Tensor]:
        """See :class:`PointHead`."""
        return from_bins(Bins(*(each.float() for each in outputs)), resolution, integral=False)
