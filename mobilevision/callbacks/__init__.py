"""What watches a training: checkpoints, history, randomness, freezing."""

from mobilevision.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from mobilevision.callbacks.ema import EMA
from mobilevision.callbacks.freeze import Freeze
from mobilevision.callbacks.history import History, MeasuredStart
from mobilevision.callbacks.images import PredictionImages
from mobilevision.callbacks.progress import Progress
from mobilevision.callbacks.randomness import Randomness
from mobilevision.callbacks.stopping import Divergence, EarlyStopping, SafeStop, StopSignals

__all__ = [
    "EMA",
    "BestCheckpoint",
    "Divergence",
    "EarlyStopping",
    "Freeze",
    "History",
    "LastCheckpoint",
    "MeasuredStart",
    "PredictionImages",
    "Progress",
    "Randomness",
    "SafeStop",
    "StopSignals",
]
