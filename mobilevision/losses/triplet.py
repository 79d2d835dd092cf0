"""Triplets: a picture has to be nearer to one of the same identity than to one of another, by a margin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, final

from pytorch_metric_learning import distances, losses, miners
from torch import Tensor

from mobilevision.errors import UserError
from mobilevision.losses.loss import Loss
from mobilevision.losses.verification import full_precision, verification
from mobilevision.ranges import Range, check_ranges
from mobilevision.spec import DataSpec

MINING = ("semi_hard", "batch_hard", "all")


@final
class Triplet(Loss):
    """Triplet loss on squared distances (FaceNet, arXiv 1503.03832, equation 2), over triplets found in the batch.

    With several processes each finds its triplets among its own pictures; gradients are averaged. In an evaluation
    the value is that of :func:`~mobilevision.losses.verification.verification`.

    Args:
        data: as in :class:`Loss`.
        margin: by which the other identity has to be farther, in squared distance (0 to 4).
        mining: ``batch_hard``: for each picture the farthest of its identity and the nearest of the others (arXiv
            1703.07737); ``semi_hard``: all triplets whose other identity is farther, but by less than the margin
            (FaceNet's); ``all``: all that violate the margin. The mean is taken over those that violate it.
    """

    @check_ranges("loss")
    def __init__(
        self,
        *,
        data: DataSpec,
        margin: Annotated[float, Range(min=0, max=4)] = 0.2,
        mining: Literal["semi_hard", "batch_hard", "all"] = "batch_hard",
    ) -> None:
        super().__init__(data=data)
        if mining not in MINING:
            raise UserError(f"loss.mining={mining}: must be one of {', '.join(MINING)}")
        distance = distances.LpDistance(power=2)
        self.loss = losses.TripletMarginLoss(margin=margin, distance=distance)
        if mining == "batch_hard":
            self.miner = miners.BatchHardMiner(distance=distance)
        else:
            kind = "semihard" if mining == "semi_hard" else "all"
            self.miner = miners.TripletMarginMiner(margin=margin, type_of_triplets=kind, distance=distance)

    def forward(self, outputs: Tensor, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """``outputs``: float embeddings [B, D]; ``batch["target"]``: int64 [B, 2], identity and picture."""
        identities = batch["target"][:, 0]
        if not self.training:
            return verification(outputs, identities)
        with full_precision(outputs) as embeddings:
            loss: Tensor = self.loss(embeddings, identities, self.miner(embeddings, identities))
            return {"triplet": loss}
