"""Masks: the class of every pixel, as a kind of target that moves with its image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mobilevision.api import PackedBytes, Placement, Targets, UnreadableImageError, open_image
from mobilevision_segmentation.answer import IGNORED, Mask, look_up

UNKNOWN = -1
"""The row of an image without a mask."""


class MaskTargets(Targets, ABC):
    """Masks that are made when they are asked for; the arrays behind them are shared by worker processes."""

    rows: NDArray[np.int64]

    @abstractmethod
    def mask(self, row: int) -> Mask:
        """One mask, of the size of its upright image.

        Raises:
            UnreadableImageError: it cannot be read.
        """

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int | np.integer):
            return self.mask(int(self.rows[index]))
        chosen = object.__new__(type(self))
        chosen.__dict__ |= self.__dict__ | {"rows": self.rows[index]}
        return chosen

    def placed(self, index: int, placement: Placement) -> Mask:
        """uint8 [height, width] of the input; IGNORED where the input shows nothing of the image."""
        if self.rows[index] == UNKNOWN:
            return np.full(placement.resolution, IGNORED, np.uint8)
        mask = self[index]
        if mask.shape != placement.shape:
            sizes = [f"{width} x {height}" for height, width in (mask.shape, placement.shape)]
            raise UnreadableImageError(f"{self.name(index)}: the mask has {sizes[0]} pixels, its image {sizes[1]}")
        return look_up(mask, placement.to_input.inverse, placement.resolution)

    def name(self, index: int) -> str:
        """What messages call a mask."""
        return f"mask {index}"

    def extended(self, more: int) -> MaskTargets:
        """With ``more`` masks of which nothing is known behind them, for ``data.unlabelled``."""
        extended = self[np.arange(len(self))]
        extended.rows = np.concatenate([self.rows, np.full(more, UNKNOWN)])
        return extended  # type: ignore[no-any-return]


@final
class FileMasks(MaskTargets):
    """Masks in image files: class numbers as grey values or palette entries, or colours.

    Args:
        paths: of the masks.
        root: that relative paths start from.
        values: value of a pixel -> class number; a value is a number, or for colours ``(r << 16) + (g << 8) + b``.
        colours: whether the files are read as colours.
        classes: how many there are.
    """

    def __init__(
        self, paths: Sequence[bytes], root: Path, *, values: Mapping[int, int], colours: bool, classes: int
    ) -> None:
        self.paths, self.root, self.colours, self.classes = PackedBytes(paths), root, colours, classes
        self.rows = np.arange(len(paths))
        known = sorted(values)
        self.values, self.numbers = np.array(known, np.int64), np.array([values[each] for each in known], np.uint8)

    def name(self, index: int) -> str:
        """The file."""
        return str(self.root / self.paths[int(self.rows[index])].decode(errors="replace"))

    def mask(self, row: int) -> Mask:
        """See :class:`MaskTargets`."""
        path = self.root / self.paths[row].decode(errors="surrogateescape")
        values = (colours_of if self.colours else numbers_of)(open_image(path))
        place = np.searchsorted(self.values, values).clip(max=len(self.values) - 1)
        wrong = self.values[place] != values
        if wrong.any():
            value = int(values[wrong][0])
            shown, fix = f"value {value}", "name it in data.format.classes, or paint it 255, which is left out"
            if self.colours:
                shown = f"the colour {value >> 16},{value >> 8 & 255},{value & 255}"
                fix = "name it in labelmap.txt, as void if it is to be left out"
            raise UnreadableImageError(f"{path}: {shown} is none of the {self.classes} classes: {fix}")
        return self.numbers[place]


def numbers_of(image: Image.Image) -> NDArray[np.int64]:
    """The numbers of a mask's pixels [H, W]: grey values or palette entries."""
    return np.asarray(image if image.mode in ("P", "L", "1", "I", "I;16") else image.convert("L"), dtype=np.int64)


def colours_of(image: Image.Image) -> NDArray[np.int64]:
    """The colours of a mask's pixels [H, W], as :class:`FileMasks` has them."""
    red, green, blue = np.moveaxis(np.asarray(image.convert("RGB"), dtype=np.int64), 2, 0)
    return (red << 16) + (green << 8) + blue


@final
class OutlineMasks(MaskTargets):
    """Masks painted of outlines, the first one at the bottom.

    Args:
        outlines: for each image, (class number, corners [n, 2] in pixels).
        shapes: for each image, (height, width).
    """

    def __init__(
        self,
        outlines: Sequence[Sequence[tuple[int, NDArray[np.float64]]]],
        shapes: Sequence[tuple[int, int]],
    ) -> None:
        flat = [corners for image in outlines for _, corners in image]
        self.labels = np.array([label for image in outlines for label, _ in image], np.uint8)
        self.corners = np.concatenate(flat) if flat else np.zeros((0, 2))
        self.ends = np.cumsum([0, *map(len, flat)])
        self.of_image = np.cumsum([0, *map(len, outlines)])
        self.shapes, self.rows = np.array(shapes, np.int64).reshape(-1, 2), np.arange(len(outlines))

    def mask(self, row: int) -> Mask:
        """See :class:`MaskTargets`."""
        height, width = self.shapes[row].tolist()
        painted = Image.new("L", (width, height))
        pen = ImageDraw.Draw(painted)
        for each in range(self.of_image[row], self.of_image[row + 1]):
            corners = self.corners[self.ends[each] : self.ends[each + 1]] - 0.5
            pen.polygon([tuple(corner) for corner in corners.tolist()], fill=int(self.labels[each]))
        return np.asarray(painted).copy()


@final
class CocoMasks(MaskTargets):
    """Masks of COCO's annotations, polygons and run lengths, larger objects below smaller ones.

    Args:
        texts: for each image, its annotations as json: ``[[class number, iscrowd, segmentation], ...]``.
        names: of the images.
        shapes: for each image, (height, width).
    """

    def __init__(self, texts: Sequence[bytes], names: Sequence[str], shapes: Sequence[tuple[int, int]]) -> None:
        self.texts, self.names = PackedBytes(texts), PackedBytes(name.encode() for name in names)
        self.shapes = np.array(shapes, np.int64).reshape(-1, 2)
        self.rows = np.arange(len(texts))

    def name(self, index: int) -> str:
        """The image, by the json."""
        return self.names[int(self.rows[index])].decode()

    def mask(self, row: int) -> Mask:
        """See :class:`MaskTargets`."""
        import json

        from pycocotools import mask as coco

        height, width = self.shapes[row].tolist()
        painted = np.zeros((height, width), np.uint8)
        parts = []
        for number, crowd, outline in json.loads(self.texts[row]):
            coded = outline if isinstance(outline, list) or isinstance(outline["counts"], list) else None
            lengths = coco.merge(_listed(coco.frPyObjects(coded, height, width))) if coded else outline
            area = coco.decode(lengths).astype(bool)
            parts.append((IGNORED if crowd else number, area))
        for number, area in sorted(parts, key=lambda part: -int(part[1].sum())):
            painted[area] = number
        return painted


def _listed(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]
