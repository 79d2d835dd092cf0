"""The loss of every detector: classes and boxes of many candidates, of one stage or of two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, final

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss

from mobilevision.losses.cross_entropy import ClassWeights, weights_by_class
from mobilevision.losses.loss import Loss
from mobilevision.ops.box_coding import decode, encode
from mobilevision.ops.candidates import Candidates, DetectorOutputs
from mobilevision.ops.matching import IGNORED, match
from mobilevision.ranges import NonNegativeFloat, NonNegativeInt, PositiveInt, PositiveShare, Share, check_ranges
from mobilevision.spec import DataSpec

# What each candidate of a batch has to find.

LEFT_OUT = -1


class Assignments(NamedTuple):
    """What each candidate of a batch is assigned.

    Attributes:
        classes: int64 [B, A]; 0 is background, k + 1 is class k, ``LEFT_OUT`` counts neither way.
        boxes: float32 [B, A, 4], the box to find; anything where there is none.
    """

    classes: Tensor
    boxes: Tensor

    @property
    def positive(self) -> Tensor:
        """Bool [B, A]."""
        return self.classes > 0

    @property
    def background(self) -> Tensor:
        """Bool [B, A]."""
        return self.classes == 0


def assign(
    candidates: Candidates,
    target: dict[str, Tensor],
    *,
    positive: float,
    negative: float,
    force: bool,
    ties: bool = False,
) -> Assignments:
    """Match candidates and boxes; options as in :func:`mobilevision.ops.matching.match`.

    Difficult boxes are learnt from like any other.
    """
    boxes, labels = target["boxes"], target["labels"]
    anchors = candidates.anchors.detach()
    found = match(anchors, boxes, labels, target["crowd"], positive=positive, negative=negative, force=force, ties=ties)
    place = found.clamp(min=0)
    classes = torch.where(found >= 0, labels.gather(1, place) + 1, 0)
    classes = classes.masked_fill((found == IGNORED) | ~candidates.valid, LEFT_OUT)
    return Assignments(classes, boxes.gather(1, place[:, :, None].expand(-1, -1, 4)))


# Ways to weigh the classes of many candidates of which nearly all are background.


def mined(
    logits: Tensor, assignments: Assignments, *, negatives: float, least: int, weight: Tensor | None = None
) -> Tensor:
    """Cross-entropy of the positives and, in each image, of the background that is taken for objects most.

    Hard negative mining (SSD, arXiv 1512.02325, section 2.2).

    Args:
        logits: float [B, A, O].
        assignments: what they have to find.
        negatives: how many for each positive of the same image.
        least: how many in any image, so that one without objects teaches, too.
        weight: float [O] by class, background first, or None.

    Returns:
        Their sum.
    """
    losses = cross_entropies(logits, assignments)
    wanted = (negatives * assignments.positive.sum(dim=1, keepdim=True)).clamp(min=least)
    hardest = losses.masked_fill(~assignments.background, -1.0).sort(dim=1, descending=True).values
    ranks = torch.arange(hardest.shape[1], device=hardest.device)
    objects = weighted(losses, assignments, weight)[assignments.positive]
    return objects.sum() + hardest[(ranks < wanted) & (hardest >= 0)].sum()


def focal(
    logits: Tensor, assignments: Assignments, *, alpha: float, gamma: float, weight: Tensor | None = None
) -> Tensor:
    """Cross-entropy of all, that of the easy ones turned down (focal loss, arXiv 1708.02002, with softmax).

    Args:
        logits: float [B, A, O].
        assignments: what they have to find.
        alpha: weight of the positives; background weighs 1 - alpha.
        gamma: a candidate whose class has probability p weighs (1 - p) ** gamma.
        weight: float [O] by class, background first, or None.

    Returns:
        Their sum.
    """
    losses = cross_entropies(logits, assignments)
    weights = torch.where(assignments.positive, alpha, 1 - alpha)
    focused = weights * (1 - torch.exp(-losses)).clamp(min=1e-6) ** gamma * losses
    return weighted(focused, assignments, weight)[assignments.classes >= 0].sum()


def weighted(losses: Tensor, assignments: Assignments, weight: Tensor | None) -> Tensor:
    """Losses [B, A], each times the weight of the class that is to be found."""
    return losses if weight is None else losses * weight[assignments.classes.clamp(min=0)]


def cross_entropies(logits: Tensor, assignments: Assignments) -> Tensor:
    """Float32 [B, A]; those that are left out count as background here."""
    classes = assignments.classes.clamp(min=0)
    return functional.cross_entropy(logits.float().flatten(0, 1), classes.flatten(), reduction="none").view_as(classes)


def keep_random(assignments: Assignments, *, most: int, positive: float) -> Assignments:
    """Assignments with all but a random few of each image left out.

    Args:
        assignments: of a batch.
        most: how many stay in each image.
        positive: share of these that may be positives; background fills up.
    """
    keys = torch.rand(assignments.classes.shape, device=assignments.classes.device)
    objects = _some(assignments.positive, keys, torch.full_like(assignments.classes[:, :1], int(most * positive)), most)
    background = _some(assignments.background, keys, most - objects.sum(dim=1, keepdim=True), most)
    return assignments._replace(classes=assignments.classes.masked_fill(~(objects | background), -1))


def _some(mask: Tensor, keys: Tensor, limit: Tensor, most: int) -> Tensor:
    """Bool [B, A]: those of ``mask`` with the highest keys, ``limit`` [B, 1] of each row."""
    values, places = keys.masked_fill(~mask, -1.0).topk(min(most, mask.shape[1]), dim=1)
    chosen = (torch.arange(values.shape[1], device=mask.device) < limit) & (values >= 0)
    return torch.zeros_like(mask).scatter_(1, places, chosen)


# How far boxes lie from where they have to be.

BoxTerm = Literal["smooth_l1", "giou"]


def box_term(candidates: Candidates, assignments: Assignments, *, kind: BoxTerm, beta: float) -> Tensor:
    """The sum over the positives; 0, with gradients, where there are none.

    Args:
        candidates: offsets of one box for each anchor, or of one for each of its classes: then that of the class to
            be found counts.
        assignments: what they have to find.
        kind: ``smooth_l1`` between offsets (arXiv 1504.08083), or ``giou`` between boxes (arXiv 1902.09630).
        beta: up to this difference of an offset, the loss is a square.
    """
    positive = assignments.positive
    anchors, boxes = candidates.anchors.detach()[positive], assignments.boxes[positive].float()
    deltas = candidates.deltas[positive].float()
    if deltas.ndim == 3:
        deltas = deltas[torch.arange(len(deltas), device=deltas.device), assignments.classes[positive]]
    if kind == "giou":
        found = decode(deltas, anchors, candidates.weights)
        return generalized_box_iou_loss(found, boxes, reduction="sum")  # type: ignore[no-any-return]
    offsets = encode(boxes, anchors, candidates.weights)
    return functional.smooth_l1_loss(deltas, offsets, reduction="sum", beta=beta)


SQUARE = 1.0  # SSD's smooth L1
SQUARE_TWO_STAGE = 1 / 9  # torchvision's for Faster R-CNN


@final
class MultiBox(Loss):
    """SSD's loss (arXiv 1512.02325, section 2.2) for one stage, Faster R-CNN's (arXiv 1506.01497) for two.

    Of one stage, parts ``class`` and ``box``: every box is matched with the candidate that overlaps it most and with
    all that overlap it by ``overlap``; both parts are sums over the number of positives in the batch. Of two stages,
    ``rpn_class`` and ``rpn_box`` over a random sample of the proposals' anchors, ``class`` and ``box`` over all regions
    that the head chose, each over the number of those looked at.

    Crowd regions are never to be found, and candidates mostly inside them count neither way; difficult boxes count like
    others. A batch without any box has a finite loss. Computed in float32 in mixed precision, too.

    Args:
        data: as in :class:`Loss`.
        classification: ``mining`` (hard negatives) or ``focal`` (all, easy ones turned down); of one stage only.
        box: ``smooth_l1`` between offsets, or ``giou`` between boxes.
        box_weight: factor on the box parts.
        overlap: IoU from which a candidate is positive, else it is background; of one stage only.
        negatives: mining: negatives for each positive of an image.
        least_negatives: mining: negatives of an image at least, so that images without objects teach, too.
        alpha: focal: weight of the positives; background weighs 1 - alpha.
        gamma: focal: how much the easy ones are turned down.
        sampled: two stages: anchors of an image that the first is trained on, half of them positive at most.
        class_weights: ``none``, or ``balanced``: in ``class``, boxes of rare classes weigh more (see
            :func:`~mobilevision.losses.cross_entropy.balanced_weights`), with a mean of 1 over train's boxes, and
            background weighs 1.
    """

    weight: Tensor | None  # of background, then of each class

    @check_ranges("loss")
    def __init__(
        self,
        *,
        data: DataSpec,
        classification: Literal["mining", "focal"] = "mining",
        box: BoxTerm = "smooth_l1",
        box_weight: NonNegativeFloat = 1.0,
        overlap: PositiveShare = 0.5,
        negatives: NonNegativeFloat = 3.0,
        least_negatives: NonNegativeInt = 3,
        alpha: Share = 0.25,
        gamma: NonNegativeFloat = 2.0,
        sampled: PositiveInt = 256,
        class_weights: ClassWeights = "none",
    ) -> None:
        super().__init__(data=data)
        self.classification, self.box, self.box_weight = classification, box, box_weight
        self.overlap, self.sampled = overlap, sampled
        self.negatives, self.least_negatives = negatives, least_negatives
        self.alpha, self.gamma = alpha, gamma
        weight = weights_by_class(class_weights, data.counts)
        self.register_buffer(
            "weight", None if weight is None else functional.pad(weight, (1, 0), value=1.0), persistent=False
        )

    def forward(self, outputs: DetectorOutputs, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """``batch["target"]`` as :data:`mobilevision.data.boxes.Target`."""
        with torch.autocast(outputs.final.logits.device.type, enabled=False):
            if outputs.proposals is None:
                return self._one_stage(outputs.final, batch["target"])
            first = self._first_stage(outputs.proposals, batch["target"])
            assignments = assign(outputs.final, batch["target"], positive=0.5, negative=0.5, force=False)
            return first | self._over_all(outputs.final, assignments, self.weight)

    def _one_stage(self, candidates: Candidates, target: dict[str, Tensor]) -> dict[str, Tensor]:
        assignments = assign(candidates, target, positive=self.overlap, negative=self.overlap, force=True)
        logits, weight = candidates.logits, self.weight
        if self.classification == "focal":
            classes = focal(logits, assignments, alpha=self.alpha, gamma=self.gamma, weight=weight)
        else:
            least = self.least_negatives
            classes = mined(logits, assignments, negatives=self.negatives, least=least, weight=weight)
        boxes = box_term(candidates, assignments, kind=self.box, beta=SQUARE)
        count = assignments.positive.sum().clamp(min=1)
        return {"class": classes / count, "box": self.box_weight * boxes / count}

    def _first_stage(self, candidates: Candidates, target: dict[str, Tensor]) -> dict[str, Tensor]:
        objects = {**target, "labels": target["labels"].clamp(max=0)}  # of whatever class
        assignments = assign(candidates, objects, positive=0.7, negative=0.3, force=True, ties=True)
        assignments = keep_random(assignments, most=self.sampled, positive=0.5)
        parts = self._over_all(candidates, assignments)
        return {f"rpn_{name}": part for name, part in parts.items()}

    def _over_all(
        self, candidates: Candidates, assignments: Assignments, weight: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Both parts over the number of candidates that count."""
        counted = assignments.classes >= 0
        count = counted.sum().clamp(min=1)
        classes = weighted(cross_entropies(candidates.logits, assignments), assignments, weight)[counted].sum()
        boxes = box_term(candidates, assignments, kind=self.box, beta=SQUARE_TWO_STAGE)
        return {"class": classes / count, "box": self.box_weight * boxes / count}
