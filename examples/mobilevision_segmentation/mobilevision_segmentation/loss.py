"""How far the classes of pixels are from the right ones: cross-entropy, and optionally the overlap of regions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate, one_hot

from mobilevision.api import DataSpec, Loss
from mobilevision.ranges import NonNegativeFloat, Range, check_ranges
from mobilevision_segmentation.masks import IGNORED


@final
class PixelLoss(Loss):
    """Cross-entropy of every pixel whose class is known, and a loss of regions.

    Args:
        data: as in :class:`Loss`.
        region: ``dice`` (Milletari et al., arXiv 1606.04797), ``focal_tversky`` (Abraham and Khan, arXiv 1810.07842),
            which counts missed pixels more than false ones, or ``none``; the mean over the classes that are there.
        region_weight: factor on it.
        class_weights: ``balanced``: the cross-entropy of a class counts by one over the root of its share of all
            pixels that were seen so far, at most ten times the mean.
        missed: focal_tversky: weight of missed pixels; the rest is that of false ones.
        gamma: focal_tversky: exponent; below 1, classes that are almost right count more.
    """

    seen: Tensor

    @check_ranges("loss")
    def __init__(
        self,
        *,
        data: DataSpec,
        region: Literal["none", "dice", "focal_tversky"] = "none",
        region_weight: NonNegativeFloat = 1.0,
        class_weights: Literal["none", "balanced"] = "none",
        missed: Annotated[float, Range(min=0, max=1)] = 0.7,
        gamma: Annotated[float, Range(above=0)] = 0.75,
    ) -> None:
        super().__init__(data=data)
        self.region, self.region_weight, self.balanced = region, region_weight, class_weights == "balanced"
        self.missed, self.gamma = (missed, gamma) if region == "focal_tversky" else (0.5, 1.0)
        self.register_buffer("seen", torch.ones(len(data.classes), dtype=torch.float64))

    def forward(self, outputs: Tensor, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """``outputs``: float logits [B, K, h, w]; ``target``: uint8 [B, H, W]."""
        target = batch["target"].long()
        known = target != IGNORED
        if self.training and self.balanced:
            self.seen += torch.bincount(target[known], minlength=len(self.seen))
        logits = interpolate(outputs.float(), target.shape[1:], mode="bilinear", align_corners=False)
        weights = self._weights().to(logits) if self.balanced else None
        each = cross_entropy(logits, target.where(known, 0), weights, reduction="none") * known
        parts = {"pixels": each.sum() / known.sum().clamp(min=1)}
        if self.region != "none":
            parts["regions"] = self.region_weight * self._regions(logits, target, known)
        return parts

    def _weights(self) -> Tensor:
        weights = (self.seen / self.seen.sum()).rsqrt()
        return (weights / weights.mean()).clamp(max=10)

    def _regions(self, logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
        truth = one_hot(target.where(known, 0), logits.shape[1]).movedim(-1, 1) * known[:, None]
        said = logits.softmax(dim=1) * known[:, None]
        both, missed, false = (
            pixels.sum(dim=(0, 2, 3)) for pixels in (said * truth, (1 - said) * truth, said * (1 - truth))
        )
        overlap = (both + 1) / (both + self.missed * missed + (1 - self.missed) * false + 1)
        there = truth.amax(dim=(0, 2, 3))
        lost = (1 - overlap).clamp(min=1e-6) ** self.gamma  # the root's slope is infinite at 0
        return (lost * there).sum() / there.sum().clamp(min=1)
