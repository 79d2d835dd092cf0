"""What each candidate of a batch has to find."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mobilevision.ops.candidates import Candidates
from mobilevision.ops.matching import IGNORED, match

LEFT_OUT = -1


class Assigned(NamedTuple):
    """Aims of a batch of candidates.

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
) -> Assigned:
    """Match candidates and boxes; options as in :func:`mobilevision.ops.matching.match`.

    Difficult boxes are learnt from like any other.
    """
    boxes, labels = target["boxes"], target["labels"]
    references = candidates.references.detach()
    found = match(
        references, boxes, labels, target["crowd"], positive=positive, negative=negative, force=force, ties=ties
    )
    place = found.clamp(min=0)
    classes = torch.where(found >= 0, labels.gather(1, place) + 1, 0)
    classes = classes.masked_fill((found == IGNORED) | ~candidates.valid, LEFT_OUT)
    return Assigned(classes, boxes.gather(1, place[:, :, None].expand(-1, -1, 4)))
