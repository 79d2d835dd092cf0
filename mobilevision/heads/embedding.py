"""A point on the unit sphere for each image, near to those of the same identity (FaceNet, arXiv 1503.03832)."""

from __future__ import annotations

from typing import Annotated, final

from torch import Tensor, nn
from torch.nn import functional

from mobilevision.heads.head import Head
from mobilevision.ranges import Range, ShareBelowOne, check_ranges
from mobilevision.spec import BackboneSpec, DataSpec, Features, Needs


@final
class EmbeddingHead(Head):
    """Pooled features, perhaps projected and normed over the batch, to unit length.

    Args:
        backbone: as in :class:`Head`.
        data: as in :class:`Head`.
        dimensions: length of the embedding; the paper's students and FaceNet have 128. None takes the pooled features
            as they are.
        norm: batch norm on the vector before it is brought to unit length, which puts its numbers round zero.
        dropout: share of pooled features set to zero while training.

    Attributes:
        dimensions: length of the embedding.
    """

    needs = Needs(pooled=True)

    @check_ranges("head")
    def __init__(
        self,
        *,
        backbone: BackboneSpec,
        data: DataSpec,
        dimensions: Annotated[int, Range(min=1, max=65_536)] | None = 128,
        norm: bool = True,
        dropout: ShareBelowOne = 0.0,
    ) -> None:
        super().__init__(backbone=backbone, data=data)
        self.dimensions = dimensions or backbone.width
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(backbone.width, dimensions, bias=not norm) if dimensions else nn.Identity()
        self.norm = nn.BatchNorm1d(self.dimensions) if norm else nn.Identity()

    def forward(self, features: Features) -> Tensor:
        """Float32 [batch, dimensions], each of length 1 (of length 0 where all features are 0)."""
        vector = self.norm(self.projection(self.dropout(features.pooled)))
        return functional.normalize(vector.float(), dim=1)
