"""An embedded data set of drawn scenes, a function of (seed, split, index). No file, no download.

The same images have boxes round the forms in them, a class (the colour of the ground) and attributes (which forms are
there), so that several tasks can learn of them together.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mobilevision.data.boxes import BoxTargets, boxes_of
from mobilevision.data.records import Splits
from mobilevision.data.synthetic.drawn import DrawnFormat, DrawnRecords, Sizes
from mobilevision.data.synthetic.painting import Points, backdrop, cross, grain, rays, regular, rotation

# What stands in an image of the embedded scenes, and how it is drawn.

SMALLEST, LARGEST = 0.2, 0.7  # longer side of a box, as a share of the image's shorter side
MOST = 6
TILT = 0.4  # radians that a form is turned by at most
HIDDEN = 0.3  # share of the smaller of two boxes that the other may overlap
EMPTY = 13  # one image of so many has nothing in it
NOT_SQUARE = 6  # one image of about so many has unequal sides


class Scene(NamedTuple):
    """What stands in an image.

    Attributes:
        shape: (height, width) in pixels.
        labels: class numbers, from the back to the front.
        outlines: for each, the corners of its form [n, 2] as (x, y) in pixels.
    """

    shape: tuple[int, int]
    labels: list[int]
    outlines: list[Points]

    @property
    def boxes(self) -> NDArray[np.float64]:
        """float64 [n, 4], (left, top, right, bottom) in pixels, tight around the forms."""
        corners = [np.concatenate([each.min(0), each.max(0)]) for each in self.outlines]
        return np.array(corners, dtype=np.float64).reshape(-1, 4)


def scene(rng: np.random.Generator, index: int, *, side: int, classes: int) -> Scene:
    """Choose what stands in image ``index``, and where.

    Forms come one on top of another. One that would come to overlap another's box by more than ``HIDDEN`` of the
    smaller box is left out, so that everything annotated can be seen; the boxes go around whole forms.

    Args:
        rng: decides.
        index: classes take turns as the first form of an image, and the last of ``EMPTY`` images has none.
        side: longer side of the image in pixels.
        classes: how many of the classes occur.
    """
    height, width = shape = _shape(rng, side)
    labels: list[int] = []
    outlines: list[Points] = []
    boxes: list[tuple[float, float, float, float]] = []
    wanted = 0 if index % EMPTY == EMPTY - 1 else int(rng.integers(1, MOST + 1))
    for _ in range(wanted):
        label = int(rng.integers(classes)) if labels else index % classes
        form = _turned(rng, FORMS[label]) * _size(rng, min(shape))
        right, bottom = form.max(axis=0)
        left, top = rng.random(2) * (width - right, height - bottom)
        box = (left, top, left + right, top + bottom)
        if all(_share_of_smaller(box, other) <= HIDDEN for other in boxes):
            labels.append(label)
            outlines.append(form + np.array((left, top)))
            boxes.append(box)
    return Scene(shape, labels, outlines)


def draw(rng: np.random.Generator, scene: Scene) -> Image.Image:
    """Draw a scene, RGB, in random colours, on cluttered ground."""
    height, width = scene.shape
    size = width * 2, height * 2  # drawn twice as large, for smooth edges
    low = _dark_channels(rng)
    dark, bright = rng.integers(0, 100, (1, 3)), rng.integers(130, 256, (MOST, 3))
    ground, fills = np.where(low, dark, 255 - dark)[0], np.where(low, bright, 255 - bright)
    image = backdrop(rng, tuple(ground.tolist()), size)
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(2, 9)):
        _clutter(rng, pen, size)
    for outline, fill in zip(scene.outlines, fills.tolist(), strict=False):
        pen.polygon((outline * 2).ravel().tolist(), fill=tuple(fill))
    return grain(rng, image.resize((width, height), Image.Resampling.BOX))


def _dark_channels(rng: np.random.Generator) -> NDArray[np.bool_]:
    """For red, green and blue whether the ground is dark and the forms bright, or the other way round."""
    return rng.random(3) < 0.5


def _shape(rng: np.random.Generator, side: int) -> tuple[int, int]:
    if rng.integers(NOT_SQUARE):
        return side, side
    other = round(side * rng.uniform(0.7, 0.9))
    return (side, other) if rng.random() < 0.5 else (other, side)


def _size(rng: np.random.Generator, side: int) -> float:
    return float(side * SMALLEST * (LARGEST / SMALLEST) ** rng.random())


def _turned(rng: np.random.Generator, form: Points) -> Points:
    """The form stretched and tilted, in the left upper corner, its longer side 1."""
    turn, stretch = rng.uniform(-TILT, TILT), rng.uniform(0.65, 1.0, 2)
    points: Points = form * stretch @ rotation(turn)
    points -= points.min(axis=0)
    points /= points.max()
    return points


def _share_of_smaller(first: tuple[float, float, float, float], second: tuple[float, float, float, float]) -> float:
    """Area that two boxes share, over that of the smaller."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in (first, second)]
    return max(width, 0.0) * max(height, 0.0) / min(areas)


def _clutter(rng: np.random.Generator, pen: ImageDraw.ImageDraw, size: tuple[int, int]) -> None:
    """A stroke, or some specks: thinner and smaller than any form."""
    colour = tuple(rng.integers(0, 256, 3).tolist())
    start = rng.random(2) * size
    if rng.random() < 0.6:
        bends = np.cumsum([start, *rng.normal(0, size[0] / 7, (3, 2))], axis=0)
        pen.line(bends.ravel().tolist(), fill=colour, width=int(rng.integers(1, 5)))
        return
    for x, y in (start + rng.normal(0, size[0] / 16, (5, 2))).tolist():
        pen.rectangle((x, y, x + rng.integers(1, 5), y + rng.integers(1, 5)), fill=colour)


def _ring(inner: float) -> Points:
    """A disk with a hole, as one outline that goes around outside, in, and back around inside."""
    outside, inside = regular(32), regular(32, inner)[::-1]
    return np.concatenate([outside, outside[:1], inside[-1:], inside])


CLASSES = ("disk", "square", "triangle", "star", "cross", "ring")
GROUNDS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
"""Colours of the ground: bright red counts 1, bright green 2, bright blue 4."""
UPRIGHT = np.array([[0.0, -1.0], [1.0, 0.0]])  # a corner on top, which `regular` and `rays` put to the right
FORMS: list[Points] = [
    regular(32),
    np.array([(1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)]),
    regular(3) @ UPRIGHT,
    rays(5, 0.42) @ UPRIGHT,
    cross(0.3),
    _ring(0.55),
]


PLACES, PAINT = 0, 1  # streams of random numbers of one image


@final
class Scenes(DrawnFormat):
    """Images with up to six forms of six classes on cluttered ground, some images without any.

    Classes differ in form; colours say nothing. Sizes run from a fifth of the image to seven tenths, forms are
    stretched, tilted and overlap, and some images are not square. The class of an image is the colour of its ground;
    its attributes say of each of the six forms whether it is there.
    """

    kinds: ClassVar[tuple[str, ...]] = ("boxes", "class", "attributes")
    name: ClassVar[str] = "scenes"
    about: ClassVar[str] = "scenes: drawn on the fly"
    names: ClassVar[tuple[str, ...]] = CLASSES
    usual: ClassVar[Sizes] = Sizes(2400, 300, 500, side=144)

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DrawnFormat`."""
        splits = super().read(root=root, kind=kind, channels=channels, seed=seed)
        if kind == "boxes":
            return splits
        for _, records in splits.items():
            assert isinstance(records, SceneRecords)
            records.targets = records.grounds() if kind == "class" else records.forms()
        return replace(splits, classes=GROUNDS if kind == "class" else self.classes())

    def records(self, n: int, **shared: Any) -> DrawnRecords:
        """See :class:`DrawnFormat`."""
        return SceneRecords(n, len(self.classes()), **shared)


@final
class SceneRecords(DrawnRecords):
    """Drawn scenes; ``classes`` of the classes occur."""

    def __init__(self, n: int, classes: int, **shared: Any) -> None:
        super().__init__(**shared)
        self.classes = classes
        scenes = [self._scene(index) for index in range(n)]
        self.targets = BoxTargets.of([boxes_of(each.boxes, each.labels) for each in scenes])
        self._shapes = np.array([each.shape for each in scenes], dtype=np.int64).reshape(-1, 2)

    def outlines(self, index: int) -> list[tuple[int, Points]]:
        """Class and corners [n, 2], (x, y) in pixels, of each form of an image, from the back to the front."""
        drawn = self._scene(index)
        return list(zip(drawn.labels, drawn.outlines, strict=True))

    def grounds(self) -> NDArray[np.int64]:
        """The class of each image's ground, int64 [n]."""
        dark = [_dark_channels(self.rng(index, PAINT)) for index in range(len(self))]
        grounds: NDArray[np.int64] = (~np.array(dark).reshape(-1, 3)).astype(np.int64) @ np.array([1, 2, 4])
        return grounds

    def forms(self) -> NDArray[np.float32]:
        """Which forms each image has, float32 [n, classes] of 0 and 1."""
        boxes: BoxTargets = self.targets
        there = np.zeros((len(self), self.classes), dtype=np.float32)
        there[np.repeat(np.arange(len(self)), np.diff(boxes.offsets)), boxes.all.labels] = 1
        return there

    def shape(self, index: int) -> tuple[int, int]:
        """(height, width); the longer one is the drawn side."""
        height, width = self._shapes[index].tolist()
        return height, width

    def draw(self, index: int) -> Image.Image:
        """See :class:`DrawnRecords`."""
        return draw(self.rng(index, PAINT), self._scene(index))

    def _scene(self, index: int) -> Scene:
        return scene(self.rng(index, PLACES), index, side=self.side, classes=self.classes)
