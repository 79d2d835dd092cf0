"""Losses of embeddings: ArcFace, CosFace, triplets, and the value by which runs with different ones are compared."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict, Unpack, final, get_args

import torch
from pytorch_metric_learning import distances, losses, miners, reducers
from torch import Tensor, nn

from mobilevision.errors import UserError
from mobilevision.losses.cross_entropy import ClassWeights, weights_by_class
from mobilevision.losses.loss import Loss
from mobilevision.ranges import NonNegativeInt, PositiveFloat, Range, Share, check_ranges
from mobilevision.spec import DataSpec


def verification(embeddings: Tensor, identities: Tensor) -> dict[str, Tensor]:
    """How far embeddings of one identity lie apart, plus how near those of two lie, over all pairs of a batch.

    The mean of 1 - cosine over the pairs that show the same, and of max(0, cosine) over those that do not. What is
    trained on says nothing of identities outside train, and triplets depend on who is in the batch: so every loss of
    embeddings gives this value in an evaluation, and runs with different losses can be compared by it.

    Args:
        embeddings: float [B, D], unit length.
        identities: int64 [B]; -1 is unknown and makes no pair.

    Returns:
        ``{"verification": scalar}``, 0 without pairs.
    """
    cosine = embeddings.float() @ embeddings.float().T
    known = (identities >= 0)[:, None] & (identities >= 0)[None]
    one = torch.triu(torch.ones_like(known), diagonal=1) & known
    same = identities[:, None] == identities[None]
    return {"verification": _mean(1 - cosine, one & same) + _mean(cosine.clamp(min=0), one & ~same)}


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum() / chosen.sum().clamp(min=1)


# The slope of the arc cosine is infinite at 1, where an image that is learnt by heart comes to lie.
_NEARLY_ONE = 1 - 1e-6


class MarginOptions(TypedDict, total=False):
    """Arguments of :class:`MarginLoss` that both losses take; it says what they mean."""

    scale: PositiveFloat
    warmup: NonNegativeInt
    class_weights: ClassWeights


class MarginLoss(Loss, ABC):
    """A classifier of train's identities by angle, whose weights are a part of the loss and not of the model.

    With several processes the weights are the same in all. In an evaluation, whose identities it does not know, the
    value is that of :func:`~mobilevision.losses.embeddings.verification`.

    Args:
        data: as in :class:`Loss`; identities without a training image get no weights.
        margin: between identities.
        scale: factor on the cosines before the softmax.
        warmup: training steps in which the margin grows from 0; with all of it at once, little is learnt from random
            weights.
        class_weights: ``none``, or ``balanced``: identities with few images weigh more (see
            :func:`~mobilevision.losses.cross_entropy.balanced_weights`).
    """

    loss: Any

    def __init__(
        self,
        *,
        data: DataSpec,
        margin: float,
        scale: float = 16.0,
        warmup: int = 1000,
        class_weights: ClassWeights = "none",
    ) -> None:
        super().__init__(data=data)
        self.margin, self.warmup, self.steps = margin, warmup, 0
        self.identities = sum(count > 0 for count in data.counts)  # train's come first
        self.scale = scale
        weights = weights_by_class(class_weights, data.counts[: self.identities])
        self.reducer = reducers.MeanReducer() if weights is None else reducers.ClassWeightedReducer(weights)

    @abstractmethod
    def classifier(self, identities: int, width: int) -> Any:
        """The loss of the library, with its weights."""

    def take_width(self, width: int) -> None:
        """Make the weights for embeddings of this length."""
        self.loss = self.classifier(max(self.identities, 1), width)
        # Short, as the paper's own code has them: only their direction counts, and long ones turn slowly.
        nn.init.normal_(self.loss.W, std=0.01)

    def forward(self, outputs: Tensor, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """``outputs``: float embeddings [B, D]; ``batch["target"]``: int64 [B, 2], identity and image."""
        identities = batch["target"][:, 0]
        if not self.training:
            return verification(outputs, identities)
        if not hasattr(self, "loss"):
            raise UserError(f"loss {type(self).__name__} needs a head that gives embeddings: take head=embedding")
        self.loss.margin = self.margin * min(1.0, self.steps / self.warmup) if self.warmup else self.margin
        self.steps += 1
        with torch.autocast(outputs.device.type, enabled=False):  # small angles vanish in 16 bits
            return {"identity": self.loss(outputs.float(), identities)}

    def get_extra_state(self) -> Tensor:
        """Training steps so far: a resumed run has the margin of the one before."""
        return torch.tensor(self.steps)

    def set_extra_state(self, state: Tensor) -> None:
        """Go on from so many steps."""
        self.steps = int(state)


@final
class ArcFace(MarginLoss):
    """ArcFace (arXiv 1801.07698, equation 3): the margin is added to the angle.

    Args:
        data: as in :class:`MarginLoss`.
        margin: in radians.
        **options: of :class:`MarginLoss`.
    """

    @check_ranges("loss")
    def __init__(
        self,
        *,
        data: DataSpec,
        margin: Annotated[float, Range(min=0, max=1.5)] = 0.3,
        **options: Unpack[MarginOptions],
    ) -> None:
        super().__init__(data=data, margin=margin, **options)

    def classifier(self, identities: int, width: int) -> Any:
        """See :class:`MarginLoss`."""
        return _ArcFace(identities, width, margin=math.degrees(self.margin), scale=self.scale, reducer=self.reducer)


@final
class CosFace(MarginLoss):
    """CosFace (arXiv 1801.09414, equation 4): the margin is taken off the cosine.

    Args:
        data: as in :class:`MarginLoss`.
        margin: in cosines.
        **options: of :class:`MarginLoss`.
    """

    @check_ranges("loss")
    def __init__(
        self,
        *,
        data: DataSpec,
        margin: Share = 0.2,
        **options: Unpack[MarginOptions],
    ) -> None:
        super().__init__(data=data, margin=margin, **options)

    def classifier(self, identities: int, width: int) -> Any:
        """See :class:`MarginLoss`."""
        return losses.CosFaceLoss(identities, width, margin=self.margin, scale=self.scale, reducer=self.reducer)


@final
class _ArcFace(losses.ArcFaceLoss):  # type: ignore[misc]  # the library is not annotated
    """The library's, with a finite gradient at angles 0 and 180."""

    def get_angles(self, cosine: Tensor) -> Tensor:
        """As the library's."""
        angles: Tensor = super().get_angles(cosine.clamp(-_NEARLY_ONE, _NEARLY_ONE))
        return angles


Mining = Literal["semi_hard", "batch_hard", "all"]


@final
class Triplet(Loss):
    """Triplet loss on squared distances (FaceNet, arXiv 1503.03832, equation 2), over triplets found in the batch.

    With several processes each finds its triplets among its own images; gradients are averaged. In an evaluation
    the value is that of :func:`~mobilevision.losses.embeddings.verification`.

    Args:
        data: as in :class:`Loss`.
        margin: by which the other identity has to be farther, in squared distance (0 to 4).
        mining: ``batch_hard``: for each image the farthest of its identity and the nearest of the others (arXiv
            1703.07737); ``semi_hard``: all triplets whose other identity is farther, but by less than the margin
            (FaceNet's); ``all``: all that violate the margin. The mean is taken over those that violate it.
    """

    @check_ranges("loss")
    def __init__(
        self,
        *,
        data: DataSpec,
        margin: Annotated[float, Range(min=0, max=4)] = 0.2,
        mining: Mining = "batch_hard",
    ) -> None:
        super().__init__(data=data)
        if mining not in get_args(Mining):
            raise UserError(f"loss.mining={mining}: must be one of {', '.join(get_args(Mining))}")
        distance = distances.LpDistance(power=2)
        self.loss = losses.TripletMarginLoss(margin=margin, distance=distance)
        if mining == "batch_hard":
            self.miner = miners.BatchHardMiner(distance=distance)
        else:
            kind = "semihard" if mining == "semi_hard" else "all"
            self.miner = miners.TripletMarginMiner(margin=margin, type_of_triplets=kind, distance=distance)

    def forward(self, outputs: Tensor, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """``outputs``: float embeddings [B, D]; ``batch["target"]``: int64 [B, 2], identity and image."""
        identities = batch["target"][:, 0]
        if not self.training:
            return verification(outputs, identities)
        with torch.autocast(outputs.device.type, enabled=False):  # as above
            embeddings = outputs.float()
            return {"triplet": self.loss(embeddings, identities, self.miner(embeddings, identities))}
