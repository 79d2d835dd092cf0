"""Random changes of training images with boxes, as SSD's authors (and those of YOLOv4) make them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, NamedTuple, NoReturn, final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mobilevision.data.augment import CropRatio, CropScale, mirrored
from mobilevision.data.boxes import Boxes, as_drawn, concatenate, mirrored_boxes, seen, shown
from mobilevision.data.targets import Placement
from mobilevision.data.view import Sample, View
from mobilevision.images.decode import UnreadableImageError
from mobilevision.images.framing import CropBox, Frame, fitted
from mobilevision.images.pixels import Pixels, on_canvas
from mobilevision.ops.boxes import iou
from mobilevision.ranges import Items, NonNegativeFloat, Range, Share, check_ranges

# Changes of colour as SSD draws them, all of them in one matrix that Pillow applies once.

Matrix = NDArray[np.float64]
"""float64 [3, 4]: R, G and B of the result from R, G, B and 1."""

LUMA = np.array([0.2989, 0.587, 0.114])
TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
FROM_YIQ = np.linalg.inv(TO_YIQ)
IDENTITY = np.eye(3, 4)


@final
@dataclass(frozen=True, kw_only=True)
class Photometric:
    """Brightness, contrast, saturation, hue and the order of channels, each changed with a probability of its own.

    The distribution is that of SSD (arXiv:1512.02325, section 3.6) as torchvision's ``RandomPhotometricDistort`` has
    it. Two things differ for speed: values are clipped once at the end, and the hue turns by a rotation of the
    chrominance (YIQ), which is linear, instead of a shift in HSV. That turns as far on the whole, but differs in a
    single pixel, on photographs by 5 levels of 255 at the largest turn; it keeps brightness, which a shift does not.

    Attributes:
        probability: of each of the five.
        brightness: the factor lies within 1 -+ this.
        contrast: likewise, around the mean of the image.
        saturation: likewise, around each pixel's grey.
        hue: largest turn either way, as a share of the full circle.
    """

    probability: float = 0.5
    brightness: float = 0.125
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.05

    def __call__(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        """A changed copy of an image, uint8 [height, width, 1, 3 or 4]; alpha stays as it is."""
        if not self.probability:
            return pixels
        return applied(self.draw(rng, means(pixels)), pixels)

    def draw(self, rng: np.random.Generator, mean: NDArray[np.float64]) -> Matrix:
        """Draw a change.

        Args:
            rng: where the randomness comes from.
            mean: float64 [3], of the image's channels; contrast changes around its grey.
        """
        matrix = IDENTITY
        chosen, amount = rng.random(5) < self.probability, rng.uniform(-1, 1, 4)
        contrast_first = rng.random() < 0.5
        if chosen[0]:
            matrix = matrix * (1 + self.brightness * amount[0])
        if chosen[1] and contrast_first:
            matrix = contrasted(matrix, 1 + self.contrast * amount[1], mean)
        if chosen[2]:
            matrix = saturated(1 + self.saturation * amount[2]) @ matrix
        if chosen[3]:
            matrix = turned(self.hue * amount[3]) @ matrix
        if chosen[1] and not contrast_first:
            matrix = contrasted(matrix, 1 + self.contrast * amount[1], mean)
        return matrix[rng.permutation(3)] if chosen[4] else matrix


def contrasted(matrix: Matrix, factor: float, mean: NDArray[np.float64]) -> Matrix:
    """``matrix``, and then ``factor`` times the distance from the image's mean grey."""
    grey = LUMA @ (matrix[:, :3] @ mean + matrix[:, 3])
    result: Matrix = matrix * factor
    result[:, 3] += (1 - factor) * grey
    return result


def saturated(factor: float) -> NDArray[np.float64]:
    """float64 [3, 3]: ``factor`` times the distance from the pixel's grey."""
    return factor * np.eye(3) + (1 - factor) * LUMA


def turned(share: float) -> NDArray[np.float64]:
    """float64 [3, 3]: the hue turned by a share of the full circle (red towards green where it is positive)."""
    cos, sin = math.cos(2 * math.pi * share), math.sin(2 * math.pi * share)
    rotation: NDArray[np.float64] = FROM_YIQ @ np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]]) @ TO_YIQ
    return rotation


def means(pixels: Pixels) -> NDArray[np.float64]:
    """Mean of each colour channel, float64 [3]; a grey image has three equal ones."""
    channels = min(pixels.shape[2], 3) if pixels.shape[2] >= 3 else 1
    mean = np.array([_mean(pixels[:, :, channel]) for channel in range(channels)])
    return np.resize(mean, 3)


def _mean(plane: NDArray[np.uint8]) -> float:
    # every fourth row and column: a mean needs no more, and the strided sum is what takes the time
    return float(plane[::4, ::4].mean())


def applied(matrix: Matrix, pixels: Pixels) -> Pixels:
    """The changed image, rounded and clipped to 0 ... 255."""
    if matrix is IDENTITY:
        return pixels
    if pixels.shape[2] == 1:
        table = np.arange(256) * (LUMA @ matrix[:, :3]).sum() + LUMA @ matrix[:, 3]
        return np.take(np.clip(np.rint(table), 0, 255).astype(np.uint8), pixels)
    colours = np.ascontiguousarray(pixels[:, :, :3])
    changed = np.array(Image.fromarray(colours).convert("RGB", tuple(matrix.ravel().tolist())))
    return changed if pixels.shape[2] == 3 else np.concatenate([changed, pixels[:, :, 3:]], axis=2)


@final
class Scene(NamedTuple):
    """An image as it is shown.

    Attributes:
        pixels: uint8 [height, width, channels].
        boxes: its boxes, in these pixels.
        placement: how the image lies in these pixels; None of several images.
    """

    pixels: Pixels
    boxes: Boxes
    placement: Placement | None = None


def joined(scenes: list[Scene], corners: list[tuple[int, int]], resolution: tuple[int, int]) -> Scene:
    """Scenes side by side; together they fill the input.

    Args:
        scenes: the parts.
        corners: (top, left) of each.
        resolution: (height, width) of the whole.
    """
    canvas = np.empty((*resolution, scenes[0].pixels.shape[2]), dtype=np.uint8)
    moved = []
    for scene, (top, left) in zip(scenes, corners, strict=True):
        canvas[top : top + scene.pixels.shape[0], left : left + scene.pixels.shape[1]] = scene.pixels
        moved.append(replace(scene.boxes, boxes=scene.boxes.boxes + np.array([left, top, left, top])))
    return Scene(canvas, concatenate(moved))


# Which window of a scene is shown: zoomed out, or cropped so that it overlaps a box well enough.

TRIALS = 40
ROUNDS = 50  # a set of overlaps without 1.0 would otherwise be tried for ever where no crop meets it


def zoomed_out(rng: np.random.Generator, window: CropBox, most: float) -> CropBox:
    """A larger window that holds ``window`` at a random place (SSD, arXiv:1512.02325, section 3.6).

    Args:
        rng: where the randomness comes from.
        window: what is looked at.
        most: the sides grow by a factor between 1 and this.
    """
    x, y, width, height = window
    factor = rng.uniform(1, most)
    wide, high = float(int(width * factor)), float(int(height * factor))
    wide, high = max(wide, width), max(high, height)
    right, down = rng.random(2)
    return x - int((wide - width) * right), y - int((high - height) * down), wide, high


def overlapping(
    rng: np.random.Generator,
    window: CropBox,
    boxes: NDArray[np.float64],
    *,
    overlaps: Sequence[float],
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> CropBox | None:
    """A part of the window with the centre of a box in it whose overlap with the part is large enough.

    The distribution is that of SSD (arXiv:1512.02325, section 2.2) as torchvision's ``RandomIoUCrop`` has it: one of
    ``overlaps`` is drawn, then up to 40 parts are; the first that meets it is taken, else all begins again.

    Args:
        rng: where the randomness comes from.
        window: what is looked at.
        boxes: float64 [n, 4], (left, top, right, bottom) in the pixels of the window.
        overlaps: least overlaps (intersection over union); from 1.0 on the window stays as it is.
        scale: bounds of the part's sides over those of the window.
        ratio: bounds of its width over its height.

    Returns:
        The part in whole pixels from the window's corner, or None where the window stays.
    """
    x, y, *sides = window
    for _ in range(ROUNDS if len(boxes) else 0):
        least = overlaps[int(rng.integers(len(overlaps)))]
        if least >= 1:
            return None
        size = np.floor(rng.uniform(*scale, (TRIALS, 2)) * sides)
        corner = np.array([x, y]) + np.floor(rng.random((TRIALS, 2)) * (sides - size))
        with np.errstate(divide="ignore", invalid="ignore"):
            aspect = size[:, 0] / size[:, 1]
        fits = (ratio[0] <= aspect) & (aspect <= ratio[1]) & (size > 0).all(1)
        fits &= _best_overlap(np.concatenate([corner, corner + size], 1), boxes) >= least
        if fits.any():
            first = int(fits.argmax())
            return float(corner[first, 0]), float(corner[first, 1]), float(size[first, 0]), float(size[first, 1])
    return None


def _best_overlap(parts: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each part the largest overlap with a box that has its centre in it; -1 without any."""
    part = parts[:, None]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    within = ((part[..., :2] < centre) & (centre < part[..., 2:])).all(-1)
    best: NDArray[np.float64] = np.where(within, iou(part, boxes), -1.0).max(1)
    return best


def covering(rng: np.random.Generator, shape: tuple[int, int], resolution: tuple[int, int]) -> CropBox:
    """The largest part of an image that has the aspect of ``resolution``, at a random place, in whole pixels."""
    scale = min(shape[0] / resolution[0], shape[1] / resolution[1])
    height, width = max(1, round(resolution[0] * scale)), max(1, round(resolution[1] * scale))
    down, right = int(rng.integers(shape[0] - height + 1)), int(rng.integers(shape[1] - width + 1))
    return float(right), float(down), float(width), float(height)


def window_frame(window: CropBox, shape: tuple[int, int], resolution: tuple[int, int], *, keep_aspect: bool) -> Frame:
    """Where a window that may reach beyond the image puts what it shows of it.

    The window is widened to whole pixels, and to a grid of 2, 4 or 8 where it is that many times larger than the
    input, so that a decoder can shrink by this exactly.

    Args:
        window: (x, y, width, height) in pixels of the image, with some of the image in it.
        shape: (height, width) of the image.
        resolution: (height, width) of the input that the window fills.
        keep_aspect: leave two sides of the input grey instead of stretching the window.
    """
    left, top, right, bottom = _on_grid(window, resolution)
    size, place = resolution, (0, 0)
    if keep_aspect:
        size, place = fitted((bottom - top, right - left), resolution)
    seen = max(left, 0), max(top, 0), min(right, shape[1]), min(bottom, shape[0])
    y, high = _pixels(top, bottom - top, seen[1], seen[3], size[0])
    x, wide = _pixels(left, right - left, seen[0], seen[2], size[1])
    box = float(seen[0]), float(seen[1]), float(seen[2] - seen[0]), float(seen[3] - seen[1])
    return Frame(box, (high, wide), (place[0] + y, place[1] + x))


def _pixels(start: int, length: int, first: int, last: int, size: int) -> tuple[int, int]:
    """Place and length, in whole pixels of ``size``, of first ... last within a window from ``start`` on."""
    at = min(round((first - start) / length * size), size - 1)
    return at, max(1, round((last - start) / length * size) - at)


def _on_grid(window: CropBox, resolution: tuple[int, int]) -> tuple[int, int, int, int]:
    x, y, width, height = window
    step = next((s for s in (8, 4, 2) if width >= s * resolution[1] and height >= s * resolution[0]), 1)
    edges = math.floor(x / step), math.floor(y / step), math.ceil((x + width) / step), math.ceil((y + height) / step)
    return edges[0] * step, edges[1] * step, edges[2] * step, edges[3] * step


MIDDLE = 0.3, 0.7  # where the four images of a mosaic meet, as shares of the input's sides


@final
class BoxAugment:
    """What is drawn at random for each training image with boxes (SSD, arXiv:1512.02325, sections 2.2 and 3.6).

    All is drawn before anything is decoded, so that of each image one part is decoded and resized once; colours are
    changed on the small result. A box whose centre is not shown is gone, as in SSD; every other one is cut to what is
    shown of it. A crowd region stays as long as anything of it is shown, so that it never becomes background.

    Args:
        iou_crop: probability of a crop that overlaps a box by one of ``overlaps``.
        overlaps: least overlaps to draw from (intersection over union of crop and box); 1.0 leaves the image whole.
        crop_scale: bounds of the crop's sides over the image's.
        crop_ratio: bounds of the crop's width over its height.
        zoom_out: probability that the image is laid on a larger grey ground.
        zoom_out_most: the ground's sides are up to this many times the image's.
        photometric: probability of each of a change of brightness, contrast, saturation, hue and channel order.
        brightness: see :class:`~mobilevision.data.box_augment.Photometric`, as the next three.
        contrast: largest change.
        saturation: largest change.
        hue: largest change.
        flip: probability of a mirror image.
        mosaic: probability that four images share the input (YOLOv4, arXiv:2004.10934, section 3.4).
        min_visible: a box of which a smaller share is shown becomes a region to ignore, like a crowd; 0 for none.
        min_side: likewise a box whose shorter side is smaller, in pixels of the input.

    Raises:
        UserError: bounds or probabilities that make no sense.
    """

    kinds: ClassVar[tuple[str, ...] | None] = ("boxes",)
    mixes: ClassVar[bool] = False

    @check_ranges("augment")
    def __init__(
        self,
        *,
        iou_crop: Share = 1.0,
        overlaps: Annotated[Sequence[Share], Items(min=1)] = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0),
        crop_scale: CropScale = (0.3, 1.0),
        crop_ratio: CropRatio = (0.5, 2.0),
        zoom_out: Share = 0.5,
        zoom_out_most: Annotated[float, Range(min=1, max=32)] = 4.0,
        photometric: Share = 0.5,
        brightness: Share = 0.125,
        contrast: Share = 0.5,
        saturation: Share = 0.5,
        hue: Annotated[float, Range(min=0, max=0.5)] = 0.05,
        flip: Share = 0.5,
        mosaic: Share = 0.0,
        min_visible: Share = 0.0,
        min_side: NonNegativeFloat = 1.0,
    ) -> None:
        self.overlaps = tuple(overlaps)
        self.crop_scale = (crop_scale[0], crop_scale[1])
        self.crop_ratio = (crop_ratio[0], crop_ratio[1])
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
        return Sample(scene.pixels, as_drawn(scene.boxes, view.resolution), scene.placement)

    def mix(
        self, images: Tensor, targets: Tensor, num_classes: int, generator: torch.Generator | None = None
    ) -> NoReturn:
        """Images with boxes are not mixed in the batch.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError

    def _alone(self, view: View, index: int, rng: np.random.Generator) -> Scene:
        """One image; where neither a crop nor a larger ground is drawn, it lies as in an evaluation."""
        shape = view.records.shape(index)
        where = view.frame(index)
        window = zoomed_out(rng, where.box, self.zoom_out_most) if rng.random() < self.zoom_out else where.box
        window = self._cropped(view, index, rng, window)
        if window != where.box:
            where = window_frame(window, shape, view.resolution, keep_aspect=view.fit == "letterbox")
        return self._scene(view, index, rng, where, view.resolution)

    def _mosaic(self, view: View, index: int, rng: np.random.Generator) -> Scene:
        """The image and three others, each filling its tile, round a point near the middle."""
        row, column = (max(1, round(side * rng.uniform(*MIDDLE))) for side in view.resolution)
        height, width = view.resolution
        corners = [(0, 0), (0, column), (row, 0), (row, column)]
        sizes = [(row, column), (row, width - column), (height - row, column), (height - row, width - column)]
        images = [index, *rng.integers(len(view.records), size=3).tolist()]
        tiles = [
            self._tile(view, images[which], rng, sizes[place], instead=index if which else None)
            for place, which in enumerate(rng.permutation(4))
        ]
        return joined(tiles, corners, view.resolution)

    def _tile(
        self, view: View, index: int, rng: np.random.Generator, size: tuple[int, int], *, instead: int | None
    ) -> Scene:
        """An image that fills a tile of ``size`` (height, width), its aspect kept but for an IoU crop's."""
        try:
            shape = view.records.shape(index)
            window = self._cropped(view, index, rng, covering(rng, shape, size))
            return self._scene(view, index, rng, window_frame(window, shape, size, keep_aspect=False), size)
        except UnreadableImageError:
            if instead is None:
                raise
            # The partner is reported when its own turn comes; here it must not be taken for the sample's fault.
            return self._tile(view, instead, rng, size, instead=None)

    def _cropped(self, view: View, index: int, rng: np.random.Generator, window: CropBox) -> CropBox:
        """A part of the window round one of the boxes in it, or the window."""
        if rng.random() >= self.iou_crop:
            return window
        boxes: Boxes = view.records.targets[index]
        rows, parts = seen(boxes, window, view.records.shape(index))
        single = parts[~boxes.crowd[rows]]
        part = overlapping(rng, window, single, overlaps=self.overlaps, scale=self.crop_scale, ratio=self.crop_ratio)
        return part or window

    def _scene(self, view: View, index: int, rng: np.random.Generator, where: Frame, size: tuple[int, int]) -> Scene:
        """What ``where`` shows of an image, in changed colours, on grey of ``size``, perhaps mirrored."""
        shape, boxes = view.records.shape(index), view.records.targets[index]
        part = self.photometric(view.records.pixels(index, box=where.box, size=where.size), rng)
        pixels = on_canvas(part, where, size)
        left = shown(boxes, where, shape, min_visible=self.min_visible, min_side=self.min_side)
        flip = bool(rng.random() < self.flip)
        placement = Placement(where, flip, shape, size, training=True)
        if flip:
            return Scene(mirrored(pixels), mirrored_boxes(left, size[1]), placement)
        return Scene(pixels, left, placement)
