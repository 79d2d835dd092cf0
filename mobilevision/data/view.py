"""How the model looks at the samples of a split: in an evaluation exactly, in training by an augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, final

import numpy as np
import torch
from torch import Tensor

from mobilevision.data.boxes import BoxTargets, Framed, collate
from mobilevision.data.coordinates import CoordinateTargets
from mobilevision.data.identities import IdentityTargets
from mobilevision.data.records import Records
from mobilevision.images.framing import Frame, frame
from mobilevision.images.pixels import Pixels, on_canvas
from mobilevision.ops.boxes import clip


class Sample(NamedTuple):
    """One sample as the model gets it.

    Attributes:
        pixels: uint8 [height, width, channels].
        target: the sample's boxes as they lie in ``pixels``; None where the records know the target by its number.
    """

    pixels: Pixels
    target: Framed | None = None


@final
class View:
    """The samples of a split at the size of the model's input.

    Args:
        records: the split.
        channels: channels of a picture.
        resolution: (height, width) of the model's input in pixels.
        fit: see :func:`mobilevision.images.framing.frame`.
        crop: for ``fit=crop``, share of the shorter side that is looked at.
    """

    def __init__(
        self, records: Records, *, channels: int, resolution: tuple[int, int], fit: str = "crop", crop: float = 1.0
    ) -> None:
        self.records, self.channels, self.resolution, self.fit, self.crop = records, channels, resolution, fit, crop
        self.boxed = isinstance(records.targets, BoxTargets)

    def frame(self, index: int) -> Frame:
        """Where evaluation puts a picture.

        Raises:
            UnreadablePictureError: the picture cannot be read.
        """
        return frame(self.records.shape(index), self.resolution, fit=self.fit, crop=self.crop)

    def sample(self, index: int) -> Sample:
        """A picture as every evaluation looks at it, to the bit; all its boxes stay, also those outside a crop.

        Raises:
            UnreadablePictureError: the picture cannot be read.
        """
        where = self.frame(index)
        target = self._framed(index, where) if self.boxed else None  # before the pixels, while the file is open
        part = self.records.pixels(index, box=where.box, size=where.size, exact=True)
        return Sample(on_canvas(part, where, self.resolution), target)

    def targets(self, indices: Sequence[int], drawn: Sequence[Framed | None] = ()) -> Any:
        """The target of a batch: int64 [B] (or what the records hold), or what identities, places or boxes make of it.

        Args:
            indices: places in the split.
            drawn: the samples' own targets; without them, boxes lie as in an evaluation.
        """
        if isinstance(self.records.targets, IdentityTargets | CoordinateTargets):
            return self.records.targets.tensor(indices)
        if not self.boxed:
            return torch.as_tensor(self.records.targets[list(indices)])
        lying = drawn or [self._framed(index, self.frame(index)) for index in indices]
        return collate([each for each in lying if each is not None], indices)

    def _framed(self, index: int, where: Frame) -> Framed:
        boxes = self.records.targets[index]
        inputs = clip(where.to_input.boxes(boxes.boxes), self.resolution)
        return Framed(inputs, boxes, where.to_input, self.records.shape(index))


class Augmentation(Protocol):
    """Draws training samples; the same ``rng`` draws the same sample.

    Attributes:
        kinds: what it can be used to learn from.
        coloured: whether it changes colours, which takes 1 or 3 channels.
    """

    kinds: ClassVar[tuple[str, ...]]
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
            UnreadablePictureError: the picture ``index`` cannot be read, and no other.
        """

    def mix(
        self, images: Tensor, targets: Tensor, num_classes: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mix the pictures of a batch and their classes; see :class:`mobilevision.spec.Mix`."""
