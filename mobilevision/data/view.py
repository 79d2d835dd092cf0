"""The samples of a split as the model sees them: exactly in evaluation, augmented in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, final

import numpy as np
import torch
from torch import Tensor

from mobilevision.data.boxes import BoxTargets, Framed, as_drawn, collate, mirrored_boxes, shown
from mobilevision.data.coordinates import CoordinateTargets
from mobilevision.data.identities import IdentityTargets
from mobilevision.data.records import Records
from mobilevision.data.targets import Placement, Targets
from mobilevision.images.framing import Frame, frame
from mobilevision.images.pixels import Pixels, on_canvas
from mobilevision.ops.boxes import clip


class Sample(NamedTuple):
    """One sample as the model gets it.

    Attributes:
        pixels: uint8 [height, width, channels].
        target: the sample's boxes, or what else has its place in ``pixels`` (:meth:`Targets.placed`); None where the
            target is a label of the whole image, which the records know by its number.
        placement: how the image lies in ``pixels``, for what else is known of it; None where one does not say it all.
    """

    pixels: Pixels
    target: Any = None
    placement: Placement | None = None


@final
class View:
    """The samples of a split at the size of the model's input.

    Args:
        records: the split.
        channels: channels of an image.
        resolution: (height, width) of the model's input in pixels.
        fit: see :func:`mobilevision.images.framing.frame`.
        crop: for ``fit=crop``, share of the shorter side that is looked at.
    """

    def __init__(
        self, records: Records, *, channels: int, resolution: tuple[int, int], fit: str = "crop", crop: float = 1.0
    ) -> None:
        self.records, self.channels, self.resolution, self.fit, self.crop = records, channels, resolution, fit, crop

    def frame(self, index: int) -> Frame:
        """Where evaluation puts an image.

        Raises:
            UnreadableImageError: the image cannot be read.
        """
        return frame(self.records.shape(index), self.resolution, fit=self.fit, crop=self.crop)

    def sample(self, index: int) -> Sample:
        """An image as every evaluation looks at it, to the bit; all its boxes stay, also those outside a crop.

        Raises:
            UnreadableImageError: the image cannot be read.
        """
        where = self.frame(index)
        target = self.placed(index, where)  # before the pixels, while the file is open
        part = self.records.pixels(index, box=where.box, size=where.size, exact=True)
        return Sample(on_canvas(part, where, self.resolution), target)

    def placed(self, index: int, where: Frame, *, mirrored: bool = False, training: bool = False) -> Any:
        """A sample's target where its image lies so in the input; None for a label of the whole image.

        Args:
            index: place in the split.
            where: how the image lies in the input.
            mirrored: whether left and right of the input are swapped after that.
            training: whether an augmentation drew this: of boxes, only those whose centre is shown are left then.
        """
        targets = self.records.targets
        if isinstance(targets, Targets):
            shape = self.records.shape(index)
            return targets.placed(index, Placement(where, mirrored, shape, self.resolution, training))
        if not isinstance(targets, BoxTargets):
            return None
        if not training:
            return self._framed(index, where)
        left = shown(targets[index], where, self.records.shape(index))
        return as_drawn(mirrored_boxes(left, self.resolution[1]) if mirrored else left, self.resolution)

    def targets(self, indices: Sequence[int], drawn: Sequence[Any] = ()) -> Any:
        """The target of a batch: int64 [B] (or what the records hold), or what their targets make of it.

        Args:
            indices: places in the split.
            drawn: the samples' own targets; without them, what has its place lies as in an evaluation.
        """
        targets = self.records.targets
        if isinstance(targets, IdentityTargets | CoordinateTargets):
            return targets.tensor(indices)
        if not isinstance(targets, BoxTargets | Targets):
            return torch.as_tensor(targets[list(indices)])
        lying = drawn or [self.placed(index, self.frame(index)) for index in indices]
        return collate(lying, indices) if isinstance(targets, BoxTargets) else targets.collate(lying)

    def _framed(self, index: int, where: Frame) -> Framed:
        boxes = self.records.targets[index]
        inputs = clip(where.to_input.boxes(boxes.boxes), self.resolution)
        return Framed(inputs, boxes, where.to_input, self.records.shape(index))


class Augmentation(Protocol):
    """Draws training samples; the same ``rng`` draws the same sample.

    Attributes:
        kinds: the only kinds of target that it can handle; None: every kind.
        coloured: whether it changes colours, which takes 1 or 3 channels.

    One that has ``warps`` and sets it moves what is seen where targets do not follow; it is for labels of the whole
    image only.
    """

    kinds: ClassVar[tuple[str, ...] | None]
    coloured: bool

    @property
    def mixes(self) -> bool:
        """Whether :meth:`mix` does anything."""

    def sample(self, view: View, index: int, rng: np.random.Generator) -> Sample:
        """One sample at ``view.resolution``.

        Args:
            view: the split.
            index: place in it.
            rng: where all randomness comes from.

        Raises:
            UnreadableImageError: the image ``index`` cannot be read, and no other.
        """

    def mix(
        self, images: Tensor, targets: Tensor, num_classes: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mix the images of a batch and their classes; see :class:`mobilevision.spec.Mix`."""
