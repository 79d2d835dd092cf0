"""Ordered classes: one score for the image, one threshold between neighbours (arXiv 1901.07884)."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from mobilevision.heads import Head
from mobilevision.spec import BackboneSpec, DataSpec, Features, Needs


@final
class CumulativeHead(Head):
    """A score from the pooled features, and how far it lies above each threshold.

    Args:
        backbone: as in :class:`Head`.
        data: as in :class:`Head`; its classes have to be in order.
        hidden: width of the layer before the score; 0 leaves it out.
    """

    needs = Needs(pooled=True)

    def __init__(self, *, backbone: BackboneSpec, data: DataSpec, hidden: int = 64) -> None:
        super().__init__(backbone=backbone, data=data)
        width = hidden or backbone.width
        self.body = nn.Sequential(nn.Linear(backbone.width, hidden), nn.ReLU()) if hidden else nn.Identity()
        self.score = nn.Linear(width, 1, bias=False)
        self.thresholds = nn.Parameter(torch.linspace(-1, 1, len(data.classes) - 1))

    def forward(self, features: Features) -> Tensor:
        """Float logits [batch, classes - 1] of "more than class k"."""
        score: Tensor = self.score(self.body(features.pooled))
        return score - self.thresholds
