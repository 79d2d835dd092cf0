"""The paper's classifier: one fully connected layer on the pooled features (arXiv 1704.04861, Table 1)."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from mobilevision.heads.head import Head, draw_small
from mobilevision.ranges import ShareBelowOne, check_ranges
from mobilevision.spec import BackboneSpec, DataSpec, Features, Needs


@final
class LinearHead(Head):
    """Dropout, then one linear layer to a logit a class.

    Args:
        backbone: as in :class:`Head`.
        data: as in :class:`Head`.
        dropout: share of pooled features set to zero while training.
    """

    needs = Needs(pooled=True)

    @check_ranges("head")
    def __init__(self, *, backbone: BackboneSpec, data: DataSpec, dropout: ShareBelowOne = 0.0) -> None:
        super().__init__(backbone=backbone, data=data)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(backbone.width, len(data.classes))
        draw_small(self.classifier)

    def forward(self, features: Features) -> Tensor:
        """Float logits [batch, classes]."""
        logits: Tensor = self.classifier(self.dropout(features.pooled))
        return logits

    def load_classifier(self, weight: Tensor, bias: Tensor) -> bool:
        """Take the weights' own last layer if it has as many classes, in their order."""
        if weight.shape != self.classifier.weight.shape:
            return False
        with torch.no_grad():
            self.classifier.weight.copy_(weight)
            self.classifier.bias.copy_(bias)
        return True
