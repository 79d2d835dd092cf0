"""Distillation: a small student learns to do what a teacher does (arXiv 1704.04861, sections 4.5 and 4.7)."""

from mobilevision.distill.distiller import Distiller, PartDistillers, order
from mobilevision.distill.objectives import Detections, Embeddings, FeatureMaps, Logits, Objective, Outputs
from mobilevision.distill.teacher import KnownOutputs, ModelOutputs, ModelTeacher, Teacher

__all__ = [
    "Detections",
    "Distiller",
    "Embeddings",
    "FeatureMaps",
    "KnownOutputs",
    "Logits",
    "ModelOutputs",
    "ModelTeacher",
    "Objective",
    "Outputs",
    "PartDistillers",
    "Teacher",
    "order",
]
