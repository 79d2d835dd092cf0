"""Non-maximum suppression in plain tensor operations, for runtimes that have no operator of their own for it."""

from __future__ import annotations

import torch
from torch import Tensor


def suppress_in_steps(boxes: Tensor, scores: Tensor, iou: float, least: float) -> Tensor:
    """:func:`mobilevision.ops.suppression.suppress` in as many steps as there are boxes, the best box first.

    Nothing is approximated: it keeps what ``torchvision.ops.nms`` keeps of numbers of the same type. Only boxes of
    equal scores may take their turns in another order.

    Args:
        boxes: float [n, k, 4], (left, top, right, bottom).
        scores: float [n, k].
        iou: boxes that overlap a better one by more than this are dropped.
        least: boxes with scores up to this take no part.

    Returns:
        Bool [n, k].
    """
    from torch._higher_order_ops.scan import scan  # a loop that stays one in an exported graph

    count = scores.shape[1]
    order = scores.topk(count, dim=1).indices
    overlap = _overlaps(boxes.gather(1, order[..., None].expand(-1, -1, 4)))
    places = torch.arange(count, dtype=boxes.dtype, device=boxes.device)  # torch.triu and eye become what few have
    later = (places > places[:, None]).to(boxes.dtype)
    here = (places == places[:, None]).to(boxes.dtype)
    covered = (overlap > iou).to(boxes.dtype) * later  # [n, the better one, the worse one]

    def step(kept: Tensor, box: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        covers, is_it = box
        stays = (kept * is_it).sum(dim=1, keepdim=True)
        return kept * (1 - stays * covers), stays.clone()

    takes_part = (scores.gather(1, order) > least).to(boxes.dtype)
    if not count:
        return takes_part > 0
    kept, _ = scan(step, takes_part, (covered.transpose(0, 1).contiguous(), here))
    return torch.zeros_like(kept).scatter(1, order, kept) > 0


def _overlaps(boxes: Tensor) -> Tensor:
    """Intersection over union of each box with each of its row, [n, k, k]; no number where both have no area."""
    one, two = boxes[:, :, None], boxes[:, None]
    sides = (torch.minimum(one[..., 2:], two[..., 2:]) - torch.maximum(one[..., :2], two[..., :2])).clamp(min=0)
    common = sides[..., 0] * sides[..., 1]
    areas = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return common / (areas[:, :, None] + areas[:, None] - common)
