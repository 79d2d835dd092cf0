"""How far boxes lie from where they have to be."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss

from mobilevision.losses.assigned import Assigned
from mobilevision.ops.candidates import Candidates
from mobilevision.ops.coding import decode, encode

BoxTerm = Literal["smooth_l1", "giou"]


def box_term(candidates: Candidates, aims: Assigned, *, kind: BoxTerm, beta: float) -> Tensor:
    """The sum over the positives; 0, with gradients, where there are none.

    Args:
        candidates: offsets of one box for each reference, or of one for each of its classes: then that of the class to
            be found counts.
        aims: what they have to find.
        kind: ``smooth_l1`` between offsets (arXiv 1504.08083), or ``giou`` between boxes (arXiv 1902.09630).
        beta: up to this difference of an offset, the loss is a square.
    """
    positive = aims.positive
    references, boxes = candidates.references.detach()[positive], aims.boxes[positive].float()
    deltas = candidates.deltas[positive].float()
    if deltas.ndim == 3:
        deltas = deltas[torch.arange(len(deltas), device=deltas.device), aims.classes[positive]]
    if kind == "giou":
        found = decode(deltas, references, candidates.weights)
        return generalized_box_iou_loss(found, boxes, reduction="sum")  # type: ignore[no-any-return]
    offsets = encode(boxes, references, candidates.weights)
    return functional.smooth_l1_loss(deltas, offsets, reduction="sum", beta=beta)
