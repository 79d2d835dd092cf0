"""Which box, if any, each anchor is matched with: a batch at a time, in float32."""

from __future__ import annotations

import torch
from torch import Tensor

from mobilevision.ops.boxes import area, tensor_intersection, tensor_iou

BACKGROUND = -1
IGNORED = -2
INSIDE = 0.5
"""An anchor with more than this share of its area in a crowd region counts neither way."""
PAIRS = 1 << 23
"""Anchors times boxes that are compared at once: some 32 MB a tensor."""


def match(
    anchors: Tensor,
    boxes: Tensor,
    labels: Tensor,
    crowd: Tensor,
    *,
    positive: float,
    negative: float,
    force: bool,
    ties: bool = False,
) -> Tensor:
    """The box that each anchor is matched with: the one that it overlaps most, if that is enough.

    Args:
        anchors: [B, A, 4], (left, top, right, bottom) in pixels.
        boxes: [B, M, 4], likewise; M may be padded.
        labels: int64 [B, M], -1 where there is no box; such places are never matched.
        crowd: bool [B, M]; such regions are never matched, and anchors mostly inside them are ignored, not negative.
        positive: overlap from which an anchor is matched.
        negative: overlap below which it is background; between the two it is ignored.
        force: every box is also matched with the anchor that overlaps it most, be that as little as it may.
        ties: how to force. False, as SSD: one anchor a box, handed to this box even if it overlaps another more (of
            two boxes that want the same one, the later gets it). True, as region proposals: all of equal overlap, each
            for the box that it overlaps most itself.

    Returns:
        int64 [B, A]: the place of the matched box among the M, else ``BACKGROUND`` or ``IGNORED``. Equal to
        torchvision's ``SSDMatcher`` with ``force``; with ``ties`` to its ``Matcher(allow_low_quality_matches=True)``.
    """
    rows = max(1, PAIRS // max(1, anchors.shape[1] * boxes.shape[1]))  # images compared at once
    found = []
    for start in range(0, len(anchors), rows):
        part = slice(start, start + rows)
        # [B, M, A]; -1 where there is no box to be matched.
        real = (labels[part] >= 0) & ~crowd[part]
        overlap = tensor_iou(boxes[part, :, None], anchors[part, None]).masked_fill_(~real[:, :, None], -1.0)
        best_overlap, best_box = overlap.max(dim=1)
        matched = best_box.masked_fill(best_overlap < positive, IGNORED)
        matched = matched.masked_fill_(best_overlap < negative, BACKGROUND)
        region = crowd[part] & (labels[part] >= 0)
        if bool(region.any()):
            inside = _inside(anchors[part], boxes[part], region)
            matched = matched.masked_fill_(inside & (matched == BACKGROUND), IGNORED)
        if force:
            matched = _force_ties(matched, best_box, overlap) if ties else _force_each(matched, overlap)
        found.append(matched)
    return torch.cat(found)


def _force_each(matched: Tensor, overlap: Tensor) -> Tensor:
    """Hand every box one anchor. A box that overlaps none has no best one."""
    best, places = overlap.max(dim=2)
    number = torch.arange(best.shape[1], device=best.device).masked_fill(best <= 0, -1)
    taker = torch.full_like(matched, -1).scatter_reduce_(1, places, number, "amax")
    return torch.where(taker >= 0, taker, matched)


def _force_ties(matched: Tensor, best_box: Tensor, overlap: Tensor) -> Tensor:
    """Match every anchor that no other overlaps a box more than."""
    best = overlap.amax(dim=2, keepdim=True)
    chosen = ((overlap == best) & (best > 0)).any(dim=1)
    return torch.where(chosen, best_box, matched)


def _inside(anchors: Tensor, boxes: Tensor, region: Tensor) -> Tensor:
    """Bool [B, A]: is an anchor mostly inside one of the regions?"""
    shared = tensor_intersection(boxes[:, :, None], anchors[:, None])
    share = shared > INSIDE * area(anchors.float())[:, None]
    return (share & region[:, :, None]).any(dim=1)
