"""Losses: objects of their own that a task is given; each returns its parts by name."""

from mobilevision.losses.attributes import AttributeCrossEntropy
from mobilevision.losses.cross_entropy import CrossEntropy
from mobilevision.losses.loss import Loss
from mobilevision.losses.multibox import MultiBox
from mobilevision.losses.noisy_labels import Bootstrap, SmallLoss
from mobilevision.losses.task_aligned import TaskAligned

__all__ = ["AttributeCrossEntropy", "Bootstrap", "CrossEntropy", "Loss", "MultiBox", "SmallLoss", "TaskAligned"]
