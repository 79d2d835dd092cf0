"""Metrics: torchmetrics objects that add up over batches and processes."""

from mobilevision.metrics.attributes import AttributeMetrics
from mobilevision.metrics.classification import ClassificationMetrics
from mobilevision.metrics.detection import DetectionMetrics
from mobilevision.metrics.metric import StageMeter, TaskMetric

__all__ = ["AttributeMetrics", "ClassificationMetrics", "DetectionMetrics", "StageMeter", "TaskMetric"]
