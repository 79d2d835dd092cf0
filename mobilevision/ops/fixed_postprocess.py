"""Detections with shapes that depend on no values: what :mod:`mobilevision.ops.postprocess` does, for exported graphs.

Equal to it but for boxes whose overlap is the limit itself, and for the order of equal scores.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mobilevision.ops.candidates import Candidates
from mobilevision.ops.coding import decode
from mobilevision.ops.suppression import suppress


def fixed_detections(
    candidates: Candidates,
    *,
    resolution: tuple[int, int],
    score_threshold: float,
    iou: float,
    per_class: int | None,
    most: int,
    classes: int | None = None,
) -> dict[str, Tensor]:
    """The best of each class, suppression within each class, the best of all; see :func:`detections` there."""
    probabilities = candidates.logits.float().softmax(dim=-1)[..., 1:][..., :classes]
    scores = probabilities.masked_fill(~candidates.valid[..., None], 0.0).transpose(1, 2)
    count, anchors = scores.shape[1:]
    each = min(per_class or anchors, anchors)
    scores, places = scores.topk(each, dim=2)  # [B, classes, each]
    boxes = _boxes(candidates, places, resolution)
    kept = suppress(boxes.flatten(0, 1), scores.flatten(0, 1), iou, score_threshold).view_as(scores)
    wanted = min(most, count * each)
    best, order = scores.masked_fill(~kept, 0.0).flatten(1).topk(wanted, dim=1)
    found = best > 0
    corners = boxes.flatten(1, 2).gather(1, order[..., None].expand(-1, -1, 4))
    labels = torch.where(found, order // each, -1)
    return {
        "boxes": functional.pad(corners * found[..., None], (0, 0, 0, most - wanted)),
        "scores": functional.pad(best, (0, most - wanted)),
        "labels": functional.pad(labels, (0, most - wanted), value=-1),
    }


def _boxes(candidates: Candidates, places: Tensor, resolution: tuple[int, int]) -> Tensor:
    """Boxes of the candidates at ``places`` [B, classes, k], cut to the input: [B, classes, k, 4]."""
    deltas, references = candidates.deltas, candidates.references
    if deltas.ndim == 3:
        boxes = decode(deltas, references, candidates.weights)
        boxes = boxes.gather(1, places.flatten(1)[..., None].expand(-1, -1, 4)).view(*places.shape, 4)
    else:
        by_class = decode(deltas[:, :, 1 : places.shape[1] + 1], references[:, :, None], candidates.weights).transpose(
            1, 2
        )
        boxes = by_class.gather(2, places[..., None].expand(-1, -1, -1, 4))
    height, width = resolution
    return torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))
