"""Small objects in large images: overlapping tiles are looked at one by one, beside the whole image.

After slicing aided hyper inference (Akyon, Altinuc and Temizel, arXiv 2202.06934). NumPy alone, so that exported models
do it, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.predictor import Predictor
from mobilevision.deploy.preprocessing import ImageLike, Prepared
from mobilevision.errors import UserError
from mobilevision.images.framing import Affine
from mobilevision.ops.boxes import area, intersection, iou

Arrays = dict[str, NDArray[Any]]
Part = tuple[int, int, int, int]
"""(left, top, right, bottom) of a tile in pixels of the image."""
Merge = Literal["best", "weighted"]

MOST_TILES = 1024
SAME = 0.5
"""IoU from which two detections are one object; for a detection that a tile cuts off, share of its own area."""
NEAR_EDGE = 0.02
"""A box that ends so near to an inner edge of its tile, as a share of the tile's side, may go on beyond it."""


@final
class Tiling(NamedTuple):
    """How images are cut.

    Attributes:
        columns: tiles beside each other; 0 where ``side`` is given.
        rows: tiles above each other; 0 where ``side`` is given.
        side: of square tiles, in pixels of the image; 0 where columns and rows are given.
        overlap: share of a tile's side that it has in common with the next one.
        merge: of several detections of one object the ``best`` stays, or their mean, ``weighted`` by their scores
            (weighted boxes fusion, arXiv 1910.13302, section 3.2).
    """

    columns: int
    rows: int
    side: int
    overlap: float = 0.2
    merge: Merge = "best"

    @classmethod
    def of(cls, text: str | None, *, overlap: float | None = None, merge: Merge | None = None) -> Tiling | None:
        """Read ``COLUMNSxROWS``, such as 2x2, or the side of square tiles in pixels, such as 640.

        Args:
            text: None for no tiles.
            overlap: None for 0.2.
            merge: None for ``best``.

        Raises:
            UserError: neither, an overlap that is none, or one without tiles.
        """
        if text is None:
            for name, value in (("overlap", overlap), ("merge", merge)):
                if value is not None:
                    raise UserError(f"--{name} {value}: it says how --tiles go together, and there are none")
            return None
        overlap, merge = 0.2 if overlap is None else overlap, merge or "best"
        if not 0 <= overlap < 1:
            raise UserError(f"--overlap {overlap:g}: a share of the tile's side, at least 0 and below 1")
        text = text.strip()
        if match := re.fullmatch(r"(\d{1,4})\s*[xX]\s*(\d{1,4})", text):
            columns, rows = int(match[1]), int(match[2])
            if 1 <= columns * rows <= MOST_TILES:
                return cls(columns, rows, 0, overlap, merge)
        elif re.fullmatch(r"\d{1,6}", text) and int(text) > 0:
            return cls(0, 0, int(text), overlap, merge)
        raise UserError(
            f"--tiles {text}: COLUMNSxROWS of at most {MOST_TILES:,} tiles, such as 2x2, or the side of square tiles in"
            " pixels, such as 640"
        )

    def parts(self, shape: tuple[int, int]) -> list[Part]:
        """The tiles of an image of (height, width): all of it, none of them the whole.

        Raises:
            UserError: too many.
        """
        height, width = shape
        if self.side:
            across, down = (_spread(length, self.side, self.overlap) for length in (width, height))
        else:
            across, down = _shared(width, self.columns, self.overlap), _shared(height, self.rows, self.overlap)
        if len(across) * len(down) > MOST_TILES:
            raise UserError(
                f"--tiles {self.side}: {len(across) * len(down):,} tiles of an image of {width} x {height} pixels, more"
                f" than {MOST_TILES:,}: take larger ones, or a smaller --overlap"
            )
        cut = [(left, top, right, bottom) for top, bottom in down for left, right in across]
        return [part for part in cut if part != (0, 0, width, height)]

    def __str__(self) -> str:
        """In words, as a note says it."""
        tiles = f"square tiles of {self.side} pixels" if self.side else f"{self.columns} x {self.rows} tiles"
        return f"{tiles} that overlap by {self.overlap:.0%}, beside the whole image; of one object: {self.merge}"


def _spread(length: int, side: int, overlap: float) -> list[tuple[int, int]]:
    """Pieces of one side, at equal distances, each sharing at least ``overlap`` of it with the next."""
    side = min(side, length)
    step = max(1.0, side * (1 - overlap))
    count = 1 + int(np.ceil((length - side) / step))
    return _pieces(length, side, count)


def _shared(length: int, count: int, overlap: float) -> list[tuple[int, int]]:
    """So many pieces of one side, each sharing ``overlap`` of it with the next; fewer where there are fewer pixels."""
    count = min(count, length)
    side = min(length, int(np.ceil(length / (count - (count - 1) * overlap))))
    return _pieces(length, side, count)


def _pieces(length: int, side: int, count: int) -> list[tuple[int, int]]:
    starts = np.linspace(0, length - side, count).round().astype(int).tolist()
    return [(start, start + side) for start in dict.fromkeys(starts)]


class Tile(NamedTuple):
    """A part of an image as the model takes it."""

    part: Part
    pixels: NDArray[np.uint8]
    to_image: Affine


@final
class TiledImage(NamedTuple):
    """What :class:`TiledPredictor` makes its prediction from: the whole image's input, and those of its tiles."""

    whole: Prepared
    tiles: tuple[Tile, ...]


@final
class TiledPredictor(Predictor):
    """A detector that looks at the tiles of each image beside the whole.

    Predictions are those of any detector: boxes in pixels of the whole image's input, best first; there may be more of
    them than the model gives for one input.

    Args:
        model: what looks.
        tiling: how images are cut.
        batch_size: inputs that go through the model at once.

    Raises:
        UserError: a model that finds no boxes.
    """

    def __init__(self, model: Predictor, tiling: Tiling, *, batch_size: int = 32) -> None:
        if model.answer.name not in ("boxes", "raw_boxes"):
            raise UserError(f"--tiles: it is for detectors; this model predicts {model.answer.name}")
        super().__init__(model.answer, answer=model.answer, classes=model.classes, preprocessing=model.preprocessing)
        self.model, self.tiling, self.batch_size = model, tiling, batch_size
        look = self.preprocessing
        # A crop of a tile would leave parts of the image that nothing looks at.
        self.tile_preprocessing = replace(look, fit="letterbox", crop=1.0) if look.fit == "crop" else look

    def prepare(self, image: ImageLike) -> Prepared:
        """The image and its tiles; ``pixels`` is a :class:`TiledImage`."""
        upright = self.preprocessing.upright(image)
        whole = self.preprocessing.prepare(upright)
        tiles = []
        for part in self.tiling.parts(whole.shape):
            prepared = self.tile_preprocessing.prepare(upright.crop(part))
            moved = prepared.to_image.then(Affine(1.0, 1.0, float(part[0]), float(part[1])))
            tiles.append(Tile(part, prepared.pixels, moved))
        return whole._replace(pixels=TiledImage(whole, tuple(tiles)))  # type: ignore[arg-type]

    def raw(self, tensors: Sequence[Any]) -> list[Arrays]:
        """See :class:`Predictor`; ``tensors`` are :class:`TiledImage`."""
        predictions = self._each([inputs for each in tensors for inputs in _inputs(each)])
        return [self._merged(each, [next(predictions) for _ in _inputs(each)]) for each in tensors]

    def _each(self, inputs: Sequence[NDArray[np.uint8]]) -> Iterator[Arrays]:
        """What the model says of each input."""
        for start in range(0, len(inputs), self.batch_size):
            for prediction in self.model.raw(inputs[start : start + self.batch_size]):
                yield {name: np.asarray(value) for name, value in prediction.items()}

    def _merged(self, image: TiledImage, predictions: Sequence[Arrays]) -> Arrays:
        """One prediction of the whole image's and its tiles', in pixels of the whole image's input."""
        height, width = image.whole.shape
        ways = [image.whole.to_image, *(tile.to_image for tile in image.tiles)]
        parts = [(0, 0, width, height), *(tile.part for tile in image.tiles)]
        found: list[Arrays] = []
        for prediction, way, part in zip(predictions, ways, parts, strict=True):
            there = prediction["labels"] >= 0
            boxes = way.boxes(prediction["boxes"][there].astype(np.float64))
            cut = cut_off(boxes, part, image.whole.shape)
            found.append(
                {
                    "boxes": boxes,
                    "scores": prediction["scores"][there],
                    "labels": prediction["labels"][there],
                    "cut": cut,
                }
            )
        every = {name: np.concatenate([each[name] for each in found]) for name in found[0]}
        kept = merged(every, self.tiling.merge)
        return {**kept, "boxes": image.whole.to_image.inverse.boxes(kept["boxes"]).astype(np.float32)}


def _inputs(image: TiledImage) -> list[NDArray[np.uint8]]:
    return [image.whole.pixels, *(tile.pixels for tile in image.tiles)]


def cut_off(boxes: NDArray[np.float64], part: Part, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which boxes end at an edge of their tile that is not one of the image.

    Args:
        boxes: float64 [n, 4], in pixels of the image.
        part: the tile.
        shape: (height, width) of the image.
    """
    left, top, right, bottom = part
    across, down = NEAR_EDGE * (right - left), NEAR_EDGE * (bottom - top)
    cut: NDArray[np.bool_] = (left > 0) & (boxes[:, 0] <= left + across)
    cut |= (right < shape[1]) & (boxes[:, 2] >= right - across)
    cut |= (top > 0) & (boxes[:, 1] <= top + down)
    cut |= (bottom < shape[0]) & (boxes[:, 3] >= bottom - down)
    return cut


def merged(found: Arrays, merge: Merge) -> Arrays:
    """One detection of several of one object.

    Detections that are whole come first, best first; of two of a class that overlap, the earlier one stays. One that a
    tile cuts off goes, too, where most of it lies in another: that sees more of the object.

    Args:
        found: ``boxes`` float64 [n, 4], ``scores`` [n], ``labels`` int64 [n], and ``cut``, bool [n]: which boxes end
            at an inner edge of their tile.
        merge: see :class:`Tiling`.

    Returns:
        ``boxes``, ``scores`` and ``labels`` of those that stay, best first.
    """
    order = np.lexsort((-found["scores"], found["cut"]))
    boxes, scores, labels, cut = (found[name][order] for name in ("boxes", "scores", "labels", "cut"))
    free = np.ones(len(boxes), dtype=bool)
    kept, places = [], []
    for at in range(len(boxes)):
        if not free[at]:
            continue
        rivals = np.flatnonzero(free & (labels == labels[at]))
        overlap = iou(boxes[at][None], boxes[rivals])
        own = intersection(boxes[at][None], boxes[rivals]) / np.maximum(area(boxes[rivals]), 1e-9)
        same = (overlap > SAME) | (cut[rivals] & (own > SAME))
        group = rivals[same | (rivals == at)]
        free[group] = False
        places.append(at)
        alike = rivals[((overlap > SAME) & (cut[rivals] == cut[at])) | (rivals == at)]
        weights = np.maximum(scores[alike], 1e-9) if merge == "weighted" else alike == at
        kept.append(np.average(boxes[alike], axis=0, weights=weights))
    chosen = np.asarray(places, dtype=np.int64)
    best = np.argsort(-scores[chosen], kind="stable")
    joined = np.asarray(kept, dtype=np.float64).reshape(-1, 4)
    return {"boxes": joined[best], "scores": scores[chosen][best], "labels": labels[chosen][best]}
