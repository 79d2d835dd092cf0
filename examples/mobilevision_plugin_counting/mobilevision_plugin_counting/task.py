"""How many? A count is a class whose neighbours are nearly right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, final

from torch import Tensor

from mobilevision.metrics import TaskMetric
from mobilevision.tasks.base import Task
from mobilevision.visualization import draw
from mobilevision_plugin_counting.metric import CountingMetrics


@final
class Counting(Task):
    """Ordered classes under a head that gives "more than class k" for each k; less error is better."""

    kind: ClassVar[str] = "class"
    primary: ClassVar[str] = "mean_error"
    mode: ClassVar[Literal["max", "min"]] = "min"

    def decode(self, outputs: Tensor) -> dict[str, Tensor]:
        """``count``: int64 [B], the thresholds passed; ``more_than``: float [B, K - 1], how sure each is."""
        more_than = outputs.float().sigmoid()
        return {"count": (more_than > 0.5).sum(dim=1), "more_than": more_than}

    def configure_metrics(self) -> TaskMetric:
        """As in :class:`Task`."""
        return CountingMetrics(classes=self.data_spec.classes)

    def describe(self, prediction: Mapping[str, Tensor]) -> dict[str, Any]:
        """``count``, and ``expected``, which lies between counts where the model is in doubt."""
        label = self.data_spec.classes[int(prediction["count"])]
        return {"count": label, "expected": round(float(prediction["more_than"].sum()), 4)}

    def draw(self, image: Any, prediction: Mapping[str, Tensor], target: Any = None) -> Any:
        """The image over a line with the count and, where known, the true one."""
        row = self.describe(prediction)
        truth = None if target is None else self.data_spec.classes[int(target)]
        correct = None if truth is None else truth == row["count"]
        return draw.captioned(image, prediction=f"{row['count']} ({row['expected']:.1f})", truth=truth, correct=correct)
