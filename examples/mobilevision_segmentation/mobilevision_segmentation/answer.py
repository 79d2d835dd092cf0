"""What masks say, in NumPy: for the run, and for what is exported from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mobilevision.api import Affine, Agreed, Answer, Pixels, Prediction, panels, to_image

Mask = NDArray[np.uint8]
"""The class number of every pixel [H, W]; IGNORED where nobody knows."""

IGNORED = 255


def look_up(mask: Mask, to_mask: Affine, shape: tuple[int, int]) -> Mask:
    """The class under the centre of every pixel of a grid; IGNORED where the mask has none.

    Args:
        mask: [H, W].
        to_mask: from pixels of the grid to pixels of the mask.
        shape: (height, width) of the grid.
    """
    down = np.floor((np.arange(shape[0]) + 0.5) * to_mask.scale_y + to_mask.shift_y).astype(np.int64)
    across = np.floor((np.arange(shape[1]) + 0.5) * to_mask.scale_x + to_mask.shift_x).astype(np.int64)
    found = mask[down.clip(0, mask.shape[0] - 1)[:, None], across.clip(0, mask.shape[1] - 1)]
    found[(down < 0) | (down >= mask.shape[0])] = IGNORED
    found[:, (across < 0) | (across >= mask.shape[1])] = IGNORED
    return found


COLOURS = np.array(
    [
        *((70, 70, 70), (47, 111, 222), (224, 101, 30), (31, 155, 98), (194, 55, 138)),
        *((122, 92, 214), (176, 138, 18), (21, 147, 173), (211, 59, 59)),
    ]
)
"""Of classes in their order, the first of which usually is the ground; of more, they come again."""
OPACITY = 0.55
LISTED = 8
SEEN = 0.005  # share of an image from which a class is named


class MaskAnswer(Answer):
    """``mask`` uint8 [H, W]: the class of every pixel; targets likewise, 255 where nobody knows."""

    name: ClassVar[str] = "mask"
    needs: ClassVar[Mapping[str, bool]] = {"mask": False}
    agreement: str = "pixels of which both name the same class"
    page: ClassVar[Path | None] = Path(__file__).parent / "page.js"

    def locate(self, values: Any, mapping: Affine) -> Any:
        """With ``to_image``, where the mask lies in the image; a target becomes such a prediction, too."""
        named = values if isinstance(values, Mapping) else {"mask": values}
        return {**named, "to_image": np.array(mapping, dtype=np.float64)}

    def describe(self, prediction: Prediction) -> dict[str, Any]:
        """``found`` in words, and ``shares`` of the image by class."""
        counts = np.bincount(_within(prediction).ravel(), minlength=len(self.classes))[: len(self.classes)]
        shares = counts / max(1, counts.sum())
        order = [int(place) for place in np.argsort(-shares, kind="stable") if shares[place] >= SEEN]
        found = ", ".join(f"{self.classes[place]} {shares[place]:.0%}" for place in order[:LISTED])
        return {"found": found, "shares": {self.classes[place]: round(float(shares[place]), 4) for place in order}}

    def draw(self, image: Pixels, prediction: Prediction, target: Any = None) -> Any:
        """The classes in colours over the image, beside the truth where it is known, and what the colours mean."""
        both = [("prediction", prediction), *([] if target is None else [("truth", target)])]
        drawn = [(title, self._painted(image, self.locate_once(each))) for title, each in both]
        return panels([*drawn, ("classes", self._legend([each for _, each in both], drawn[0][1].height))])

    def files(self, prediction: Prediction, shape: tuple[int, int]) -> dict[str, Image.Image]:
        """``masks``: class numbers at the image's size, with a palette to look at."""
        image = Image.fromarray(_at(self.locate_once(prediction), shape), mode="P")
        palette = np.resize(COLOURS, (256, 3))
        palette[IGNORED] = 255
        image.putpalette(palette.astype(np.uint8).ravel().tolist())
        return {"masks": image}

    def truth(self, target: Any) -> str:
        """The classes that are there."""
        return str(self.describe(self.locate_once(target))["found"])

    def agree(self, mine: Prediction, other: Prediction) -> Agreed:
        """How many pixels have the same class."""
        same = mine["mask"] == other["mask"]
        return Agreed(float(same.sum()), float(same.size))

    def locate_once(self, values: Any) -> Any:
        """Values that :meth:`locate` has seen, or that lie as their image does."""
        done = isinstance(values, Mapping) and "to_image" in values
        return values if done else self.locate(values, Affine(1.0, 1.0, 0.0, 0.0))

    def _painted(self, image: Pixels, prediction: Prediction) -> Image.Image:
        drawn = to_image(image)
        scaled = Affine(*prediction["to_image"]).then(
            Affine(drawn.width / image.shape[1], drawn.height / image.shape[0], 0.0, 0.0)
        )
        mask = _at({**prediction, "to_image": np.array(scaled)}, (drawn.height, drawn.width))
        colours = COLOURS[mask % len(COLOURS)]
        strength = np.where(mask == IGNORED, 0.0, OPACITY)[..., None]
        grey = np.asarray(drawn.convert("L").convert("RGB"))  # colours of the image would mix with those of the classes
        return Image.fromarray((grey * (1 - strength) + colours * strength).round().astype(np.uint8))

    def _legend(self, shown: list[Any], height: int) -> Image.Image:
        there = np.unique(np.concatenate([np.unique(self.locate_once(each)["mask"]) for each in shown]))
        names = [int(number) for number in there if number < len(self.classes)][: max(1, height // 16)]
        legend = Image.new("RGB", (110, height), "#16191d")
        pen = ImageDraw.Draw(legend)
        for row, number in enumerate(names):
            pen.rectangle((4, 16 * row + 2, 14, 16 * row + 12), fill=tuple(COLOURS[number % len(COLOURS)].tolist()))
            pen.text((20, 16 * row + 1), self.classes[number][:14], fill="#ffffff")
        return legend


@final
class MaskLogits(MaskAnswer):
    """``logits`` float [K, h, w], of a graph that leaves enlarging and choosing to whoever runs it."""

    name: ClassVar[str] = "mask_logits"
    needs: ClassVar[Mapping[str, bool]] = {"logits": False}

    def finish(self, outputs: Prediction) -> dict[str, Any]:
        """``mask``, of a batch: enlarged bilinearly, then the class with the largest logit."""
        height, width = self.facts["resolution"]
        return {"mask": enlarge(outputs["logits"], (int(height), int(width))).argmax(axis=1).astype(np.uint8)}


def enlarge(values: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Bilinear, between the centres of pixels: [..., h, w] to [..., *size], as torch without ``align_corners``."""
    for axis, length in zip((-2, -1), size, strict=True):
        have = values.shape[axis]
        places = ((np.arange(length) + 0.5) * have / length - 0.5).clip(0, have - 1)
        low = np.floor(places).astype(np.int64)
        shape = (length, 1) if axis == -2 else (length,)
        share = (places - low).astype(np.float32).reshape(shape)
        first, second = (np.take(values, each, axis=axis) for each in (low, (low + 1).clip(max=have - 1)))
        values = first * (1 - share) + second * share
    return values


def _within(prediction: Prediction) -> NDArray[Any]:
    """The part of a mask that shows the image: what pads it has the same width on both sides."""
    mask = np.asarray(prediction["mask"])
    if "to_image" not in prediction:
        return mask
    before = Affine(*prediction["to_image"]).inverse
    top, left = (max(0, round(shift)) for shift in (before.shift_y, before.shift_x))
    return mask[top : mask.shape[0] - top, left : mask.shape[1] - left]


def _at(prediction: Prediction, shape: tuple[int, int]) -> NDArray[Any]:
    return look_up(np.asarray(prediction["mask"]), Affine(*prediction["to_image"]).inverse, shape)
