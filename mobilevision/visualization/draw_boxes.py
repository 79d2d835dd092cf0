"""Boxes on images, with captions that can be read; truth and predictions side by side. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from zlib import crc32

import numpy as np
from PIL import Image, ImageDraw

from mobilevision.ops.boxes import iou
from mobilevision.visualization.draw import BAD, GOOD, INK, PAPER, cut, font, to_image

if TYPE_CHECKING:
    from numpy.typing import NDArray


# Which of the boxes on one image are right, wrong and missed, for people to look at.

Mark = Literal["neutral", "correct", "wrong", "missed", "ignored"]


class Shown(NamedTuple):
    """A box on an image.

    Attributes:
        box: (left, top, right, bottom) in pixels of the image.
        label: the class.
        score: how sure the model is, 0 to 1; None for a true box.
        crowd: a region of many: neither to be found nor wrong to be found.
        difficult: an object of which the same holds.
        mark: what became of it, see :func:`judge`; ``neutral`` where nobody knows.
    """

    box: Sequence[float]
    label: str
    score: float | None = None
    crowd: bool = False
    difficult: bool = False
    mark: Mark = "neutral"


def judge(
    prediction: Sequence[Shown], truth: Sequence[Shown], *, overlap: float = 0.5
) -> tuple[list[Shown], list[Shown]]:
    """Mark what was found and what was not.

    From the highest score on, a detection takes the free true box of its label that it overlaps most. It is then
    ``correct``, else ``wrong``; a true box is ``correct`` or ``missed``. Crowd regions and difficult boxes, and
    detections that lie on nothing but these, are ``ignored``.

    Args:
        prediction: the detections, in any order.
        truth: the true boxes.
        overlap: the intersection over union that a match needs (over the detection's own area for a crowd region).

    Returns:
        Both with their marks, in their own order.
    """
    found = list(prediction)
    known = [box._replace(mark="ignored" if box.crowd or box.difficult else "missed") for box in truth]
    amounts = iou(_corners(found)[:, None], _corners(known), crowd=np.array([box.crowd for box in known], dtype=bool))
    for place in sorted(range(len(found)), key=lambda index: -(found[index].score or 0.0)):
        near = [i for i, box in enumerate(known) if box.label == found[place].label and amounts[place, i] >= overlap]
        free = [i for i in near if known[i].mark == "missed"]
        mark: Mark = "correct" if free else "ignored" if any(known[i].mark == "ignored" for i in near) else "wrong"
        found[place] = found[place]._replace(mark=mark)
        if free:
            best = max(free, key=lambda index: amounts[place, index])
            known[best] = known[best]._replace(mark="correct")
    return found, known


def _corners(boxes: Sequence[Shown]) -> NDArray[np.float64]:
    return np.array([box.box for box in boxes], dtype=np.float64).reshape(-1, 4)


# Of the frame, bright, and of the caption, dark enough for white letters.
_COLOURS = {
    "correct": ("#35d07f", GOOD),
    "wrong": ("#ff4f5e", BAD),
    "missed": ("#ffa02e", "#c46a08"),
    "ignored": ("#b9c0c8", "#6f7884"),
}
_DASHED = {"missed", "ignored"}
# Of a class where nobody knows what is right.
_PALETTE = (
    "#2f6fde",
    "#a33fb5",
    "#0f8a8a",
    "#b5541c",
    "#5b6b1f",
    "#c22f72",
    "#6a4fd0",
    "#1f7a3f",
    "#8a5a44",
    "#3d7ea6",
)
_GAP = 6
_PANEL = 512  # the longer side of each of two images
_READABLE = 320  # the longer side below which captions would hide the image


class _Spot(NamedTuple):
    """A rectangle on the canvas, in whole pixels."""

    left: int
    top: int
    right: int
    bottom: int

    def meets(self, other: _Spot) -> bool:
        """Whether the two share a pixel."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def draw_boxes(pixels: NDArray[np.uint8], shown: Sequence[Shown], *, at_most: int = 640) -> Image.Image:
    """An image with boxes on it, each with its label and score.

    Right ones are green, wrong ones red, missed ones orange and dashed, ignored ones grey and dashed; a neutral one
    has a colour of its label. Captions stay on the image and do not cover one another: where there is no room, the
    less sure box goes without.

    Args:
        pixels: uint8 [height, width, channels] or [height, width].
        shown: boxes in pixels of ``pixels``; parts that lie outside are cut off.
        at_most: an image with a larger longer side is scaled down, and its boxes with it; a small one is scaled up.
    """
    image = to_image(pixels, at_least=_READABLE, at_most=at_most)
    scale = image.width / pixels.shape[1], image.height / pixels.shape[0]
    draw = ImageDraw.Draw(image)
    line = max(2, max(image.size) // 220)
    # What matters most last, so that it lies on top; its caption first, so that it has the best place.
    ordered = sorted(shown, key=lambda box: (box.mark == "missed", 1.0 if box.score is None else box.score))
    placed = [(box, _spot(box.box, scale, image.size)) for box in ordered]
    for box, spot in placed:
        _outline(draw, spot, _colours(box)[0], line, dashed=box.mark in _DASHED)
    _captions(draw, placed[::-1], image.size)
    return image


def compared(
    pixels: NDArray[np.uint8],
    *,
    prediction: Sequence[Shown],
    truth: Sequence[Shown] | None = None,
) -> Image.Image:
    """What is there on the left and what the model says on the right, both judged; the latter alone without truth.

    Args:
        pixels: uint8 [height, width, channels].
        prediction: detections in pixels of ``pixels``, only those that are to be shown.
        truth: true boxes likewise; None where they are not known.
    """
    if truth is None:
        return draw_boxes(pixels, prediction)
    found, known = judge(prediction, truth)
    panels = [draw_boxes(pixels, boxes, at_most=_PANEL) for boxes in (known, found)]
    width, height = panels[0].size
    band = 22
    sheet = Image.new("RGB", (2 * width + _GAP, height + band), PAPER)
    draw, face = ImageDraw.Draw(sheet), font(12)
    for column, (panel, text) in enumerate(zip(panels, _headers(found, known), strict=True)):
        left = column * (width + _GAP)
        sheet.paste(panel, (left, band))
        draw.text((left + 6, band // 2), cut(text, face, width - 12), INK, face, anchor="lm")
    return sheet


def _headers(found: Sequence[Shown], known: Sequence[Shown]) -> tuple[str, str]:
    missed, wrong = (sum(box.mark == mark for box in boxes) for mark, boxes in (("missed", known), ("wrong", found)))
    boxes = sum(box.mark != "ignored" for box in known)
    return f"truth: {boxes}, missed: {missed}", f"prediction: {len(found)}, wrong: {wrong}"


def _colours(box: Shown) -> tuple[str, str]:
    """Of the frame and of the caption."""
    own = _PALETTE[crc32(box.label.encode()) % len(_PALETTE)]
    return _COLOURS.get(box.mark, (own, own))


def _spot(box: Sequence[float], scale: tuple[float, float], size: tuple[int, int]) -> _Spot:
    """Where a box lies on the canvas: inside it, and at least two pixels wide and high."""
    left, right = _within(box[0] * scale[0], box[2] * scale[0], size[0])
    top, bottom = _within(box[1] * scale[1], box[3] * scale[1], size[1])
    return _Spot(left, top, right, bottom)


def _within(start: float, end: float, size: int) -> tuple[int, int]:
    first = round(min(max(start if math.isfinite(start) else 0, 0), size - 3))
    last = round(min(max(end if math.isfinite(end) else size, 0), size - 1))
    return first, max(last, first + 2)


def _outline(draw: Any, spot: _Spot, colour: str, line: int, *, dashed: bool) -> None:
    """A frame with a thin dark rim, so that it is seen on any ground."""
    if not dashed:
        draw.rectangle((spot.left - 1, spot.top - 1, spot.right + 1, spot.bottom + 1), outline=PAPER, width=line + 2)
        draw.rectangle(tuple(spot), outline=colour, width=line)
        return
    step = 4 * line
    for start in range(spot.left, spot.right, 2 * step):
        end = min(start + step, spot.right)
        draw.rectangle((start, spot.top, end, spot.top + line - 1), fill=colour)
        draw.rectangle((start, spot.bottom - line + 1, end, spot.bottom), fill=colour)
    for start in range(spot.top, spot.bottom, 2 * step):
        end = min(start + step, spot.bottom)
        draw.rectangle((spot.left, start, spot.left + line - 1, end), fill=colour)
        draw.rectangle((spot.right - line + 1, start, spot.right, end), fill=colour)


def _captions(draw: Any, boxes: Sequence[tuple[Shown, _Spot]], size: tuple[int, int]) -> None:
    """Label and score at each box for which there is room, in this order."""
    letters = max(10, min(15, max(size) // 38))
    face, high = font(letters), letters + 5
    taken: list[_Spot] = []
    for box, spot in boxes:
        text = box.label if box.score is None else f"{box.label} {box.score:.2f}"
        text = cut(text, face, min(size[0], max(spot.right - spot.left, 110)) - 6)
        wide = math.ceil(face.getlength(text)) + 6
        left = max(0, min(spot.left, size[0] - wide))
        for top in (spot.top - high, spot.top, spot.bottom, spot.bottom - high):
            place = _Spot(left, top, left + wide, top + high)
            if top >= 0 and place.bottom <= size[1] and not any(place.meets(other) for other in taken):
                draw.rectangle((place.left, place.top, place.right - 1, place.bottom - 1), fill=_colours(box)[1])
                draw.text((place.left + 3, place.top + high // 2), text, INK, face, anchor="lm")
                taken.append(place)
                break
