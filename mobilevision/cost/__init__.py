"""What a model costs before it is trained: parameters, mult-adds, memory of activations, size of its file."""

from mobilevision.cost.counting import count, kept_for_backward
from mobilevision.cost.layers import BYTES, Activations, Cost, LayerCost, Share
from mobilevision.cost.trace import Unfilled

__all__ = ["BYTES", "Activations", "Cost", "LayerCost", "Share", "Unfilled", "count", "kept_for_backward"]
