"""The first stage of a two-stage detector: where something might be (Ren et al., "Faster R-CNN", arXiv 1506.01497)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from mobilevision.errors import UserError
from mobilevision.ops.anchors import Sizes
from mobilevision.ops.candidates import Candidates, Weights
from mobilevision.ops.grid_anchors import anchor_sizes, centred, grid_anchors
from mobilevision.ranges import Items, PositiveFloat

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
