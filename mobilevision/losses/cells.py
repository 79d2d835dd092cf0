"""Cross-entropy over cells of Earth, softened by distance and at several levels where that is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, final

import torch
from torch import Tensor

from mobilevision.errors import UserError
from mobilevision.geo.cells import Cells, groups
from mobilevision.geo.distance import EARTH, unit_vectors
from mobilevision.losses.cross_entropy import ClassWeights, weights_by_class
from mobilevision.losses.loss import Loss
from mobilevision.ranges import NonNegativeFloat, Range, check_ranges
from mobilevision.spec import DataSpec


@final
class CellCrossEntropy(Loss):
    """Softmax cross-entropy over cells; images in no cell are left out.

    Args:
        data: as in :class:`Loss`; with cells.
        smoothing_km: above 0, the aim is not the image's cell alone: each cell has its share, which falls by e with
            every so many kilometres that its photo centre lies further from the image (haversine smoothing, Haas et
            al. 2023, arXiv 2307.05845, where it is 75).
        levels: coarser levels of S2 at which the probabilities, added up in their cells, have to be right, too.
        level_weight: what each of them counts beside the cells themselves.
        class_weights: ``none``, or ``balanced``: photos of cells with few of them weigh more (see
            :func:`~mobilevision.losses.cross_entropy.balanced_weights`), at every level by their finest cell.

    Raises:
        UserError: data without cells, a level that S2 does not have, or a negative distance.
    """

    centres: Tensor
    weight: Tensor | None

    @check_ranges("loss")
    def __init__(
        self,
        *,
        data: DataSpec,
        smoothing_km: NonNegativeFloat = 0.0,
        levels: Sequence[Annotated[int, Range(min=0, max=30)]] = (),
        level_weight: NonNegativeFloat = 1.0,
        class_weights: ClassWeights = "none",
    ) -> None:
        super().__init__(data=data)
        cells = Cells.from_dict(data.cells)
        self.smoothing_km, self.level_weight = smoothing_km, level_weight
        self.register_buffer("weight", weights_by_class(class_weights, data.counts), persistent=False)
        self.levels: dict[int, int] = {}
        centres = torch.from_numpy(unit_vectors(cells.latitude, cells.longitude).T).float()
        self.register_buffer("centres", centres, persistent=False)
        for level in levels:
            try:
                found = groups(cells, level)
            except ValueError as error:
                raise UserError(f"loss.levels: {error}") from None
            self.levels[level] = found.number
            self.register_buffer(f"groups_{level}", torch.from_numpy(found.of), persistent=False)

    def forward(self, outputs: Tensor, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """``outputs``: float logits [B, K]; ``batch["target"]``: see :class:`mobilevision.data.coordinates`."""
        target = batch["target"]
        cell = target["cell"].to(outputs.device)
        known, place = cell >= 0, cell.clamp(min=0)[:, None]
        weight = None if self.weight is None else self.weight[place[:, 0]]
        likely = outputs.float().log_softmax(dim=1)
        if self.smoothing_km:
            each = -(self.softened(target["coordinate"], known) * likely).sum(dim=1)
        else:
            each = -likely.gather(1, place)[:, 0]
        parts = {"cell": _mean(each, known, weight)}
        for level, number in self.levels.items():
            of = self.get_buffer(f"groups_{level}")
            summed = likely.new_zeros(len(likely), number).index_add(1, of, likely.exp())
            right = summed.gather(1, of[place]).clamp(min=1e-12)[:, 0]
            parts[f"level_{level}"] = self.level_weight * _mean(-right.log(), known, weight)
        return parts

    def softened(self, coordinate: Tensor, known: Tensor) -> Tensor:
        """The share of each cell in the aim, float32 [B, K], each row adding up to 1.

        Args:
            coordinate: float64 [B, 2], degrees.
            known: bool [B]; rows without it hold anything finite.
        """
        degrees = torch.where(known.cpu()[:, None], coordinate.cpu(), 0.0)
        vectors = torch.from_numpy(unit_vectors(*degrees.numpy().T)).T.to(self.centres)
        # Not by a matrix product: its float32 is wrong by kilometres for neighbours.
        chord = torch.cdist(vectors, self.centres, compute_mode="donot_use_mm_for_euclid_dist")
        distance = 2 * EARTH * (chord / 2).clamp(max=1).asin()
        return (-distance / self.smoothing_km).softmax(dim=1)


def _mean(each: Tensor, known: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over the samples that lie in a cell, each times its weight; 0 where none does."""
    each = each if weight is None else each * weight
    return torch.where(known, each, 0.0).sum() / known.sum().clamp(min=1)
