"""What watches a training: checkpoints, history, randomness, freezing."""

from mobilevision.runs.callbacks.checkpoints import BestCheckpoint, LastCheckpoint, read_checkpoint
from mobilevision.runs.callbacks.ema import EMA
from mobilevision.runs.callbacks.freeze import Freeze
from mobilevision.runs.callbacks.history import History
from mobilevision.runs.callbacks.pictures import Pictures
from mobilevision.runs.callbacks.progress import Progress
from mobilevision.runs.callbacks.randomness import Randomness
from mobilevision.runs.callbacks.start import MeasuredStart
from mobilevision.runs.callbacks.stopping import Divergence, EarlyStopping, SafeStop, StopSignals

__all__ = [
    "EMA",
    "BestCheckpoint",
    "Divergence",
    "EarlyStopping",
    "Freeze",
    "History",
    "LastCheckpoint",
    "MeasuredStart",
    "Pictures",
    "Progress",
    "Randomness",
    "SafeStop",
    "StopSignals",
    "read_checkpoint",
]
