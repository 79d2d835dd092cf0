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
        sigma: of the Gaussians in pixels of the input; None: for maps a 32nd of its longer side and at least 6, a place
            and a half, below which an empty map is hard to leave; for positions a 40th and at least 3.
    """

    @check_ranges("loss")
    def __init__(self, *, data: DataSpec, sigma: PositiveFloat | None = None) -> None:
        super().__init__(data=data)
        side = max(data.resolution)
        self.of_maps, self.of_bins = sigma or max(6.0, side / 32), sigma or max(3.0, side / 40)

    def forward(self, outputs: Maps | Bins, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """``points``; see :class:`Maps` and :class:`Bins`."""
        points, visible = batch["target"]["points"], batch["target"]["visible"]
        height, width = self.data_spec.resolution
        inside = (points >= 0).all(dim=2) & (points[..., 0] <= width) & (points[..., 1] <= height)
        weights = ((visible > 0) & inside).float()
        if isinstance(outputs, Maps):
            across, down = (self.bump(points, axis, outputs.maps.shape[3 - axis], self.of_maps) for axis in (0, 1))
            wanted = down[..., :, None] * across[..., None, :]
            cell = height / wanted.shape[2] * width / wanted.shape[3]
            error = (outputs.maps.float() - wanted).square().sum(dim=(2, 3)) * cell / (pi * self.of_maps**2)
        else:
            error = points.new_zeros(points.shape[:2])
            for axis, logits in enumerate(outputs):
                bump = self.bump(points, axis, logits.shape[2], self.of_bins)
                wanted = bump / bump.sum(dim=2, keepdim=True).clamp(min=1e-6)
                error = error + kl_div(logits.float().log_softmax(dim=2), wanted, reduction="none").sum(dim=2) / 2
        return {"points": (error * weights).sum() / weights.sum().clamp(min=1)}

    def bump(self, points: Tensor, axis: int, count: int, sigma: float) -> Tensor:
        """Gaussians, 1 at the top, around points [B, K, 2] along x (0) or y at the centres of bins: [B, K, count]."""
        distance = points[..., axis, None] - centres(count, self.data_spec.resolution[1 - axis], points)
        return (-0.5 * (distance / sigma).square()).exp()
