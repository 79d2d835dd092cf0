"""The regions that a two-stage detector looks at again: the best of its first stage, in training a sample."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchvision.ops import nms

from mobilevision.ops.box_coding import decode
from mobilevision.ops.candidates import Candidates
from mobilevision.ops.matching import IGNORED, match
from mobilevision.ops.suppression import suppress

SMALLEST = 1e-3  # pixels of a proposal's shorter side
_NOWHERE = -1e30  # below any score
MATCHED = 0.5
"""Overlap with a box from which a region shows it, and below which it shows background."""


@torch.no_grad()
def best_proposals(
    candidates: Candidates,
    levels: Sequence[int],
    *,
    resolution: tuple[int, int],
    before: int,
    after: int,
    iou: float,
    least: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """The boxes most likely to hold an object, best first: torchvision's ``RegionProposalNetwork.filter_proposals``.

    Args:
        candidates: of the first stage; its outputs are background and object.
        levels: how many of the candidates each map gave, in their order.
        resolution: (height, width) of the input in pixels, to which boxes are cut.
        before: the best of each level that are looked at.
        after: the best of all that are kept, N at most.
        iou: a box that overlaps a better one of its level by more than this is dropped.
        least: score, the probability of an object, below which a box is dropped.

    Returns:
        float32 [B, N, 4], (left, top, right, bottom), and bool [B, N], False where there were no more; no gradient.
        Meta tensors give meta tensors of the same shape.
    """
    objectness = (candidates.logits[..., 1] - candidates.logits[..., 0]).float()
    kept, sizes = [], []
    for start, scores in zip(_starts(levels), _by_level(objectness, levels), strict=True):
        sizes.append(min(before, scores.shape[1]))
        kept.append(scores.topk(sizes[-1], dim=1).indices + start)
    places = torch.cat(kept, dim=1)
    scores = objectness.gather(1, places)
    corners = places[..., None].expand(-1, -1, 4)
    boxes = decode(candidates.deltas.gather(1, corners), candidates.anchors.gather(1, corners), candidates.weights)
    boxes = _cut(boxes, resolution)
    count = min(after, places.shape[1])
    if boxes.is_meta:
        return boxes[:, :count], torch.ones_like(scores[:, :count], dtype=torch.bool)
    survivors = _fixed_survivors if torch.compiler.is_exporting() else _survivors
    valid = survivors(boxes, scores, sizes, iou)
    if least:
        valid = valid & (scores >= math.log(least / (1 - least)))  # the lower score never drops the higher
    best = scores.masked_fill(~valid, -torch.inf).topk(count, dim=1).indices
    return boxes.gather(1, best[..., None].expand(-1, -1, 4)), valid.gather(1, best)


@torch.no_grad()
def sampled_regions(
    proposals: Tensor, valid: Tensor, target: Mapping[str, Tensor], *, count: int, positives: float
) -> tuple[Tensor, Tensor]:
    """A random choice of proposals and true boxes to train the second stage on.

    Args:
        proposals: [B, N, 4], (left, top, right, bottom) in pixels of the input.
        valid: bool [B, N].
        target: ``boxes`` [B, M, 4], ``labels`` and ``crowd`` [B, M] of the batch; more is not looked at.
        count: regions an image, R; fewer where there are not so many proposals and boxes.
        positives: at most this share of them shows an object, as long as there is enough background.

    Returns:
        float32 [B, R, 4] and bool [B, R], False for regions that only fill up.
    """
    truth, labels, crowd = target["boxes"].float(), target["labels"], target["crowd"]
    left, top, right, bottom = truth.unbind(-1)
    real = (labels >= 0) & ~crowd & (right > left) & (bottom > top)
    regions, usable = torch.cat([proposals, truth], dim=1), torch.cat([valid, real], dim=1)
    matched = match(regions, truth, labels, crowd, positive=MATCHED, negative=MATCHED, force=False)
    usable = usable & (matched != IGNORED)
    chance = torch.rand(matched.shape, device=matched.device)
    objects = usable & (matched >= 0)
    rank = chance.masked_fill(~objects, -1).argsort(dim=1, descending=True).argsort(dim=1)
    wanted = objects & (rank < round(count * positives))
    # The wanted objects first, then background, then other objects before a place stays empty.
    turn = wanted * 3 + (usable & ~objects) * 2 + (objects & ~wanted) * 1
    chosen = (turn + chance * 0.5).topk(min(count, regions.shape[1]), dim=1).indices
    return regions.gather(1, chosen[..., None].expand(-1, -1, 4)), usable.gather(1, chosen)


def _starts(levels: Sequence[int]) -> list[int]:
    return [sum(levels[:level]) for level in range(len(levels))]


def _by_level(values: Tensor, sizes: Sequence[int]) -> Sequence[Tensor]:
    """Split along the second axis; one level is left as it is, since not every exporter can split into one."""
    return torch.split(values, list(sizes), dim=1) if len(sizes) > 1 else (values,)


def _cut(boxes: Tensor, resolution: tuple[int, int]) -> Tensor:
    height, width = resolution
    return torch.stack([boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)], dim=-1).flatten(-2)


def _survivors(boxes: Tensor, scores: Tensor, sizes: Sequence[int], iou: float) -> Tensor:
    """Bool [B, n]: boxes with sides that no better one of their level and image covers."""
    sides = boxes[..., 2:] - boxes[..., :2]
    real = (sides >= SMALLEST).all(dim=-1)
    scores = scores.masked_fill(~real, -torch.inf)  # last in line, they remove nothing
    found = torch.zeros_like(real)
    for start, size in zip(_starts(sizes), sizes, strict=True):
        for image in range(len(boxes)):
            part = slice(start, start + size)
            found[image, start + nms(boxes[image, part], scores[image, part], iou)] = True
    return found & real


def _fixed_survivors(boxes: Tensor, scores: Tensor, sizes: Sequence[int], iou: float) -> Tensor:
    """The same for a graph that is exported."""
    real = (boxes[..., 2:] - boxes[..., :2] >= SMALLEST).all(dim=-1)
    scores = scores.masked_fill(~real, _NOWHERE)
    parts = zip(_by_level(boxes, sizes), _by_level(scores, sizes), strict=True)
    return torch.cat([suppress(box.contiguous(), score.contiguous(), iou, _NOWHERE) for box, score in parts], dim=1)
