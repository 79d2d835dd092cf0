"""Boxes round objects: SSD and Faster R-CNN on any backbone (arXiv 1704.04861, section 4.6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast, final

import torch
from torch import Tensor

from mobilevision.heads import DetectionHead
from mobilevision.images.framing import Affine
from mobilevision.metrics import DetectionMetrics, TaskMetric
from mobilevision.spec import Emits
from mobilevision.tasks.base import Batch, Stage, Task
from mobilevision.visualization import charts_detection, draw_boxes

FALLBACK = 0.5  # score from which a detection is shown where val has chosen none


@final
class Detection(Task):
    """Finds objects and says what they are; measured by COCO's twelve numbers."""

    kind: ClassVar[str] = "boxes"
    primary: ClassVar[str] = "map"
    emits: ClassVar[Emits | None] = "detections"
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
        return cast(DetectionHead, self.head).decode(outputs)

    def raw(self, outputs: Any) -> dict[str, Tensor]:
        """``logits`` [B, A, O] and ``deltas`` [B, A, 4] of a one-stage head."""
        return cast(DetectionHead, self.head).raw(outputs)

    def raw_facts(self, outputs: Any) -> dict[str, Any] | None:
        """Anchors and settings; None of a two-stage head, which suppresses boxes on the way."""
        return cast(DetectionHead, self.head).raw_facts(outputs)

    def configure_metrics(self) -> TaskMetric:
        """As in :class:`Task`."""
        return DetectionMetrics(classes=self.data_spec.classes)

    def decide(self, metric: Any) -> dict[str, Any]:
        """``thresholds``: the score of each class from which val's F1 at IoU 0.5 is best."""
        return {"thresholds": metric.thresholds()}

    def locate(self, values: Any, mapping: Affine) -> Any:
        """Boxes moved by ``mapping``; everything else as it is."""
        return {**values, "boxes": mapping.boxes(values["boxes"])}

    def describe(self, prediction: Mapping[str, Tensor]) -> dict[str, Any]:
        """``found``, such as "2 cat, 1 dog", and ``detections``: label, score and box of each, best first."""
        kept = self._kept(prediction)
        rows = [
            {"label": label, "score": round(score, 4), "box": [round(value, 1) for value in box]}
            for label, score, box in kept
        ]
        return {"found": _counted([label for label, *_ in kept]), "detections": rows}

    def draw(self, image: Any, prediction: Mapping[str, Tensor], target: Any = None) -> Any:
        """Truth, where known, and detections side by side; right ones green, wrong ones red, what was missed marked."""
        found = [draw_boxes.Shown(box, label, score) for label, score, box in self._kept(prediction)]
        return draw_boxes.compared(image, prediction=found, truth=None if target is None else self._annotated(target))

    def truth(self, target: Any) -> str:
        """The objects counted by class."""
        return _counted([shown.label for shown in self._annotated(target)])

    def outlines(self, prediction: Mapping[str, Tensor], target: Any) -> dict[str, list[dict[str, Any]]]:
        """Layers ``prediction`` and ``truth``, in the pixels in which the boxes are given."""
        truth = [{"label": shown.label, "box": list(shown.box)} for shown in self._annotated(target)]
        return {"prediction": self.describe(prediction)["detections"], "truth": truth}

    def figures(self, stage: Stage) -> dict[str, Any]:
        """``pr_curves``: precision over recall a class; ``errors``: what is wrong with the wrong detections."""
        tables = self.tables(stage)
        return {
            "pr_curves": charts_detection.pr_curves(tables["pr_curves"], tables["per_class"]),
            "errors": charts_detection.errors(tables["errors"], tables["errors_by_class"]),
        }

    def _kept(self, prediction: Mapping[str, Tensor]) -> list[tuple[str, float, list[float]]]:
        """Label, score and box of the detections that reach the threshold of their class."""
        thresholds: Sequence[float] = self.decision.get("thresholds") or [FALLBACK] * len(self.data_spec.classes)
        rows = zip(*(prediction[key].tolist() for key in ("labels", "scores", "boxes")), strict=True)
        return [
            (self.data_spec.classes[label], score, box)
            for label, score, box in rows
            if label >= 0 and score >= thresholds[label]
        ]

    def _annotated(self, target: Mapping[str, Tensor]) -> list[draw_boxes.Shown]:
        rows = zip(*(target[key].tolist() for key in ("labels", "boxes", "crowd", "difficult")), strict=True)
        return [
            draw_boxes.Shown(box, self.data_spec.classes[label], crowd=crowd, difficult=difficult)
            for label, box, crowd, difficult in rows
            if label >= 0
        ]


def _counted(labels: Sequence[str]) -> str:
    """``2 cat, 1 dog``; ``nothing`` of no labels."""
    return ", ".join(f"{count} {label}" for label, count in Counter(labels).most_common()) or "nothing"
