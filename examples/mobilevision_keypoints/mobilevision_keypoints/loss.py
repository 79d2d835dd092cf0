"""How far maps, or positions along x and y, are from Gaussians around the points."""

from __future__ import annotations

from collections.abc import Mapping
from math import pi
from typing import Any, final

from torch import Tensor
from torch.nn.functional import kl_div

from mobilevision.api import DataSpec, Loss
from mobilevision.ranges import PositiveFloat, check_ranges
from mobilevision_keypoints.heads import Bins, Maps, centres


@final
class PointLoss(Loss):
    """Of maps the squared error, over that of an empty map; of positions the Kullback-Leibler divergence.

    The mean over the points that are labelled and lie in the input; the others teach nothing.

    Args:
        data: as in :class:`Loss`.
        sigma: of the Gaussians in pixels of the input; None: a 40th of its longer side, and 3 at least.
    """

    @check_ranges("loss")
    def __init__(self, *, data: DataSpec, sigma: PositiveFloat | None = None) -> None:
        super().__init__(data=data)
        self.sigma = sigma or max(3.0, max(data.resolution) / 40)

    def forward(self, outputs: Maps | Bins, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """``points``; see :class:`Maps` and :class:`Bins`."""
        points, visible = batch["target"]["points"], batch["target"]["visible"]
        height, width = self.data_spec.resolution
        inside = (points >= 0).all(dim=2) & (points[..., 0] <= width) & (points[..., 1] <= height)
        weights = ((visible > 0) & inside).float()
        if isinstance(outputs, Maps):
            across, down = (self._bump(points[..., axis], outputs.maps.shape[3 - axis], axis) for axis in (0, 1))
            wanted = down[..., :, None] * across[..., None, :]
            cell = height / wanted.shape[2] * width / wanted.shape[3]
            error = (outputs.maps.float() - wanted).square().sum(dim=(2, 3)) * cell / (pi * self.sigma**2)
        else:
            error = points.new_zeros(points.shape[:2])
            for axis, logits in enumerate(outputs):
                bump = self._bump(points[..., axis], logits.shape[2], axis)
                wanted = bump / bump.sum(dim=2, keepdim=True).clamp(min=1e-6)
                error = error + kl_div(logits.float().log_softmax(dim=2), wanted, reduction="none").sum(dim=2) / 2
        return {"points": (error * weights).sum() / weights.sum().clamp(min=1)}

    def _bump(self, points: Tensor, count: int, axis: int) -> Tensor:
        """The Gaussian, 1 at its top, around positions [B, K] at the centres of ``count`` bins: [B, K, count]."""
        distance = points[..., None] - centres(count, self.data_spec.resolution[1 - axis], points)
        return (-0.5 * (distance / self.sigma).square()).exp()
