"""Keypoints as a kind of target that moves with its image, and what their names say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.api import Placement, Targets, UserError

Points = NDArray[np.float64]
"""float64 [..., 2], (x, y)."""

OTHER = {"left": "right", "right": "left", "l": "r", "r": "l"}
SIDES = ("left|right", r"(?<![a-z])[lr](?![a-z])")
"""What names the side of a point: ``left_eye``, ``eyeRight``, ``l_eye``, ``eye.r``."""


def mirrored(names: Sequence[str], pairs: Sequence[Sequence[str]] | None) -> list[int]:
    """The number of the point that each point becomes in a mirror.

    Args:
        names: of the points.
        pairs: names of points that change places; None goes by left and right, l and r in the names.

    Raises:
        UserError: a pair that is none, or has names that there are not.
    """
    if pairs is not None:
        swapped = {a: b for one, two in named_pairs("flip_pairs", pairs, names) for a, b in ((one, two), (two, one))}
        if len(swapped) != 2 * len(pairs):
            raise UserError(f"data.format.flip_pairs={list(map(list, pairs))}: a point stands in two pairs, or twice")
        return [swapped.get(number, number) for number in range(len(names))]
    lower = [name.lower() for name in names]
    found = list(range(len(names)))
    for number, name in enumerate(lower):
        for side in SIDES:
            other = re.sub(side, lambda match: OTHER[match[0]], name)
            if other != name and other in lower:
                found[number] = lower.index(other)
    return found


def named_pairs(key: str, pairs: Sequence[Sequence[str]], names: Sequence[str]) -> list[list[int]]:
    """Pairs of names as pairs of numbers.

    Raises:
        UserError: naming ``data.format.key``, of a name that there is not.
    """
    for pair in pairs:
        if isinstance(pair, str) or len(pair) != 2:
            raise UserError(f"data.format.{key}: {pair!r} is no pair: write [[left_eye,right_eye],[...]]")
        for name in pair:
            if name not in names:
                near = get_close_matches(str(name), names, n=1)
                hint = f"did you mean {near[0]}?" if near else f"the points are {', '.join(names)}"
                raise UserError(f"data.format.{key}: there is no point {name!r}; {hint}")
    return [[names.index(one), names.index(two)] for one, two in pairs]


@final
class PointTargets(Targets):
    """The keypoints of an object an image.

    Args:
        points: float [n, K, 2], in pixels of the upright image, or of the part that was cut out of it.
        visible: uint8 [n, K]: 0 not labelled, 1 labelled and hidden, 2 seen.
        flip: of each point, the number of the one that it becomes in a mirror.
        boxes: float [n, 4], (x, y, width, height) of each object, likewise; NaN where nobody says.
        areas: float [n], of each object in square pixels; NaN: that of its box.
        corners: float [n, 2], (x, y) of the part that was cut out; None: the whole image.
        images: int [n], which image an object is in; None: each in its own.
    """

    def __init__(
        self,
        points: Points,
        visible: NDArray[np.uint8],
        flip: Sequence[int],
        *,
        boxes: Points | None = None,
        areas: NDArray[np.float64] | None = None,
        corners: Points | None = None,
        images: NDArray[np.int64] | None = None,
    ) -> None:
        n = len(points)
        boxes = np.full((n, 4), np.nan) if boxes is None else boxes
        around = np.array([box_around(*each) for each in zip(points, visible, strict=True)]).reshape(n, 4)
        boxes = np.where(np.isfinite(boxes), boxes, around)
        areas = boxes[:, 2] * boxes[:, 3] if areas is None else np.where(areas > 0, areas, boxes[:, 2] * boxes[:, 3])
        self.flip, self.rows = np.asarray(flip), np.arange(n)
        self.arrays = {
            "points": points.astype(np.float64),
            "visible": visible.astype(np.uint8),
            "side": boxes[:, 2:].max(axis=1, initial=0),
            "area": areas,
            "corner": np.zeros((n, 2)) if corners is None else corners,
            "image": np.arange(n) if images is None else images,
        }

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int | np.integer):
            return {name: values[self.rows[index]] for name, values in self.arrays.items()}
        chosen = object.__new__(type(self))
        chosen.__dict__ |= self.__dict__ | {"rows": self.rows[index]}
        return chosen

    def placed(self, index: int, placement: Placement) -> dict[str, Any]:
        """Where the points lie in the input, and how from there to the whole image, whose pixels metrics count in.

        Returns:
            ``points`` float32 [K, 2] and ``visible`` uint8 [K]; ``to_image`` float64 [4], the mapping of points;
            ``side``, the longer one of the object's box, and its ``area``, float64 in the image's pixels; ``place``
            int64 [2], the number of the image and of the object.
        """
        own = self[index]
        points, visible = placement.to_input.points(own["points"]), own["visible"]
        if placement.mirrored:
            points, visible = points[self.flip], visible[self.flip]
        back = placement.to_input.inverse
        shifted = back._replace(shift_x=back.shift_x + own["corner"][0], shift_y=back.shift_y + own["corner"][1])
        return {
            "points": points.astype(np.float32),
            "visible": visible,
            "to_image": np.array(shifted, dtype=np.float64),
            "side": np.float64(own["side"] or max(placement.shape)),
            "area": np.float64(own["area"] or placement.shape[0] * placement.shape[1]),
            "place": np.array([own["image"], self.rows[index]], dtype=np.int64),
        }


def box_around(points: Points, visible: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    """(x, y, width, height) around the labelled points; zeros of none."""
    labelled = points[visible > 0]
    low, high = (labelled.min(axis=0), labelled.max(axis=0)) if len(labelled) else (np.zeros(2), np.zeros(2))
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])


ROUNDING = 1.0
"""Pixels that a point may lie beyond its image."""


def outside(points: NDArray[np.float64], names: Sequence[str], height: int, width: int) -> str:
    """What to say of the first labelled point of [K, 3] that does not lie in its image; empty without any."""
    beyond = np.abs(points[:, :2] - points[:, :2].clip(0, (width, height))).max(axis=1) > ROUNDING
    for number in np.flatnonzero(beyond & (points[:, 2] > 0)).tolist():
        x, y = points[number, :2].tolist()
        return f"{names[number]} ({x:g}, {y:g}) lies outside the image of {width} x {height} pixels"
    return ""


def pairs_note(names: Sequence[str], flip: Sequence[int]) -> str:
    """Which points a mirror swaps, for the console."""
    pairs = [f"{names[one]} and {names[other]}" for one, other in enumerate(flip) if one < other]
    return f"in a mirror {', '.join(pairs[:3]) or 'no points'}{' ...' if len(pairs) > 3 else ''} change places"
