"""Data: formats that read places, records that are splits, and the module that gives batches."""

from mobilevision.data.augment import Augment
from mobilevision.data.box_augment import BoxAugment
from mobilevision.data.coordinates import CellOptions
from mobilevision.data.module import DataModule
from mobilevision.data.records import Problem, Records, Splits
from mobilevision.data.targets import Placement, Targets
from mobilevision.images.framing import CropBox
from mobilevision.images.pixels import Pixels

__all__ = [
    "Augment",
    "BoxAugment",
    "CellOptions",
    "CropBox",
    "DataModule",
    "Pixels",
    "Placement",
    "Problem",
    "Records",
    "Splits",
    "Targets",
]
