"""Losses: objects of their own that a task is given; each returns its parts by name."""

from mobilevision.losses.attributes import AttributeCrossEntropy
from mobilevision.losses.cross_entropy import CrossEntropy
from mobilevision.losses.loss import Loss
from mobilevision.losses.multibox import MultiBox

__all__ = ["AttributeCrossEntropy", "CrossEntropy", "Loss", "MultiBox"]
