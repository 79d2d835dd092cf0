"""Non-maximum suppression in plain tensor operations, for runtimes that have no operator of their own for it."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import nms

from mobilevision.ops.boxes import exported_iou

# Non-maximum suppression as one operator whose shapes depend on no values, for graphs that are exported.


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
    return torch.empty_like(scores, dtype=torch.bool)


def suppress_in_steps(boxes: Tensor, scores: Tensor, iou: float, least: float, *, loop: bool = True) -> Tensor:
    """:func:`mobilevision.ops.suppression.suppress` in as many steps as there are boxes, the best box first.

    Nothing is approximated: it keeps what ``torchvision.ops.nms`` keeps of numbers of the same type. Only boxes of
    equal scores may take their turns in another order.

    Args:
        boxes: float [n, k, 4], (left, top, right, bottom).
        scores: float [n, k].
        iou: boxes that overlap a better one by more than this are dropped.
        least: boxes with scores up to this take no part.
        loop: whether the steps stay a loop in an exported graph; else there they all are, one after the other.

    Returns:
        Bool [n, k].
    """
    count = scores.shape[1]
    order = scores.topk(count, dim=1).indices
    overlap = exported_iou(boxes.gather(1, order[..., None].expand(-1, -1, 4)))
    places = torch.arange(count, dtype=boxes.dtype, device=boxes.device)  # torch.triu and eye become what few have
    later = (places > places[:, None]).to(boxes.dtype)
    covered = (overlap > iou).to(boxes.dtype) * later  # [n, the better one, the worse one]
    takes_part = (scores.gather(1, order) > least).to(boxes.dtype)
    kept = _looped(takes_part, covered) if loop and count else _unrolled(takes_part, covered)
    return torch.zeros_like(kept).scatter(1, order, kept) > 0


def _looped(takes_part: Tensor, covered: Tensor) -> Tensor:
    from torch._higher_order_ops.scan import scan

    def step(kept: Tensor, box: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        covers, is_it = box
        stays = (kept * is_it).sum(dim=1, keepdim=True)
        return kept * (1 - stays * covers), stays.clone()

    places = torch.arange(covered.shape[1], dtype=covered.dtype, device=covered.device)
    here = (places == places[:, None]).to(covered.dtype)
    kept: Tensor = scan(step, takes_part, (covered.transpose(0, 1).contiguous(), here))[0]
    return kept


def _unrolled(takes_part: Tensor, covered: Tensor) -> Tensor:
    kept = takes_part
    for place in range(covered.shape[1]):
        kept = kept * (1 - kept[:, place : place + 1] * covered[:, place])
    return kept
