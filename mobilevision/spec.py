"""What the parts of a model tell each other: shapes, classes and features.

Nothing here computes anything. A data set states a :class:`DataSpec`, a backbone a :class:`BackboneSpec`; a head
states which :class:`Needs` it has of a backbone and is handed :class:`Features`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple

from torch import Tensor

OutputKind = Literal["softmax", "sigmoid", "embedding", "detections"]
"""What a task's raw outputs are: logits [B, K] of classes that exclude each other, logits [B, K] of yes-or-no
questions, a vector [B, D] that stands for the image, or a detector's candidates."""


LARGEST = 16_384  # side of an input, in pixels, that a checkpoint may state


@dataclass(frozen=True)
class DataSpec:
    """What a data set knows of itself; it travels in every checkpoint.

    Attributes:
        kind: what is learnt from: ``class``, ``attributes``, ``identity``, ``coordinate`` or ``boxes``.
        classes: the class names, in the order of the model's outputs.
        channels: channels of an image, 1 to any number.
        resolution: (height, width) of the model's input in pixels.
        counts: training samples a class, in the order of ``classes``; empty where that says nothing.
        fit: how an image comes to lie in the input: ``crop`` (its centre, as classifiers look at it), ``stretch`` (all
            of it, whatever its aspect) or ``letterbox`` (all of it, grey at two sides).
        known: for ``attributes``, training samples whose value is known, an attribute; ``counts`` of them have it.
        groups: the coarser class of each class, such as its species; empty where there is none.
        cells: for ``coordinate``, the cells of Earth in the order of ``classes``, which are their tokens: plain values,
            as :meth:`mobilevision.geo.partition.Cells.to_dict` gives them.
        white_level: the value that becomes 255 in images of more than 8 bits; None where the data had none.
        facts: what else the data says and predictions need, such as the lines between keypoints; plain, no tuples.
        parts: for ``multitask``, the same of each part's data, by the part's name; ``classes`` are then ``part/class``.
    """

    kind: str
    classes: tuple[str, ...]
    channels: int
    resolution: tuple[int, int]
    counts: tuple[int, ...] = ()
    fit: str = "crop"
    known: tuple[int, ...] = ()
    groups: tuple[str, ...] = ()
    cells: dict[str, Any] | None = field(default=None, repr=False)
    white_level: float | None = None
    facts: dict[str, Any] = field(default_factory=dict, repr=False)
    parts: Mapping[str, DataSpec] = field(default_factory=dict)

    def at_resolution(self, resolution: tuple[int, int]) -> DataSpec:
        """The same at another size of the input; a part with a size of its own keeps it."""
        shared = {name: part for name, part in self.parts.items() if part.resolution == self.resolution}
        moved = {name: replace(part, resolution=resolution) for name, part in shared.items()}
        return replace(self, resolution=resolution, parts={**self.parts, **moved})

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and strings, as checkpoints that load with ``weights_only=True`` need them."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "parts"}
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
        return {**plain, "parts": {name: part.to_dict() for name, part in self.parts.items()}} if self.parts else plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DataSpec:
        """Undo :meth:`to_dict`.

        Raises:
            ValueError: names that are no texts, or sides or channels that no model has.
        """
        height, width = values["resolution"]
        sizes = {"height": height, "width": width, "channels": values["channels"]}
        for name, size in sizes.items():
            if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= LARGEST:
                raise ValueError(f"{name} is {size!r}, not a number from 1 to {LARGEST}")
        if not all(isinstance(name, str) for name in (values["kind"], *values["classes"])):
            raise ValueError("its kind and its classes are not all texts")
        return cls(
            kind=values["kind"],
            classes=tuple(values["classes"]),
            channels=values["channels"],
            resolution=(height, width),
            fit=values.get("fit", "crop"),
            **{name: tuple(values.get(name, ())) for name in ("counts", "known", "groups")},
            cells=values.get("cells"),
            white_level=values.get("white_level"),
            facts=dict(values.get("facts") or {}),
            parts={str(name): cls.from_dict(part) for name, part in dict(values.get("parts") or {}).items()},
        )


class EntryChannels(NamedTuple):
    """Channels of the first block at a stride, an inverted residual.

    Attributes:
        expanded: to which it expands its input, at half the stride.
        output: that it gives.
    """

    expanded: int
    output: int


@dataclass(frozen=True)
class BackboneSpec:
    """What a head may ask of a backbone.

    Attributes:
        width: length of the pooled feature vector.
        strides: for each stride at which there is a feature map, its number of channels.
        tail: channels that the last stage gives when it is handed on to a head (see ``Needs.tail``); None where it
            cannot be.
        entries: for each stride whose first block can be looked into (see ``Needs.entries``), its channels.
        multiplier: the width multiplier, a factor on the channels of the plain architecture (arXiv 1704.04861, section
            3.3).
    """

    width: int
    strides: Mapping[int, int] = field(default_factory=dict)
    tail: int | None = None
    entries: Mapping[int, EntryChannels] = field(default_factory=dict)
    multiplier: float = 1.0


@dataclass(frozen=True)
class Needs:
    """What a head takes from one backbone pass: maps at these strides, and perhaps the pooled vector.

    With ``tail``, the head is also handed the backbone's last stage, at stride 1, as a module of its own: the second
    stage of Faster R-CNN runs it on each region. ``entries`` are strides of which the maps inside and behind the first
    block are wanted, too: detectors read them before the deeper blocks (Howard et al., arXiv 1905.02244, section 6.3).

    ``output_stride`` is for dense predictions: stages of a larger stride keep the maps that large, and their
    convolutions are dilated instead (Chen et al., arXiv 1706.05587, section 3.1). Their maps keep the name of the
    stride that they would have.
    """

    strides: tuple[int, ...] = ()
    pooled: bool = False
    tail: bool = False
    entries: tuple[int, ...] = ()
    output_stride: int | None = None

    def __or__(self, other: Needs) -> Needs:
        """The needs of two heads that share one backbone pass."""
        strides = tuple(sorted({*self.strides, *other.strides}))
        entries = tuple(sorted({*self.entries, *other.entries}))
        output_stride = self.output_stride or other.output_stride
        return Needs(strides, self.pooled or other.pooled, self.tail or other.tail, entries, output_stride)


class Inside(NamedTuple):
    """What a map of a first block is called among a backbone's maps.

    Attributes:
        stride: whose first block it is.
        part: ``expanded``, of half the stride, or ``output``; see :class:`EntryChannels`.
    """

    stride: int
    part: Literal["expanded", "output"]


class Features(NamedTuple):
    """What one backbone pass gives.

    Attributes:
        maps: stride -> float tensor [batch, channels, ceil(height / stride), ceil(width / stride)] (larger where
            ``Needs.output_stride`` asked for it); and those of first blocks, where somebody asked for them.
        pooled: float tensor [batch, width], or None where nobody asked for it.
    """

    maps: dict[int | Inside, Tensor]
    pooled: Tensor | None


class PartFeatures(NamedTuple):
    """What several passes over the same images give, where parts see them at sides of their own.

    Attributes:
        shared: of the pass at the input's size; without anything in it where no part looks at that.
        at: of the others, by (height, width) in pixels.
    """

    shared: Features
    at: Mapping[tuple[int, int], Features]

    def of(self, side: tuple[int, int] | None) -> Features:
        """Those of one pass; None: the shared one."""
        return self.shared if side is None else self.at[side]


FeatureExtractor = Callable[[Tensor, Needs], Features]
"""Features of images [B, C, H, W], uint8 or float, 0..255: what a backbone computes."""


class PartOutputs(NamedTuple):
    """Raw outputs of one of several heads.

    Attributes:
        outputs: of the part's head.
        rows: bool [B], the images of the batch whose outputs they are; None: all.
    """

    outputs: Any
    rows: Tensor | None = None


Mix = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
"""Mixes the images [B, C, H, W] and the targets, int64 [B], of a batch and a number of classes K, as mixup and cutmix
do; mixed images and float targets [B, K] out."""
