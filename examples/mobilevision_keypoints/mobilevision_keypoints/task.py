"""Where are the keypoints of an object?"""

from __future__ import annotations

from typing import Any, ClassVar, final

from torch import Tensor

from mobilevision.api import Metric, Task
from mobilevision.ranges import PositiveFloat, check_ranges
from mobilevision_keypoints.metric import PointMetrics


@final
class Keypoints(Task):
    """Points of one object an image.

    Args:
        sigma: of the object keypoint similarity, of all points; None: COCO's for its 17 points, else 0.05.
        **parts: of :class:`Task`.
    """

    kind: ClassVar[str] = "keypoints"
    primary: ClassVar[str] = "pck_10"
    answers: ClassVar[str] = "keypoints"

    @check_ranges("task")
    def __init__(self, *, sigma: PositiveFloat | None = None, **parts: Any) -> None:
        self.sigma = sigma  # before the parent's, which makes the metrics
        super().__init__(**parts)

    def decode(self, outputs: Any) -> dict[str, Tensor]:
        """``points``: float [B, K, 2] in pixels of the input; ``scores``: float [B, K], 0 to 1."""
        found: dict[str, Tensor] = self.head.read(outputs, self.data_spec.resolution)
        return found

    def configure_metrics(self) -> Metric:
        """As in :class:`Task`."""
        return PointMetrics(names=self.data_spec.classes, sigma=self.sigma)
