"""Targets that lie somewhere in the image, such as keypoints or a mask: how they follow it into the model's input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import is_dataclass
from typing import Any, NamedTuple, final

import numpy as np
import torch

from mobilevision.errors import UserError
from mobilevision.images.framing import Affine, Frame


@final
class Placement(NamedTuple):
    """How one image lies in the model's input: a part of it, resized, at a place, perhaps mirrored.

    Attributes:
        frame: the part of the upright image, the size that it is resized to, and its place in the input.
        mirrored: whether left and right of the whole input were swapped after that.
        shape: (height, width) of the upright image in pixels.
        resolution: (height, width) of the input in pixels.
        training: whether this was drawn by an augmentation; False in an evaluation.
    """

    frame: Frame
    mirrored: bool
    shape: tuple[int, int]
    resolution: tuple[int, int]
    training: bool

    @property
    def to_input(self) -> Affine:
        """From pixels of the upright image to pixels of the input; ``scale_x`` is negative where it is mirrored."""
        there = self.frame.to_input
        return there.then(Affine(-1.0, 1.0, float(self.resolution[1]), 0.0)) if self.mirrored else there


class Targets(ABC):
    """What is to be learnt of each sample of a split, where it changes with the part of the image that is shown.

    A plain array in :attr:`mobilevision.data.Records.targets`, sample first, needs none of this: it is a label of the
    whole image (a class, an age), which a crop, a flip or another size leaves as it is. Everything that lies *in* the
    image is a class of this kind, which says in :meth:`placed` how it moves; then every augmentation works with it.

    Keep flat arrays, never a Python list with an entry a sample: worker processes share arrays only.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abstractmethod
    def __getitem__(self, index: Any) -> Any:
        """The target of one sample, as annotated; of an int64 array of rows, the targets of these, of this class."""

    @abstractmethod
    def placed(self, index: int, placement: Placement) -> Any:
        """The target of one sample in pixels of the model's input.

        Args:
            index: the sample.
            placement: how its image lies in the input. Points go through ``placement.to_input.points``. A map, such as
                a mask, is cut, resized and mirrored as its image is: see ``placement.frame`` and ``mirrored``.

        Returns:
            An array, or a dict of arrays, of the same shapes for every sample (but see :meth:`collate`).
        """

    def collate(self, samples: Sequence[Any]) -> Any:
        """The ``target`` of a batch from its samples' :meth:`placed`: a tensor, or a dict of tensors, batch first."""
        if isinstance(samples[0], dict):
            return {name: _stacked([sample[name] for sample in samples]) for name in samples[0]}
        return _stacked(samples)

    def extended(self, more: int) -> Targets:
        """The same with ``more`` samples without a label behind them, for ``data.unlabelled``.

        Raises:
            UserError: this class does not say what the target of an image without a label is.
        """
        raise UserError(
            f"data.unlabelled: {type(self).__name__} does not say what stands for {more} images without labels: leave"
            " the key out, or give it a method extended(more)"
        )


def are_classes(targets: Any) -> bool:
    """Whether targets are class indices: a whole number a sample."""
    return isinstance(targets, np.ndarray) and targets.ndim == 1 and targets.dtype.kind in "iu"


def mixable(targets: Any) -> bool:
    """Whether a share of one target and a share of another make one: of classes, and of float rows [n, A]."""
    rows = isinstance(targets, np.ndarray) and targets.ndim == 2 and targets.dtype.kind == "f"
    return rows or are_classes(targets)


def equal(one: Any, other: Any) -> bool:
    """Whether the targets of two samples (arrays, dicts or dataclasses of such) are equal; unknown values (NaN) are."""
    if is_dataclass(one) and is_dataclass(other):
        return type(one) is type(other) and equal(vars(one), vars(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(value, other[name]) for name, value in one.items())
    return np.array_equal(one, other, equal_nan=np.asarray(one).dtype.kind == "f")


def _stacked(values: Sequence[Any]) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(value) for value in values]))
