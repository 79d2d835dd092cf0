"""Random changes of training images, each a function of (seed, epoch, index) alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from mobilevision.data.targets import Placement
from mobilevision.data.view import Sample, View
from mobilevision.images.framing import CropBox, Frame
from mobilevision.images.pixels import GREY, Pixels, on_canvas
from mobilevision.ranges import Items, NonNegativeFloat, PositiveFloat, PositiveShare, Range, Share, check_ranges

LARGE = 512  # shorter side in pixels
LEAST_ALPHA = 1e-3  # of mixup and CutMix: below it shares are 0 or 1, and the beta distribution cannot be drawn from

CropScale = Annotated[Sequence[PositiveShare], Items(2, 2, ascending=True)]
CropRatio = Annotated[Sequence[PositiveFloat], Items(2, 2, ascending=True)]


@final
class Augment:
    """What is drawn at random for each training image, and how two images of a batch are mixed.

    The crop is drawn before anything is decoded, so that only the part needed is. Changes of pixels come after the
    resize, on the small image. What has its place in the image moves along
    (:class:`mobilevision.data.targets.Targets`, and boxes); labels of the whole image stay.

    Args:
        crop_scale: bounds of the crop's area over the image's area (Inception's crop, arXiv:1409.4842); None takes
            the centre as evaluation does.
        crop_ratio: bounds of the crop's width over height, relative to the model's input.
        flip: probability of a mirror image.
        color_jitter: brightness, contrast and saturation vary by up to this share; 0 for none.
        rand_augment: magnitude of RandAugment (arXiv:1909.13719), 0 to 30; 0 for none.
        rand_augment_ops: how many of its operations an image gets.
        erasing: probability that a rectangle is greyed out (arXiv:1708.04896).
        mixup: alpha of mixup (arXiv:1710.09412); 0 for none.
        cutmix: alpha of CutMix (arXiv:1905.04899); 0 for none. With both, each batch takes one of them.

    Raises:
        UserError: bounds or probabilities that make no sense.
    """

    kinds: ClassVar[tuple[str, ...] | None] = None  # targets move along, or stay as they are: see Targets

    @check_ranges("augment")
    def __init__(
        self,
        *,
        crop_scale: CropScale | None = (0.5, 1.0),
        crop_ratio: CropRatio = (3 / 4, 4 / 3),
        flip: Share = 0.5,
        color_jitter: Share = 0.0,
        rand_augment: Annotated[int, Range(min=0, max=30)] = 0,
        rand_augment_ops: Annotated[int, Range(min=1, max=14)] = 2,
        erasing: Share = 0.0,
        mixup: NonNegativeFloat = 0.0,
        cutmix: NonNegativeFloat = 0.0,
    ) -> None:
        self.crop_scale = None if crop_scale is None else (crop_scale[0], crop_scale[1])
        self.crop_ratio = (crop_ratio[0], crop_ratio[1])
        self.flip, self.mixup, self.cutmix = flip, mixup, cutmix
        changes: list[Callable[[Tensor], Tensor]] = []
        if color_jitter:
            changes.append(v2.ColorJitter(color_jitter, color_jitter, color_jitter))
        if rand_augment:
            bilinear = v2.InterpolationMode.BILINEAR
            changes.append(v2.RandAugment(rand_augment_ops, rand_augment, interpolation=bilinear, fill=float(GREY)))
        self.coloured = bool(changes)
        self.warps = bool(rand_augment)  # some of its operations turn, shear or shift the image, and no target
        if erasing:
            changes.append(v2.RandomErasing(erasing, value=float(GREY)))
        self._changes = changes

    def sample(self, view: View, index: int, rng: np.random.Generator) -> Sample:
        """See :class:`~mobilevision.data.view.Augmentation`."""
        height, width = view.resolution
        shape = view.records.shape(index)  # before the pixels, which close the file
        box, flip = self.draw(rng, *shape, aspect=width / height)
        where = view.frame(index) if box is None else Frame(box, view.resolution)
        target = view.placed(index, where, mirrored=flip, training=True)
        pixels = on_canvas(view.records.pixels(index, box=where.box, size=where.size), where, view.resolution)
        placement = Placement(where, flip, shape, view.resolution, training=True)
        return Sample(self.pixels(mirrored(pixels) if flip else pixels, rng), target, placement)

    def draw(
        self, rng: np.random.Generator, height: int, width: int, aspect: float = 1.0
    ) -> tuple[CropBox | None, bool]:
        """Draw a crop of an image of ``height`` x ``width`` pixels and whether to flip it.

        Args:
            rng: where the randomness comes from.
            height: of the image, pixels.
            width: of the image, pixels.
            aspect: width over height of the model's input.

        Returns:
            The box (x, y, w, h) in whole pixels, or None for the centre; and the flip.
        """
        flip = bool(rng.random() < self.flip)
        if self.crop_scale is None:
            return None, flip
        # On a large image the crop lies on the grid of JPEG blocks, so that a decoder can shrink by 8 exactly.
        step = 8 if min(height, width) >= LARGE else 1
        low, high = (math.log(bound * aspect) for bound in self.crop_ratio)
        for _ in range(10):
            area = height * width * rng.uniform(*self.crop_scale)
            ratio = math.exp(rng.uniform(low, high))
            w, h = step * round(math.sqrt(area * ratio) / step), step * round(math.sqrt(area / ratio) / step)
            if 0 < w <= width and 0 < h <= height:
                x, y = rng.integers((width - w) // step + 1), rng.integers((height - h) // step + 1)
                return (float(step * x), float(step * y), float(w), float(h)), flip
        w, h = min(width, round(height * math.exp(high))), min(height, round(width / math.exp(low)))
        return (float((width - w) // 2), float((height - h) // 2), float(max(w, 1)), float(max(h, 1))), flip

    def pixels(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        """Change a resized image, uint8 [h, w, channels]; gives it back as it is when nothing is switched on."""
        if not self._changes:
            return pixels
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
        with _seeded(int(rng.integers(2**63))):
            for change in self._changes:
                image = change(image)
        return image.permute(1, 2, 0).numpy()

    def mix(
        self, images: Tensor, targets: Tensor, num_classes: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mix the images of a batch, on the device they are on.

        Args:
            images: uint8 or float [B, C, H, W], values 0 to 255.
            targets: int64 [B], or float [B, num_classes].
            num_classes: number of classes.
            generator: on the CPU; where the randomness comes from.

        Returns:
            Images (float where mixup was drawn) and float targets [B, num_classes].
        """
        if targets.ndim == 1:
            targets = torch.nn.functional.one_hot(targets, num_classes).float()
        ways: list[Any] = [v2.MixUp(alpha=max(float(self.mixup), LEAST_ALPHA))] if self.mixup else []
        ways += [v2.CutMix(alpha=max(float(self.cutmix), LEAST_ALPHA))] if self.cutmix else []
        if not ways or len(images) < 2:
            return images, targets
        with _seeded(int(torch.randint(2**62, (), generator=generator))):
            way = ways[int(torch.randint(len(ways), ()))]
            images, targets = way(images.float() if isinstance(way, v2.MixUp) else images, targets)
        return images, targets

    @property
    def mixes(self) -> bool:
        """Whether :meth:`mix` does anything."""
        return bool(self.mixup or self.cutmix)


def mirrored(pixels: Pixels) -> Pixels:
    """Left and right swapped; by torch, because NumPy copies a mirrored view byte by byte, fifteen times slower."""
    result: Pixels = torch.from_numpy(pixels).flip(1).numpy()
    return result


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    # torchvision draws from torch's global generator: lend it a seed of our own and put it back as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
