"""Ways to weigh the classes of many candidates of which nearly all are background."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mobilevision.losses.assigned import Assigned

Samples = tuple[Tensor, Tensor]


def mined(logits: Tensor, aims: Assigned, *, negatives: float, least: int, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy of the positives and, in each picture, of the background that is taken for objects most.

    Hard negative mining (SSD, arXiv 1512.02325, section 2.2).

    Args:
        logits: float [B, A, O].
        aims: what they have to find.
        negatives: how many for each positive of the same picture.
        least: how many in any picture, so that one without objects teaches, too.
        weight: float [O] by class, background first, or None.

    Returns:
        Their sum.
    """
    losses = cross_entropies(logits, aims)
    wanted = (negatives * aims.positive.sum(dim=1, keepdim=True)).clamp(min=least)
    hardest = losses.masked_fill(~aims.background, -1.0).sort(dim=1, descending=True).values
    ranks = torch.arange(hardest.shape[1], device=hardest.device)
    objects = weighted(losses, aims, weight)[aims.positive]
    return objects.sum() + hardest[(ranks < wanted) & (hardest >= 0)].sum()


def focal(logits: Tensor, aims: Assigned, *, alpha: float, gamma: float, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy of all, that of the easy ones turned down (focal loss, arXiv 1708.02002, with softmax).

    Args:
        logits: float [B, A, O].
        aims: what they have to find.
        alpha: weight of the positives; background weighs 1 - alpha.
        gamma: a candidate whose class has probability p weighs (1 - p) ** gamma.
        weight: float [O] by class, background first, or None.

    Returns:
        Their sum.
    """
    losses = cross_entropies(logits, aims)
    weights = torch.where(aims.positive, alpha, 1 - alpha)
    focused = weights * (1 - torch.exp(-losses)).clamp(min=1e-6) ** gamma * losses
    return weighted(focused, aims, weight)[aims.classes >= 0].sum()


def weighted(losses: Tensor, aims: Assigned, weight: Tensor | None) -> Tensor:
    """Losses [B, A], each times the weight of the class that is to be found."""
    return losses if weight is None else losses * weight[aims.classes.clamp(min=0)]


def cross_entropies(logits: Tensor, aims: Assigned) -> Tensor:
    """Float32 [B, A]; those that are left out count as background here."""
    classes = aims.classes.clamp(min=0)
    return functional.cross_entropy(logits.float().flatten(0, 1), classes.flatten(), reduction="none").view_as(classes)


def sampled(aims: Assigned, *, most: int, positive: float) -> Assigned:
    """Aims with all but a random few of each picture left out.

    Args:
        aims: of a batch.
        most: how many stay in each picture.
        positive: share of these that may be positives; background fills up.
    """
    keys = torch.rand(aims.classes.shape, device=aims.classes.device)
    objects = _some(aims.positive, keys, torch.full_like(aims.classes[:, :1], int(most * positive)), most)
    background = _some(aims.background, keys, most - objects.sum(dim=1, keepdim=True), most)
    return aims._replace(classes=aims.classes.masked_fill(~(objects | background), -1))


def _some(mask: Tensor, keys: Tensor, limit: Tensor, most: int) -> Tensor:
    """Bool [B, A]: those of ``mask`` with the highest keys, ``limit`` [B, 1] of each row."""
    values, places = keys.masked_fill(~mask, -1.0).topk(min(most, mask.shape[1]), dim=1)
    chosen = (torch.arange(values.shape[1], device=mask.device) < limit) & (values >= 0)
    return torch.zeros_like(mask).scatter_(1, places, chosen)
