"""Boxes round objects: SSD and Faster R-CNN on any backbone (arXiv 1704.04861, section 4.6)."""

from __future__ import annotations

from typing import Any, ClassVar, final

import torch
from torch import Tensor

from mobilevision.heads import DetectionHead
from mobilevision.metrics import DetectionMetrics, TaskMetric
from mobilevision.ops.candidates import Decodable
from mobilevision.spec import OutputKind
from mobilevision.tasks.base import Batch, Stage, Task
from mobilevision.visualization import charts_detection


@final
class Detection(Task):
    """Finds objects and says what they are; measured by COCO's twelve numbers."""

    head: DetectionHead
    kind: ClassVar[str] = "boxes"
    primary: ClassVar[str] = "map"
    output_kind: ClassVar[OutputKind | None] = "detections"
    answers: ClassVar[str] = "boxes"
    raw_answers: ClassVar[str | None] = "raw_boxes"

    def outputs(self, batch: Batch) -> Any:
        """As in :class:`Task`; a two-stage head in training is told the boxes, to choose the regions it looks at."""
        features = batch["features"] if "features" in batch else self.extract(batch["image"])
        return self.head(features, batch.get("target") if self.training else None)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """As Lightning's, but what only the metrics need stays on the CPU: some accelerators have no float64."""
        target = batch["target"]
        here = {name: value for name, value in target.items() if value.dtype == torch.float64}
        there = {name: value for name, value in target.items() if name not in here}
        moved: Batch = super().transfer_batch_to_device({**batch, "target": there}, device, dataloader_idx)
        return {**moved, "target": {**moved["target"], **here}}

    def decode(self, outputs: Any) -> dict[str, Tensor]:
        """``boxes`` [B, D, 4] (left, top, right, bottom) in input pixels, ``scores`` [B, D], ``labels`` [B, D].

        Highest scores first; where there are fewer than D, score 0 and label -1.
        """
        return self.head.decode(outputs)

    def raw(self, outputs: Any) -> dict[str, Tensor]:
        """``logits`` [B, A, O] and ``deltas`` [B, A, 4] of a one-stage head, as its ``raw_facts`` explain them."""
        return self.head.raw(outputs)

    def raw_facts(self, outputs: Any) -> dict[str, Any]:
        """Anchors, or cells round points, and settings."""
        return self.head.raw_facts(outputs)

    def explained(self, outputs: Any) -> Tensor | None:
        """The probability of each candidate's best class, summed, each counting as much as it is sure."""
        final: Decodable = outputs.final
        best = final.probabilities()[:, :, : len(self.data_spec.classes)].amax(dim=2)
        return (best * best.detach() * final.valid).sum(dim=1)

    def configure_metrics(self) -> TaskMetric:
        """As in :class:`Task`."""
        return DetectionMetrics(classes=self.data_spec.classes)

    def decide(self, metric: Any) -> dict[str, Any]:
        """``thresholds``: the score of each class from which val's F1 at IoU 0.5 is best."""
        return {"thresholds": metric.thresholds()}

    def figures(self, stage: Stage) -> dict[str, Any]:
        """``pr_curves``: precision over recall a class; ``errors``: what is wrong with the wrong detections."""
        tables = self.tables(stage)
        return {
            "pr_curves": charts_detection.pr_curves(tables["pr_curves"], tables["per_class"]),
            "errors": charts_detection.errors(tables["errors"], tables["errors_by_class"]),
        }
