"""One fully connected layer to a logit a cell of Earth (PlaNet, arXiv 1602.05314; the paper's section 4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, final

import torch
from torch import Tensor, nn

from mobilevision.errors import UserError
from mobilevision.geo.cells import Cells, groups
from mobilevision.heads.head import Head, draw_small
from mobilevision.ranges import Range, ShareBelowOne, check_ranges
from mobilevision.spec import BackboneSpec, DataSpec, Features, Needs


@final
class CellsHead(Head):
    """Dropout, then one linear layer; with ``levels`` one more for each of them, as hierarchical cells.

    A cell's logit is then its own plus those of the coarser cells that it lies in, so that a cell with few photos
    borrows from its neighbours: before it is normalised, the probability is the product over the levels, as
    Müller-Budack et al. 2018 (doi:10.1007/978-3-030-01258-8_35) take it.

    Args:
        backbone: as in :class:`Head`.
        data: as in :class:`Head`; with cells.
        dropout: share of pooled features set to zero while training.
        levels: coarser levels of S2 that get a layer of their own.

    Raises:
        UserError: data without cells, or a level that S2 does not have.
    """

    needs = Needs(pooled=True)

    @check_ranges("head")
    def __init__(
        self,
        *,
        backbone: BackboneSpec,
        data: DataSpec,
        dropout: ShareBelowOne = 0.0,
        levels: Sequence[Annotated[int, Range(min=0, max=30)]] = (),
    ) -> None:
        super().__init__(backbone=backbone, data=data)
        if data.cells is None:
            raise UserError("head=cells: the data has no train to make cells of; data.cells.file=FILE names cells")
        cells = Cells.from_dict(data.cells)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(backbone.width, len(cells))
        draw_small(self.classifier)
        self.coarser = nn.ModuleList()
        for index, level in enumerate(levels):
            try:
                coarse = groups(cells, level)
            except ValueError as error:
                raise UserError(f"head.levels: {error}") from None
            layer = nn.Linear(backbone.width, coarse.number)
            draw_small(layer)
            self.coarser.append(layer)
            self.register_buffer(f"group_{index}", torch.from_numpy(coarse.of), persistent=False)

    def forward(self, features: Features) -> Tensor:
        """Float logits [batch, cells]."""
        pooled = self.dropout(features.pooled)
        logits: Tensor = self.classifier(pooled)
        for index, layer in enumerate(self.coarser):
            logits = logits + layer(pooled)[:, self.get_buffer(f"group_{index}")]
        return logits
