"""Random changes of training pictures with boxes, as SSD's authors (and those of YOLOv4) make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NoReturn, final

import numpy as np
import torch
from torch import Tensor

from mobilevision.data.augment import bounds, mirrored
from mobilevision.data.box_windows import covering, overlapping, zoomed_out
from mobilevision.data.boxes import Boxes
from mobilevision.data.canvas import on_canvas
from mobilevision.data.decode import UnreadablePictureError
from mobilevision.data.geometry import Frame, window_frame
from mobilevision.data.photometric import Photometric
from mobilevision.data.records import Box
from mobilevision.data.seen_boxes import Scene, as_drawn, joined, mirrored_boxes, seen, shown
from mobilevision.data.view import Sample, View
from mobilevision.errors import UserError

MIDDLE = 0.3, 0.7  # where the four pictures of a mosaic meet, as shares of the input's sides


@final
class BoxAugment:
    """What is drawn at random for each training picture with boxes (SSD, arXiv:1512.02325, sections 2.2 and 3.6).

    All is drawn before anything is decoded, so that of each picture one part is decoded and resized once; colours are
    changed on the small result. A box whose centre is not shown is gone, as in SSD; every other one is cut to what is
    shown of it. A crowd region stays as long as anything of it is shown, so that it never becomes background.

    Args:
        iou_crop: probability of a crop that overlaps a box by one of ``overlaps``.
        overlaps: least overlaps to draw from (intersection over union of crop and box); 1.0 leaves the picture whole.
        crop_scale: bounds of the crop's sides over the picture's.
        crop_ratio: bounds of the crop's width over its height.
        zoom_out: probability that the picture is laid on a larger grey ground.
        zoom_out_most: the ground's sides are up to this many times the picture's.
        photometric: probability of each of a change of brightness, contrast, saturation, hue and channel order.
        brightness: see :class:`~mobilevision.data.photometric.Photometric`, as the next three.
        contrast: largest change.
        saturation: largest change.
        hue: largest change.
        flip: probability of a mirror image.
        mosaic: probability that four pictures share the input (YOLOv4, arXiv:2004.10934, section 3.4).
        min_visible: a box of which a smaller share is shown becomes a region to ignore, like a crowd; 0 for none.
        min_side: likewise a box whose shorter side is smaller, in pixels of the input.

    Raises:
        UserError: bounds or probabilities that make no sense.
    """

    kinds: ClassVar[tuple[str, ...]] = ("boxes",)
    mixes: ClassVar[bool] = False

    def __init__(
        self,
        *,
        iou_crop: float = 1.0,
        overlaps: Sequence[float] = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0),
        crop_scale: Sequence[float] = (0.3, 1.0),
        crop_ratio: Sequence[float] = (0.5, 2.0),
        zoom_out: float = 0.5,
        zoom_out_most: float = 4.0,
        photometric: float = 0.5,
        brightness: float = 0.125,
        contrast: float = 0.5,
        saturation: float = 0.5,
        hue: float = 0.05,
        flip: float = 0.5,
        mosaic: float = 0.0,
        min_visible: float = 0.0,
        min_side: float = 1.0,
    ) -> None:
        shares = {
            "iou_crop": iou_crop,
            "zoom_out": zoom_out,
            "flip": flip,
            "mosaic": mosaic,
            "min_visible": min_visible,
        }
        for key, share in shares.items():
            if not 0 <= share <= 1:
                raise UserError(f"augment.{key}={share}: must lie between 0 and 1")
        if zoom_out_most < 1 or min_side < 0:
            key, value = ("zoom_out_most", zoom_out_most) if zoom_out_most < 1 else ("min_side", min_side)
            raise UserError(f"augment.{key}={value}: must be at least {int(zoom_out_most < 1)}")
        if not overlaps or min(overlaps) < 0:
            raise UserError(f"augment.overlaps={list(overlaps)}: give at least one number from 0 to 1")
        self.overlaps = tuple(overlaps)
        self.crop_scale = bounds("crop_scale", crop_scale, 1.0)
        self.crop_ratio = bounds("crop_ratio", crop_ratio, np.inf)
        self.iou_crop, self.zoom_out, self.zoom_out_most = iou_crop, zoom_out, zoom_out_most
        self.flip, self.mosaic, self.min_visible, self.min_side = flip, mosaic, min_visible, min_side
        self.photometric = Photometric(
            probability=photometric, brightness=brightness, contrast=contrast, saturation=saturation, hue=hue
        )
        self.coloured = False  # colours are changed whatever the channels: grey ones as such, beside alpha

    def sample(self, view: View, index: int, rng: np.random.Generator) -> Sample:
        """See :class:`~mobilevision.data.view.Augmentation`."""
        four = rng.random() < self.mosaic
        scene = self._mosaic(view, index, rng) if four else self._alone(view, index, rng)
        return Sample(scene.pixels, as_drawn(scene.boxes, view.resolution))

    def mix(
        self, images: Tensor, targets: Tensor, num_classes: int, generator: torch.Generator | None = None
    ) -> NoReturn:
        """Pictures with boxes are not mixed in the batch.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError

    def _alone(self, view: View, index: int, rng: np.random.Generator) -> Scene:
        """One picture; where neither a crop nor a larger ground is drawn, it lies as in an evaluation."""
        shape = view.records.shape(index)
        where = view.frame(index)
        window = zoomed_out(rng, where.box, self.zoom_out_most) if rng.random() < self.zoom_out else where.box
        window = self._cropped(view, index, rng, window)
        if window != where.box:
            where = window_frame(window, shape, view.resolution, keep_aspect=view.fit == "letterbox")
        return self._scene(view, index, rng, where, view.resolution)

    def _mosaic(self, view: View, index: int, rng: np.random.Generator) -> Scene:
        """The picture and three others, each filling its tile, round a point near the middle."""
        row, column = (max(1, round(side * rng.uniform(*MIDDLE))) for side in view.resolution)
        height, width = view.resolution
        corners = [(0, 0), (0, column), (row, 0), (row, column)]
        sizes = [(row, column), (row, width - column), (height - row, column), (height - row, width - column)]
        pictures = [index, *rng.integers(len(view.records), size=3).tolist()]
        tiles = [
            self._tile(view, pictures[which], rng, sizes[place], instead=index if which else None)
            for place, which in enumerate(rng.permutation(4))
        ]
        return joined(tiles, corners, view.resolution)

    def _tile(
        self, view: View, index: int, rng: np.random.Generator, size: tuple[int, int], *, instead: int | None
    ) -> Scene:
        """A picture that fills a tile of ``size`` (height, width), its aspect kept but for an IoU crop's."""
        try:
            shape = view.records.shape(index)
            window = self._cropped(view, index, rng, covering(rng, shape, size))
            return self._scene(view, index, rng, window_frame(window, shape, size, keep_aspect=False), size)
        except UnreadablePictureError:
            if instead is None:
                raise
            # The partner is reported when its own turn comes; here it must not be taken for the sample's fault.
            return self._tile(view, instead, rng, size, instead=None)

    def _cropped(self, view: View, index: int, rng: np.random.Generator, window: Box) -> Box:
        """A part of the window round one of the boxes in it, or the window."""
        if rng.random() >= self.iou_crop:
            return window
        boxes: Boxes = view.records.targets[index]
        rows, parts = seen(boxes, window, view.records.shape(index))
        single = parts[~boxes.crowd[rows]]
        part = overlapping(rng, window, single, overlaps=self.overlaps, scale=self.crop_scale, ratio=self.crop_ratio)
        return part or window

    def _scene(self, view: View, index: int, rng: np.random.Generator, where: Frame, size: tuple[int, int]) -> Scene:
        """What ``where`` shows of a picture, in changed colours, on grey of ``size``, perhaps mirrored."""
        shape, boxes = view.records.shape(index), view.records.targets[index]
        part = self.photometric(view.records.pixels(index, box=where.box, size=where.size), rng)
        pixels = on_canvas(part, where, size)
        left = shown(boxes, where, shape, min_visible=self.min_visible, min_side=self.min_side)
        if rng.random() < self.flip:
            return Scene(mirrored(pixels), mirrored_boxes(left, size[1]))
        return Scene(pixels, left)
