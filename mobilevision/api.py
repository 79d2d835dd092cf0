"""What plugins build on: every name here keeps its meaning for all of one :data:`VERSION`.

Heads, losses, data formats, metrics, answers and tasks outside this repository import from here, from
:mod:`mobilevision.ranges` and from :mod:`mobilevision.testing`, and from nowhere else; docs/plugins.md lists the names.
A name is imported where it is asked for, so that an answer needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mobilevision.plugins import API_VERSION

if TYPE_CHECKING:
    from mobilevision.backbones import Backbone
    from mobilevision.data import Placement, Problem, Records, Splits, Targets
    from mobilevision.data.boxes import BoxTargets
    from mobilevision.data.data_format import DataFormat
    from mobilevision.data.files import FileRecords, PackedBytes
    from mobilevision.data.formats import CocoJson, Scenes
    from mobilevision.data.formats.annotations.coco_file import CocoObjects
    from mobilevision.data.formats.annotations.splits import image_sizes
    from mobilevision.data.formats.plain_rows import TableRow, table_rows
    from mobilevision.data.formats.scan import split_folders, split_of
    from mobilevision.data.formats.text import is_missing, read_text
    from mobilevision.data.records import Cropped, RecordsAround
    from mobilevision.data.synthetic.drawn import DrawnFormat, DrawnOptions, DrawnRecords, Sizes
    from mobilevision.data.synthetic.painting import backdrop, grain
    from mobilevision.deploy.answers import Agreed, Answer
    from mobilevision.deploy.answers.base import Prediction
    from mobilevision.errors import UnreadableImageError, UserError
    from mobilevision.heads import Head
    from mobilevision.heads.dense import DenseHead, OutputStride, conv_block, separable_block
    from mobilevision.images.decode import open_image
    from mobilevision.images.files import images, printable
    from mobilevision.images.framing import Affine, CropBox, Frame
    from mobilevision.images.pixels import Pixels, resample, to_mode
    from mobilevision.losses import Loss
    from mobilevision.metrics import TaskMetric as Metric
    from mobilevision.metrics.metric import GatheredMetric
    from mobilevision.spec import BackboneSpec, DataSpec, Features, Needs, OutputKind
    from mobilevision.tasks.base import Task
    from mobilevision.visualization.draw import captioned, panels, to_image

VERSION = API_VERSION
"""Raised when a name goes or changes its meaning, one release after a warning says so."""

_STANDS_IN = {
    "mobilevision.backbones": ("Backbone",),
    "mobilevision.data": ("Placement", "Problem", "Records", "Splits", "Targets"),
    "mobilevision.data.boxes": ("BoxTargets",),
    "mobilevision.data.data_format": ("DataFormat",),
    "mobilevision.data.files": ("FileRecords", "PackedBytes"),
    "mobilevision.data.formats": ("CocoJson", "Scenes"),
    "mobilevision.data.formats.annotations.coco_file": ("CocoObjects",),
    "mobilevision.data.formats.annotations.splits": ("image_sizes",),
    "mobilevision.data.formats.plain_rows": ("TableRow", "table_rows"),
    "mobilevision.data.formats.scan": ("split_folders", "split_of"),
    "mobilevision.data.formats.text": ("is_missing", "read_text"),
    "mobilevision.data.records": ("Cropped", "RecordsAround"),
    "mobilevision.data.synthetic.drawn": ("DrawnFormat", "DrawnOptions", "DrawnRecords", "Sizes"),
    "mobilevision.data.synthetic.painting": ("backdrop", "grain"),
    "mobilevision.deploy.answers": ("Agreed", "Answer"),
    "mobilevision.deploy.answers.base": ("Prediction",),
    "mobilevision.errors": ("UnreadableImageError", "UserError"),
    "mobilevision.heads": ("Head",),
    "mobilevision.heads.dense": ("DenseHead", "OutputStride", "conv_block", "separable_block"),
    "mobilevision.images.decode": ("open_image",),
    "mobilevision.images.files": ("images", "printable"),
    "mobilevision.images.framing": ("Affine", "CropBox", "Frame"),
    "mobilevision.images.pixels": ("Pixels", "resample", "to_mode"),
    "mobilevision.losses": ("Loss",),
    "mobilevision.metrics.metric": ("GatheredMetric",),
    "mobilevision.spec": ("BackboneSpec", "DataSpec", "Features", "Needs", "OutputKind"),
    "mobilevision.tasks.base": ("Task",),
    "mobilevision.visualization.draw": ("captioned", "panels", "to_image"),
}
_HERE = {name: (module, name) for module, names in _STANDS_IN.items() for name in names}
_HERE["Metric"] = ("mobilevision.metrics", "TaskMetric")

__all__ = [  # as above, and a test compares both
    "VERSION",
    "Affine",
    "Agreed",
    "Answer",
    "Backbone",
    "BackboneSpec",
    "BoxTargets",
    "CocoJson",
    "CocoObjects",
    "CropBox",
    "Cropped",
    "DataFormat",
    "DataSpec",
    "DenseHead",
    "DrawnFormat",
    "DrawnOptions",
    "DrawnRecords",
    "Features",
    "FileRecords",
    "Frame",
    "GatheredMetric",
    "Head",
    "Loss",
    "Metric",
    "Needs",
    "OutputKind",
    "OutputStride",
    "PackedBytes",
    "Pixels",
    "Placement",
    "Prediction",
    "Problem",
    "Records",
    "RecordsAround",
    "Scenes",
    "Sizes",
    "Splits",
    "TableRow",
    "Targets",
    "Task",
    "UnreadableImageError",
    "UserError",
    "backdrop",
    "captioned",
    "conv_block",
    "grain",
    "image_sizes",
    "images",
    "is_missing",
    "open_image",
    "panels",
    "printable",
    "read_text",
    "resample",
    "separable_block",
    "split_folders",
    "split_of",
    "table_rows",
    "to_image",
    "to_mode",
]


def __getattr__(name: str) -> Any:
    """The names above, imported where they are asked for."""
    if name not in _HERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, inside = _HERE[name]
    return getattr(import_module(module), inside)
