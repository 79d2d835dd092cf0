"""Optimisers and learning-rate schedules, as factories that a task calls with its own parameters."""

from mobilevision.optim.optimizers import OptimizerFactory
from mobilevision.optim.schedules import Constant, Cosine, Schedule, Step, optimizer_steps

__all__ = ["Constant", "Cosine", "OptimizerFactory", "Schedule", "Step", "optimizer_steps"]
