"""Every threshold is a question with a yes or no."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from mobilevision.losses import Loss


@final
class CumulativeLoss(Loss):
    """Binary cross-entropy of "is it more than class k?", the mean over all k."""

    def forward(self, outputs: Tensor, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """``outputs``: float logits [B, K - 1]; ``target``: int64 [B]."""
        steps = torch.arange(outputs.shape[1], device=outputs.device)
        more = (batch["target"][:, None] > steps).to(outputs.dtype)
        return {"order": binary_cross_entropy_with_logits(outputs, more)}
