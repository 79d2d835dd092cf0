"""Which of the boxes on one picture are right, wrong and missed, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Mark = Literal["neutral", "correct", "wrong", "missed", "ignored"]


class Shown(NamedTuple):
    """A box on a picture.

    Attributes:
        box: (left, top, right, bottom) in pixels of the picture.
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
    found, known = list(prediction), [_left_aside(box) for box in truth]
    amounts = _overlaps(_corners(found), _corners(known), np.array([box.crowd for box in known], dtype=bool))
    for place in sorted(range(len(found)), key=lambda index: -(found[index].score or 0.0)):
        near = [i for i, box in enumerate(known) if box.label == found[place].label and amounts[place, i] >= overlap]
        free = [i for i in near if known[i].mark == "missed"]
        mark: Mark = "correct" if free else "ignored" if any(known[i].mark == "ignored" for i in near) else "wrong"
        found[place] = found[place]._replace(mark=mark)
        if free:
            best = max(free, key=lambda index: amounts[place, index])
            known[best] = known[best]._replace(mark="correct")
    return found, known


def _left_aside(box: Shown) -> Shown:
    """A true box before anything is found."""
    return box._replace(mark="ignored" if box.crowd or box.difficult else "missed")


def _corners(boxes: Sequence[Shown]) -> NDArray[np.float64]:
    return np.array([box.box for box in boxes], dtype=np.float64).reshape(-1, 4)


def _overlaps(found: NDArray[np.float64], truth: NDArray[np.float64], crowd: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Intersection over union, over the found box's area in a crowd; float64 [found, truth]."""
    left, right = found[:, None], truth[None]
    sides = np.clip(np.minimum(left[..., 2:], right[..., 2:]) - np.maximum(left[..., :2], right[..., :2]), 0, None)
    common = sides.prod(axis=-1)
    own, other = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (found, truth))
    union = np.where(crowd[None], own[:, None], own[:, None] + other[None] - common)
    return np.where(union > 0, common / np.where(union > 0, union, 1), 0.0)
