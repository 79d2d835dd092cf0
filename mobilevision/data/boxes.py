"""Boxes of many images as flat arrays, and of some images as one padded batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from mobilevision.images.framing import Affine, CropBox, Frame, frame
from mobilevision.ops.boxes import area as box_area
from mobilevision.ops.boxes import clip

if TYPE_CHECKING:
    from mobilevision.data.records import Records
    from mobilevision.spec import DataSpec

Target = dict[str, torch.Tensor]
"""The boxes of a batch, padded to the image with the most (M of them, at least 1).

- ``boxes``: float32 [B, M, 4], (left, top, right, bottom) in pixels of the model's input; 0 where there is none
- ``labels``: int64 [B, M], class numbers; -1 where there is no box
- ``crowd``: bool [B, M], a region with many objects of the class: neither to be found nor wrong to be found
- ``difficult``: bool [B, M], learnt from, but left out of the evaluation
- ``original``: float64 [B, M, 4], the same boxes in upright pixels of the image itself, as annotated
- ``area``: float64 [B, M], area in the image, of the object's outline where the data knows it
- ``frame``: float64 [B, 4], the :class:`~mobilevision.images.framing.Affine` from image to input
- ``size``: int64 [B, 2], (height, width) of the image
- ``image``: int64 [B], place in the data set
"""


@final
@dataclass(frozen=True)
class Boxes:
    """The boxes of one image; all arrays have the box first.

    Attributes:
        boxes: float64 [n, 4], (left, top, right, bottom) in upright pixels of the image.
        labels: int64 [n], class numbers.
        crowd: bool [n].
        difficult: bool [n].
        area: float64 [n], square pixels.
    """

    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    difficult: NDArray[np.bool_]
    area: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Any) -> Boxes:
        """Some of the boxes."""
        return Boxes(self.boxes[rows], self.labels[rows], self.crowd[rows], self.difficult[rows], self.area[rows])


@final
class BoxTargets:
    """The boxes of every sample of a split, in flat arrays that worker processes share.

    Args:
        counts: int64 [n], boxes of each sample; 0 for an image without any.
        boxes: the boxes of all samples, in their order.
    """

    ndim = 2  # no class a sample: whoever asks arrays for their dimensions asks this too

    def __init__(self, counts: NDArray[np.int64], boxes: Boxes) -> None:
        self.offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
        self.all = boxes

    @classmethod
    def of(cls, images: Sequence[Boxes]) -> BoxTargets:
        """The boxes of some images."""
        counts = np.array([len(each) for each in images], dtype=np.int64)
        return cls(counts, concatenate(images))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: Any) -> Any:
        """The :class:`Boxes` of one sample, or the :class:`BoxTargets` of an array of them."""
        if isinstance(index, int | np.integer):
            return self.all[self.offsets[index] : self.offsets[index + 1]]
        rows = np.asarray(index)
        starts, counts = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        places = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        return BoxTargets(counts, self.all[places])

    def renumbered(self, numbers: NDArray[np.int64]) -> BoxTargets:
        """The same boxes with class ``numbers[label]`` instead of ``label``."""
        return BoxTargets(np.diff(self.offsets), replace(self.all, labels=numbers[self.all.labels]))


def boxes_a_class(targets: BoxTargets, classes: int) -> tuple[int, ...]:
    """How many boxes each of ``classes`` classes has, regions that hold a crowd not counted."""
    single = targets.all.labels[~targets.all.crowd]
    return tuple(np.bincount(single, minlength=classes).tolist())


def boxes_in_input(
    records: Records, spec: DataSpec, *, crop: float = 1.0, images: int = 10_000
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Boxes as they lie in the model's input in an evaluation, without crowds and without those of no area.

    Args:
        records: of a split with boxes.
        spec: its fit and the input's resolution.
        crop: share of the shorter side that is looked at, where the fit is ``crop``.
        images: at most so many images, evenly spread over the split.

    Returns:
        float64 [n, 4], (left, top, right, bottom) in pixels of the input; int64 [n], class indices.
    """
    rows = np.unique(np.linspace(0, len(records) - 1, min(len(records), images)).astype(int)).tolist()
    parts, labels = [np.zeros((0, 4))], [np.zeros(0, np.int64)]
    for index in rows:
        boxes = records.targets[index]
        boxes = boxes[~boxes.crowd]
        where = frame(records.shape(index), spec.resolution, fit=spec.fit, crop=crop).to_input
        parts.append(clip(where.boxes(boxes.boxes), spec.resolution))
        labels.append(boxes.labels)
    found, classes = np.concatenate(parts), np.concatenate(labels)
    kept = (found[:, 2:] > found[:, :2]).all(axis=1)
    return found[kept], classes[kept]


def concatenate(parts: Sequence[Boxes]) -> Boxes:
    """All boxes of all parts, in order; none of no parts."""
    parts = parts or [empty()]
    return Boxes(*(np.concatenate([getattr(each, field.name) for each in parts]) for field in fields(Boxes)))


def empty() -> Boxes:
    """No boxes."""
    none = np.zeros(0, dtype=bool)
    return Boxes(np.zeros((0, 4)), np.zeros(0, dtype=np.int64), none, none, np.zeros(0))


def boxes_of(boxes: Any, labels: Any, *, crowd: Any = None, difficult: Any = None, area: Any = None) -> Boxes:
    """Boxes from lists or arrays; flags default to False, areas to those of the boxes."""
    corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    none = np.zeros(len(corners), dtype=bool)
    return Boxes(
        corners,
        np.asarray(labels, dtype=np.int64).reshape(-1),
        none if crowd is None else np.asarray(crowd, dtype=bool),
        none if difficult is None else np.asarray(difficult, dtype=bool),
        box_area(corners) if area is None else np.asarray(area, dtype=np.float64),
    )


@final
@dataclass(frozen=True)
class Framed:
    """The boxes of one sample as the model is to see them.

    Attributes:
        inputs: float64 [n, 4], the boxes in pixels of the input, none reaching beyond it.
        boxes: the same boxes as annotated.
        frame: from image to input.
        shape: (height, width) of the image.
    """

    inputs: NDArray[np.float64]
    boxes: Boxes
    frame: Affine
    shape: tuple[int, int]


def collate(samples: Sequence[Framed], indices: Sequence[int]) -> Target:
    """The target of a batch.

    Args:
        samples: one an image.
        indices: places in the data set.
    """
    most = max([1, *(len(sample.inputs) for sample in samples)])

    def padded(values: Sequence[Any], fill: float, kind: Any, *inner: int) -> torch.Tensor:
        array = np.full((len(values), most, *inner), fill, dtype=kind)
        for row, value in zip(array, values, strict=True):
            row[: len(value)] = value
        return torch.from_numpy(array)

    annotated = [sample.boxes for sample in samples]
    return {
        "boxes": padded([sample.inputs for sample in samples], 0, np.float32, 4),
        "labels": padded([each.labels for each in annotated], -1, np.int64),
        "crowd": padded([each.crowd for each in annotated], False, np.bool_),
        "difficult": padded([each.difficult for each in annotated], False, np.bool_),
        "original": padded([each.boxes for each in annotated], 0, np.float64, 4),
        "area": padded([each.area for each in annotated], 0, np.float64),
        "frame": torch.tensor([tuple(sample.frame) for sample in samples], dtype=torch.float64).reshape(-1, 4),
        "size": torch.tensor([sample.shape for sample in samples], dtype=torch.int64).reshape(-1, 2),
        "image": torch.tensor(list(indices), dtype=torch.int64),
    }


# What is left of the boxes of an image of which an augmentation shows a part.

LEAST = 1 / 64  # pixels of the input: a side as float32 keeps it apart from 0, also at the far end of the input


def seen(boxes: Boxes, part: CropBox, shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The boxes that a part of an image shows: those with their centre in it, and crowds of which it shows anything.

    Args:
        boxes: of the image.
        part: (x, y, width, height) in its pixels.
        shape: (height, width) of the image.

    Returns:
        int64 [k], which boxes; float64 [k, 4], what is seen of each, in pixels of the image.
    """
    inside = clip(boxes.boxes, shape)
    low = np.array(part[:2])
    high = low + part[2:]
    centre = (inside[:, :2] + inside[:, 2:]) / 2
    centred = ((low < centre) & (centre < high)).all(1)
    left_top, right_bottom = np.maximum(inside[:, :2], low), np.minimum(inside[:, 2:], high)
    touched = (left_top < right_bottom).all(1)
    rows = np.flatnonzero(touched & (centred | boxes.crowd))
    return rows, np.concatenate([left_top, right_bottom], axis=1)[rows]


def shown(
    boxes: Boxes, where: Frame, shape: tuple[int, int], *, min_visible: float = 0.0, min_side: float = 0.0
) -> Boxes:
    """The boxes in pixels of the input, cut to what is shown of them, none without area.

    Args:
        boxes: of the image.
        where: how the image lies in the input.
        shape: (height, width) of the image.
        min_visible: a box of which a smaller share is shown is to be ignored, as a crowd is.
        min_side: likewise one whose shorter side is smaller, in pixels of the input.
    """
    rows, parts = seen(boxes, where.box, shape)
    inputs = widened(where.to_input.boxes(parts), where)
    share = box_area(parts) / box_area(clip(boxes.boxes[rows], shape))
    faint = (share < min_visible) | ((inputs[:, 2:] - inputs[:, :2]).min(1, initial=np.inf) < min_side)
    kept = boxes[rows]
    return replace(kept, boxes=inputs, crowd=kept.crowd | faint, area=box_area(inputs))


def widened(inputs: NDArray[np.float64], where: Frame) -> NDArray[np.float64]:
    """Boxes with sides of at least 1/64 of a pixel, within the place that the image has in the input."""
    low = np.array([where.place[1], where.place[0]], dtype=np.float64)
    high = low + where.size[::-1]
    left_top = np.clip(inputs[:, :2], low, high - LEAST)
    return np.concatenate([left_top, np.clip(inputs[:, 2:], left_top + LEAST, high)], axis=1)


def mirrored_boxes(boxes: Boxes, width: int) -> Boxes:
    """Boxes of an image of ``width`` pixels whose left and right were swapped."""
    left, top, right, bottom = boxes.boxes.T
    return replace(boxes, boxes=np.stack([width - right, top, width - left, bottom], axis=1))


def as_drawn(boxes: Boxes, resolution: tuple[int, int]) -> Framed:
    """The target of an augmented sample, which counts as an image of its own.

    Args:
        boxes: in pixels of the input.
        resolution: (height, width) of the input.
    """
    return Framed(boxes.boxes, boxes, Affine(1.0, 1.0, 0.0, 0.0), resolution)
