"""Data: formats that read places, records that are splits, and the module that gives batches."""

from mobilevision.data.augment import Augment
from mobilevision.data.box_augment import BoxAugment
from mobilevision.data.coordinates import CellOptions
from mobilevision.data.module import DataModule
from mobilevision.data.records import Box, Pixels, Problem, Records, Splits

__all__ = ["Augment", "Box", "BoxAugment", "CellOptions", "DataModule", "Pixels", "Problem", "Records", "Splits"]
