"""The data formats: each reads one way of laying out data into splits."""

from mobilevision.data.formats.auto import Auto
from mobilevision.data.formats.base import DataFormat
from mobilevision.data.formats.celeba import CelebA
from mobilevision.data.formats.cifar10 import Cifar10
from mobilevision.data.formats.folder import ImageFolder
from mobilevision.data.formats.imagenet import ImageNet
from mobilevision.data.formats.oxford_pets import OxfordPets
from mobilevision.data.formats.scenes import Scenes
from mobilevision.data.formats.shapes import Shapes
from mobilevision.data.formats.table import Csv

__all__ = [
    "Auto",
    "CelebA",
    "Cifar10",
    "Csv",
    "DataFormat",
    "ImageFolder",
    "ImageNet",
    "OxfordPets",
    "Scenes",
    "Shapes",
]
