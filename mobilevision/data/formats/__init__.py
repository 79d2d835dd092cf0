"""The data formats: each reads one way of laying out data into splits."""

from mobilevision.data.formats.base import DataFormat
from mobilevision.data.formats.shapes import Shapes

__all__ = ["DataFormat", "Shapes"]
