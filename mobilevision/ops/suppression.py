"""Non-maximum suppression as one operator whose shapes depend on no values, for graphs that are exported."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import nms


@torch.library.custom_op("mobilevision::suppress", mutates_args=())
def suppress(boxes: Tensor, scores: Tensor, iou: float, least: float) -> Tensor:
    """Which boxes no better one of their row covers.

    A format translates the operator into what its runtime has for this.

    Args:
        boxes: float [n, k, 4], (left, top, right, bottom).
        scores: float [n, k].
        iou: boxes that overlap a better one by more than this are dropped.
        least: boxes with scores up to this take no part.

    Returns:
        Bool [n, k].
    """
    kept = torch.zeros_like(scores, dtype=torch.bool)
    for row in range(len(scores)):
        taking_part = (scores[row] > least).nonzero().flatten()
        best = nms(boxes[row, taking_part].double(), scores[row, taking_part].double(), iou)
        kept[row, taking_part[best]] = True
    return kept


@suppress.register_fake
def _(boxes: Tensor, scores: Tensor, iou: float, least: float) -> Tensor:
    del boxes, iou, least
    return torch.empty_like(scores, dtype=torch.bool)
