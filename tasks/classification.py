"""One label an image: the paper's ImageNet classifiers and everything fine-tuned from them (sections 3 and 4.1)."""

from __future__ import annotations

from typing import Any, ClassVar, final

from torch import Tensor

from mobilevision.metrics import ClassificationMetrics, TaskMetric
from mobilevision.spec import OutputKind
from mobilevision.tasks.base import Stage, Task
from mobilevision.visualization import charts


@final
class Classification(Task):
    """Softmax over the data's classes; measured by top-1, top-5, balanced accuracy, macro F1 and calibration."""

    kind: ClassVar[str] = "class"
    primary: ClassVar[str] = "top1"
    balanced: ClassVar[str | None] = "balanced_accuracy"
    output_kind: ClassVar[OutputKind | None] = "softmax"
    answers: ClassVar[str] = "classes"

    def decode(self, outputs: Tensor) -> dict[str, Tensor]:
        """``probabilities``: float [B, K] from logits [B, K]."""
        return {"probabilities": outputs.float().softmax(dim=1)}

    def explained(self, outputs: Tensor) -> Tensor | None:
        """The logit of the most probable class."""
        return outputs.amax(dim=1)

    def configure_metrics(self) -> TaskMetric:
        """As in :class:`Task`."""
        return ClassificationMetrics(classes=self.data_spec.classes, groups=self.data_spec.groups)

    def figures(self, stage: Stage) -> dict[str, Any]:
        """``confusion``: the confusion matrix; ``reliability``: confidence against accuracy."""
        tables = self.tables(stage)
        confusion = [[row[name] for name in self.data_spec.classes] for row in tables["confusion"]]
        columns = ([row[key] for row in tables["calibration"]] for key in ("samples", "confidence", "accuracy"))
        return {
            "confusion": charts.confusion_matrix(confusion, self.data_spec.classes),
            "reliability": charts.reliability_diagram(*columns),
        }
