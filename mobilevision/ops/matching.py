"""Which box, if any, each reference box has to find: a batch at a time, in float32."""

from __future__ import annotations

import torch
from torch import Tensor

from mobilevision.ops.boxes import area, tensor_intersection, tensor_iou

BACKGROUND = -1
IGNORED = -2
INSIDE = 0.5
"""A reference with more than this share of its area in a crowd region counts neither way."""
PAIRS = 1 << 23
"""References times boxes that are compared at once: some 32 MB a tensor."""


def match(
    references: Tensor,
    boxes: Tensor,
    labels: Tensor,
    crowd: Tensor,
    *,
    positive: float,
    negative: float,
    force: bool,
    ties: bool = False,
) -> Tensor:
    """The box that each reference is matched with: the one that it overlaps most, if that is enough.

    Args:
        references: [B, A, 4], (left, top, right, bottom) in pixels.
        boxes: [B, M, 4], likewise; M may be padded.
        labels: int64 [B, M], -1 where there is no box; such places are never matched.
        crowd: bool [B, M]; such regions are never matched, and references mostly inside them are ignored, not negative.
        positive: overlap from which a reference is matched.
        negative: overlap below which it is background; between the two it is ignored.
        force: every box is also matched with the reference that overlaps it most, be that as little as it may.
        ties: how to force. False, as SSD: one reference a box, handed to this box even if it overlaps another more (of
            two boxes that want the same one, the later gets it). True, as region proposals: all of equal overlap, each
            for the box that it overlaps most itself.

    Returns:
        int64 [B, A]: the place of the matched box among the M, else ``BACKGROUND`` or ``IGNORED``. Equal to
        torchvision's ``SSDMatcher`` with ``force``; with ``ties`` to its ``Matcher(allow_low_quality_matches=True)``.
    """
    rows = max(1, PAIRS // max(1, references.shape[1] * boxes.shape[1]))  # pictures compared at once
    found = []
    for start in range(0, len(references), rows):
        part = slice(start, start + rows)
        overlap = _real_overlaps(references[part], boxes[part], labels[part], crowd[part])
        most, own = overlap.max(dim=1)
        matched = own.masked_fill(most < positive, IGNORED).masked_fill_(most < negative, BACKGROUND)
        region = crowd[part] & (labels[part] >= 0)
        if bool(region.any()):
            inside = _inside(references[part], boxes[part], region)
            matched = matched.masked_fill_(inside & (matched == BACKGROUND), IGNORED)
        if force:
            matched = _force_ties(matched, own, overlap) if ties else _force_each(matched, overlap)
        found.append(matched)
    return torch.cat(found)


def _real_overlaps(references: Tensor, boxes: Tensor, labels: Tensor, crowd: Tensor) -> Tensor:
    """Overlaps [B, M, A]; -1 where there is no box to be found."""
    real = (labels >= 0) & ~crowd
    return tensor_iou(boxes[:, :, None], references[:, None]).masked_fill_(~real[:, :, None], -1.0)


def _force_each(matched: Tensor, overlap: Tensor) -> Tensor:
    """Hand every box one reference. A box that overlaps none has no best one."""
    best, places = overlap.max(dim=2)
    number = torch.arange(best.shape[1], device=best.device).masked_fill(best <= 0, -1)
    taker = torch.full_like(matched, -1).scatter_reduce_(1, places, number, "amax")
    return torch.where(taker >= 0, taker, matched)


def _force_ties(matched: Tensor, own: Tensor, overlap: Tensor) -> Tensor:
    """Match every reference that no other overlaps a box more than."""
    best = overlap.amax(dim=2, keepdim=True)
    chosen = ((overlap == best) & (best > 0)).any(dim=1)
    return torch.where(chosen, own, matched)


def _inside(references: Tensor, boxes: Tensor, region: Tensor) -> Tensor:
    """Bool [B, A]: is a reference mostly inside one of the regions?"""
    shared = tensor_intersection(boxes[:, :, None], references[:, None])
    share = shared > INSIDE * area(references.float())[:, None]
    return (share & region[:, :, None]).any(dim=1)
