"""The loss of every detector: classes and boxes of many candidates, of one stage or of two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, final

import torch
from torch import Tensor
from torch.nn import functional

from mobilevision.losses.assigned import Assigned, assign
from mobilevision.losses.box_terms import BoxTerm, box_term
from mobilevision.losses.class_terms import cross_entropies, focal, mined, sampled, weighted
from mobilevision.losses.class_weights import ClassWeights, weights_by_class
from mobilevision.losses.loss import Loss
from mobilevision.ops.candidates import Candidates, DetectorOutputs
from mobilevision.ranges import NonNegativeFloat, NonNegativeInt, PositiveInt, PositiveShare, Share, check_ranges
from mobilevision.spec import DataSpec

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
        negatives: mining: negatives for each positive of a picture.
        least_negatives: mining: negatives of a picture at least, so that pictures without objects teach, too.
        alpha: focal: weight of the positives; background weighs 1 - alpha.
        gamma: focal: how much the easy ones are turned down.
        sampled: two stages: anchors of a picture that the first is trained on, half of them positive at most.
        class_weights: ``none``, or ``balanced``: in ``class``, boxes of rare classes weigh more (see
            :func:`~mobilevision.losses.class_weights.balanced_weights`), with a mean of 1 over train's boxes, and
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
            return first | self._second_stage(outputs.final, batch["target"])

    def _one_stage(self, candidates: Candidates, target: dict[str, Tensor]) -> dict[str, Tensor]:
        aims = assign(candidates, target, positive=self.overlap, negative=self.overlap, force=True)
        logits = candidates.logits
        if self.classification == "focal":
            classes = focal(logits, aims, alpha=self.alpha, gamma=self.gamma, weight=self.weight)
        else:
            classes = mined(
                candidates.logits, aims, negatives=self.negatives, least=self.least_negatives, weight=self.weight
            )
        boxes = box_term(candidates, aims, kind=self.box, beta=SQUARE)
        count = aims.positive.sum().clamp(min=1)
        return {"class": classes / count, "box": self.box_weight * boxes / count}

    def _first_stage(self, candidates: Candidates, target: dict[str, Tensor]) -> dict[str, Tensor]:
        objects = {**target, "labels": target["labels"].clamp(max=0)}  # of whatever class
        aims = assign(candidates, objects, positive=0.7, negative=0.3, force=True, ties=True)
        aims = sampled(aims, most=self.sampled, positive=0.5)
        parts = self._over_all(candidates, aims)
        return {f"rpn_{name}": part for name, part in parts.items()}

    def _second_stage(self, candidates: Candidates, target: dict[str, Tensor]) -> dict[str, Tensor]:
        aims = assign(candidates, target, positive=0.5, negative=0.5, force=False)
        return self._over_all(candidates, aims, self.weight)

    def _over_all(self, candidates: Candidates, aims: Assigned, weight: Tensor | None = None) -> dict[str, Tensor]:
        """Both parts over the number of candidates that count."""
        counted = aims.classes >= 0
        count = counted.sum().clamp(min=1)
        classes = weighted(cross_entropies(candidates.logits, aims), aims, weight)[counted].sum()
        boxes = box_term(candidates, aims, kind=self.box, beta=SQUARE_TWO_STAGE)
        return {"class": classes / count, "box": self.box_weight * boxes / count}
