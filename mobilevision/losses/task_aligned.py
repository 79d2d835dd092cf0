"""The loss of detectors that read boxes off points: which point finds what is decided by what it already says.

Task alignment (TOOD, arXiv 2108.07755, section 3.2): a point is good for an object where the score of its class and the
overlap of its box are both high. The best ones learn the object, to the degree of that; all others learn background.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, final

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss

from mobilevision.errors import UserError
from mobilevision.losses.cross_entropy import ClassWeights, weights_by_class
from mobilevision.losses.loss import Loss
from mobilevision.ops.boxes import tensor_iou
from mobilevision.ops.candidates import PointCandidates, PointOutputs
from mobilevision.ops.rows import take
from mobilevision.ranges import NonNegativeFloat, PositiveInt, check_ranges
from mobilevision.spec import DataSpec

CLOSENESS = 1e-9
"""Weight of how near a point is to an object's middle: decides where no box of an untrained head overlaps it."""


MOST_PAIRS = 20_000_000
"""Pairs of a box and a point that are looked at at once, 80 MB a tensor; images of many boxes come one by one."""


class Assignment(NamedTuple):
    """What each point of a batch has to find.

    Attributes:
        found: int64 [B, A], the place of the box among the M; -1 is background.
        quality: float32 [B, A], how well the point's answer fits, 0 to 1; 0 for background.
        counted: bool [B, A]; False for background inside a crowd region, which counts neither way.
    """

    found: Tensor
    quality: Tensor
    counted: Tensor


@torch.no_grad()
def assign(
    candidates: PointCandidates, target: Mapping[str, Tensor], *, points: int, alpha: float, beta: float
) -> Assignment:
    """Give every object its best points.

    Only points inside a box may find it; a box with none inside gets the nearest one. A point that is wanted by several
    boxes goes to the one that its own box overlaps most.

    Args:
        candidates: raw outputs, A points.
        target: ``boxes`` [B, M, 4] in pixels, ``labels`` int64 [B, M] (-1 where there is none), ``crowd`` bool [B, M].
        points: an object's, at most.
        alpha: exponent of the score.
        beta: exponent of the overlap.
    """
    boxes, labels, crowd = target["boxes"].float(), target["labels"], target["crowd"]
    count = candidates.points.shape[1]
    if len(boxes) > 1 and len(boxes) * boxes.shape[1] * count > MOST_PAIRS:
        ways = {"points": points, "alpha": alpha, "beta": beta}
        rows = [slice(row, row + 1) for row in range(len(boxes))]
        each = [assign(take(candidates, row), take(dict(target), row), **ways) for row in rows]  # type: ignore[arg-type]
        return Assignment(*(torch.cat(parts) for parts in zip(*each, strict=True)))
    if boxes.shape[1] == 0:
        empty = torch.full((len(boxes), count), -1, device=boxes.device)
        return Assignment(empty, torch.zeros_like(empty, dtype=torch.float32), torch.ones_like(empty, dtype=torch.bool))
    real = ((labels >= 0) & ~crowd)[:, :, None]  # [B, M, 1]
    inside, distance = _inside(candidates.points, boxes)
    region = (inside & (crowd & (labels >= 0))[:, :, None]).any(dim=1)
    alone = ~inside.any(dim=2, keepdim=True)
    nearest = torch.zeros_like(inside).scatter_(2, distance.argmin(dim=2, keepdim=True), True)
    allowed = (inside | (alone & nearest)) & real  # [B, M, A]
    overlap = tensor_iou(boxes[:, :, None], candidates.boxes()[:, None]) * allowed
    wanted = labels.clamp(min=0)[:, :, None].expand(-1, -1, count)
    score = candidates.probabilities().transpose(1, 2).gather(1, wanted)
    metric = score**alpha * overlap**beta * allowed
    order = (metric + CLOSENESS / (1 + distance)) * allowed
    values, best = order.topk(min(points, count), dim=2)
    chosen = torch.zeros_like(inside).scatter_(2, best, values > 0)
    # A point has one object: that which its box overlaps most.
    mine = torch.where(chosen, overlap, -1.0)
    most, place = mine.max(dim=1)
    found = torch.where(most >= 0, place, -1)  # [B, A]
    kept = chosen & (found[:, None] == torch.arange(boxes.shape[1], device=boxes.device)[None, :, None])
    metric, overlap = metric * kept, overlap * kept
    # As good as the best point's overlap, for the best point; less for the others.
    scale = overlap.amax(dim=2, keepdim=True) / metric.amax(dim=2, keepdim=True).clamp(min=1e-12)
    quality = (metric * scale).amax(dim=1)
    return Assignment(found, quality, (found >= 0) | ~region)


def _inside(points: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each point lies in each box, bool [B, M, A], and how far it is from its middle, in pixels."""
    x, y = points[:, None, :, 0], points[:, None, :, 1]
    left, top, right, bottom = (boxes[..., side, None] for side in range(4))
    inside = (x > left) & (x < right) & (y > top) & (y < bottom)
    distance = torch.hypot(x - (left + right) / 2, y - (top + bottom) / 2)
    return inside, distance


def distribution_loss(sides: Tensor, distances: Tensor) -> Tensor:
    """Cross-entropy of the two bins round each distance, by how near they are (DFL, arXiv 2006.04388, equation 6).

    Args:
        sides: float [N, 4, bins], logits.
        distances: float [N, 4], in bins.

    Returns:
        Float [N], the mean over the sides.
    """
    bins = sides.shape[-1]
    wanted = distances.clamp(0, bins - 1 - 1e-3)
    lower = wanted.floor()
    share = wanted - lower
    logs = sides.log_softmax(dim=-1)
    below = logs.gather(2, lower.long()[..., None])[..., 0]
    above = logs.gather(2, lower.long()[..., None] + 1)[..., 0]
    return -((1 - share) * below + share * above).mean(dim=1)


@final
class TaskAligned(Loss):
    """Parts ``class``, ``box`` and ``distribution``; of one-to-one heads also those of the one-to-many reading.

    The score of a point's class is to be the quality of its answer: quality focal loss (arXiv 2006.04388) or varifocal
    loss (arXiv 2008.13367). GIoU (arXiv 1902.09630) and the distribution focal loss of the points that have an object
    weigh as much as that quality. All are sums over the sum of qualities in the batch. Crowd regions are never to be
    found, and background inside them counts neither way. Computed in float32 in mixed precision, too.

    Args:
        data: as in :class:`Loss`.
        classification: ``quality`` or ``varifocal``.
        points: that learn one object, at most; a one-to-one reading has one.
        alpha: exponent of the score in a point's alignment.
        beta: exponent of the overlap.
        gamma: how much easy points are turned down.
        box_weight: factor on ``box``.
        distribution_weight: factor on ``distribution``.
        class_weights: ``none``, or ``balanced``: in ``class``, points that find a rare class weigh more (see
            :func:`mobilevision.losses.cross_entropy.weights_by_class`).

    Raises:
        UserError: outputs of a head that starts from anchors.
    """

    weight: Tensor | None

    @check_ranges("loss")
    def __init__(
        self,
        *,
        data: DataSpec,
        classification: Literal["quality", "varifocal"] = "varifocal",
        points: PositiveInt = 13,
        alpha: NonNegativeFloat = 1.0,
        beta: NonNegativeFloat = 6.0,
        gamma: NonNegativeFloat = 2.0,
        box_weight: NonNegativeFloat = 2.0,
        distribution_weight: NonNegativeFloat = 0.5,
        class_weights: ClassWeights = "none",
    ) -> None:
        super().__init__(data=data)
        self.classification, self.points = classification, points
        self.alpha, self.beta, self.gamma = alpha, beta, gamma
        self.box_weight, self.distribution_weight = box_weight, distribution_weight
        self.register_buffer("weight", weights_by_class(class_weights, data.counts), persistent=False)

    def forward(self, outputs: PointOutputs, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """``batch["target"]`` as :data:`mobilevision.data.boxes.Target`."""
        if not isinstance(outputs, PointOutputs):
            raise UserError("loss=task_aligned: it is for heads that start from points, such as head=picodet")
        with torch.autocast(outputs.final.logits.device.type, enabled=False):
            parts = self._of(outputs.final, batch["target"], points=1 if outputs.one_to_one else self.points)
            if outputs.one_to_many is not None:
                many = self._of(outputs.one_to_many, batch["target"], points=self.points)
                parts |= {f"many_{name}": part for name, part in many.items()}
            return parts

    def _of(self, candidates: PointCandidates, target: Mapping[str, Tensor], *, points: int) -> dict[str, Tensor]:
        assigned = assign(candidates, target, points=points, alpha=self.alpha, beta=self.beta)
        positive = assigned.found >= 0
        place = assigned.found.clamp(min=0)
        total = assigned.quality.sum().clamp(min=1)
        classes = self._classes(candidates.logits.float(), assigned, target["labels"], place)
        weight = assigned.quality[positive]
        boxes = candidates.boxes()[positive]
        if target["boxes"].shape[1]:
            wanted = target["boxes"].float().gather(1, place[..., None].expand(-1, -1, 4))[positive]
        else:
            wanted = boxes.detach()
        overlap = (generalized_box_iou_loss(boxes, wanted) * weight).sum()
        around, strides = candidates.points[positive], candidates.strides[positive][:, None]
        distances = torch.cat((around - wanted[:, :2], wanted[:, 2:] - around), dim=1) / strides
        spread = (distribution_loss(candidates.sides[positive].float(), distances) * weight).sum()
        return {
            "class": classes / total,
            "box": self.box_weight * overlap / total,
            "distribution": self.distribution_weight * spread / total,
        }

    def _classes(self, logits: Tensor, assigned: Assignment, labels: Tensor, place: Tensor) -> Tensor:
        """The sum over all points and classes."""
        wanted = torch.zeros_like(logits)
        if labels.shape[1]:
            kind = labels.gather(1, place).clamp(min=0)
            wanted.scatter_(2, kind[..., None], (assigned.quality * (assigned.found >= 0))[..., None])
        scores = logits.detach().sigmoid()
        if self.classification == "quality":
            weight = (wanted - scores).abs() ** self.gamma
        else:
            weight = torch.where(wanted > 0, wanted, 0.75 * scores**self.gamma)
        if self.weight is not None:
            weight = torch.where(wanted > 0, weight * self.weight, weight)
        losses = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * weight
        return losses[assigned.counted].sum()
