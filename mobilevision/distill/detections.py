"""Imitate a detector: classes and boxes of its candidates, where it is sure (after Chen et al., NIPS 2017)."""

from __future__ import annotations

from typing import Annotated, final

import torch
from torch import Tensor
from torch.nn import functional

from mobilevision.distill.objective import Objective
from mobilevision.distill.teacher import Seen
from mobilevision.errors import UserError
from mobilevision.ops.candidates import Candidates, DetectorOutputs
from mobilevision.ranges import NonNegativeFloat, Range, check_ranges
from mobilevision.spec import Emits

_NEAR = 0.02  # anchors may differ by this share of the input: rounding at other sides


@final
class Detections(Objective):
    """Candidate by candidate: cross-entropy of the class distributions, smooth L1 of the box offsets.

    Candidates count where the teacher sees an object. Of the others, those from which the student is farthest count,
    a few for each of the former, so that pictures without labels also teach what is background. Both parts are divided
    by the number of sure candidates. Both detectors must start from the same boxes: the same kind of head at the same
    side. Of two-stage detectors the first stage is compared; the second looks at regions of its own.

    Args:
        emits: as in :class:`Objective`.
        sure: probability that there is an object from which the teacher counts as sure.
        negatives: other candidates that count, for each sure one.
        box_weight: factor on the box part.
    """

    @check_ranges("distill")
    def __init__(
        self,
        *,
        emits: Emits | None,
        sure: Annotated[float, Range(above=0, below=1)] = 0.3,
        negatives: NonNegativeFloat = 3.0,
        box_weight: NonNegativeFloat = 1.0,
    ) -> None:
        super().__init__(emits=emits)
        self.sure, self.negatives, self.box_weight = sure, negatives, box_weight

    def prepare(self, student: Seen, teacher: Seen) -> None:
        """See :class:`Objective`."""
        own, target = candidates(student), candidates(teacher)
        self.reaches_head = student.outputs.proposals is None
        same = own.anchors.shape == target.anchors.shape
        if same:
            side = own.anchors.amax()
            same = bool((own.anchors - target.anchors).abs().amax() < _NEAR * side)
        if not same or own.logits.shape[-1] > target.logits.shape[-1]:
            have, want = (each.anchors.shape[1] for each in (target, own))
            raise UserError(
                f"distill=detections compares candidate by candidate, and the teacher's {have} boxes are not the"
                f" student's {want}: use the teacher's head and its data.resolution, or distill=features"
            )

    def forward(self, student: Seen, teacher: Seen) -> dict[str, Tensor]:
        """Of detectors' raw outputs."""
        own, target = candidates(student), candidates(teacher)
        with torch.autocast(own.logits.device.type, enabled=False):
            outputs = own.logits.shape[-1]
            truth = target.logits[..., :outputs].float().softmax(dim=-1)
            sure = 1 - truth[..., 0] >= self.sure
            count = sure.sum().clamp(min=1)
            each = -(truth * own.logits.float().log_softmax(dim=-1)).sum(dim=-1)
            counted = sure | self._hard(each.detach(), sure)
            factors = own.deltas.new_tensor(own.weights) / own.deltas.new_tensor(target.weights)
            distance = functional.smooth_l1_loss(
                own.deltas[sure].float(), (target.deltas * factors)[sure].float(), reduction="sum"
            )
        return {"class": each[counted].sum() / count, "box": self.box_weight * distance / count}

    def _hard(self, each: Tensor, sure: Tensor) -> Tensor:
        """Of the candidates that are not sure, those with the largest loss, at least one a picture on average."""
        most = min(int(self.negatives * int(sure.sum())) + len(each), int((~sure).sum()))
        values = each.masked_fill(sure, -1).flatten()
        chosen = torch.zeros_like(values, dtype=torch.bool)
        chosen[values.topk(most).indices] = True
        return chosen.view_as(each)


def candidates(seen: Seen) -> Candidates:
    """What can be compared place by place: all candidates of one stage, the first of two.

    Raises:
        UserError: not a detector.
    """
    if not isinstance(seen.outputs, DetectorOutputs):
        raise UserError("distill=detections: teacher and student must both be detectors")
    return seen.outputs.final if seen.outputs.proposals is None else seen.outputs.proposals
