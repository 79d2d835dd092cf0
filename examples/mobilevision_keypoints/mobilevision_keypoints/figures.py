"""Drawn stick figures, a function of (seed, split, index): no file, no download."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from PIL import Image, ImageDraw

from mobilevision.api import DrawnFormat, DrawnRecords, Sizes, Splits, backdrop, grain
from mobilevision_keypoints.points import Points, PointTargets, mirrored

LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
NAMES = ("head", *(f"{side}_{limb}" for limb in LIMBS for side in ("left", "right")))
LINES = [
    *(("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")),
    *(
        (f"{side}_{one}", f"{side}_{two}")
        for side in ("left", "right")
        for one, two in pairwise(LIMBS)
        if one != "wrist"
    ),
    *((f"{side}_shoulder", f"{side}_hip") for side in ("left", "right")),
]
SKELETON = [[NAMES.index(one), NAMES.index(two)] for one, two in LINES]
HEAD = 0.28
"""Radius of the head; the body is 1 from shoulders to hips."""
TIMES = 2
"""How much larger figures are drawn, for smooth edges."""


def pose(rng: np.random.Generator) -> Points:
    """[13, 2]: a figure that faces us, so that its left is on our right, in the order of ``NAMES``; y points down."""
    found: dict[str, Points] = {"head": np.array([rng.uniform(-0.12, 0.12), -0.5])}
    for side, out in (("left", 1.0), ("right", -1.0)):
        arm, leg = rng.uniform(-0.3, 2.9), rng.uniform(-0.2, 1.0)  # radians from hanging down, outwards
        bends = rng.uniform(-0.3, 1.8), rng.uniform(-1.2, 0.3)
        for joints, start, angle, bend, lengths in (
            (LIMBS[:3], (0.38 * out, 0.0), arm, bends[0], (0.6, 0.55)),
            (LIMBS[3:], (0.26 * out, 1.0), leg, bends[1], (0.7, 0.65)),
        ):
            at = np.array(start)
            found[f"{side}_{joints[0]}"] = at
            for joint, turn, length in zip(joints[1:], (angle, angle + bend), lengths, strict=True):
                at = at + length * np.array([out * np.sin(turn), np.cos(turn)])
                found[f"{side}_{joint}"] = at
    turn = rng.uniform(-0.5, 0.5)
    points = np.array([found[name] for name in NAMES])
    points[:, 0] *= rng.uniform(0.75, 1.15)
    turned: Points = points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return turned


@final
class DrawnFigures(DrawnFormat):
    """One stick figure an image, in a random pose, size and colour, on cluttered ground."""

    kinds: ClassVar[tuple[str, ...]] = ("keypoints",)
    name: ClassVar[str] = "figures"
    about: ClassVar[str] = f"drawn stick figures with {len(NAMES)} keypoints"
    names: ClassVar[tuple[str, ...]] = NAMES
    usual: ClassVar[Sizes] = Sizes(train=2000, val=200, test=400, side=96)

    def classes(self) -> tuple[str, ...]:
        """All points, however few images there are."""
        return NAMES

    def records(self, n: int, *, split: int, **shared: Any) -> DrawnRecords:
        """See :class:`DrawnFormat`."""
        return FigureRecords(n, split=split, **shared)

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        splits = super().read(root=root, kind=kind, channels=channels, seed=seed)
        return replace(splits, facts={"skeleton": SKELETON})


@final
class FigureRecords(DrawnRecords):
    """One split."""

    def __init__(self, n: int, **shared: Any) -> None:
        super().__init__(**shared)
        posed = [self._posed(index) for index in range(n)]
        points = np.array([each for each, _ in posed]).reshape(n, len(NAMES), 2)
        self.units = np.array([unit for _, unit in posed])
        self.targets = PointTargets(points, np.full(points.shape[:2], 2, np.uint8), mirrored(NAMES, None))

    def _posed(self, index: int) -> tuple[Points, float]:
        """The points of a figure in the image, and the pixels of its unit."""
        rng = self.rng(index, 0)
        points = pose(rng)
        low, high = points.min(axis=0) - HEAD, points.max(axis=0) + HEAD
        unit = self.side * rng.uniform(0.55, 0.98) / float((high - low).max())
        room = self.side - (high - low) * unit
        return (points - low) * unit + rng.random(2) * room, unit

    def draw(self, index: int) -> Image.Image:
        """See :class:`DrawnRecords`."""
        rng = self.rng(index, 1)
        bright = rng.random(3) < 0.5
        dark, light = rng.integers(0, 90, 3), rng.integers(140, 256, (3, 3))
        ground, inks = np.where(bright, 255 - dark, dark), np.where(bright, 255 - light, light)
        size = (self.side * TIMES, self.side * TIMES)
        image = backdrop(rng, tuple(ground.tolist()), size)
        pen = ImageDraw.Draw(image)
        for _ in range(rng.integers(2, 8)):  # strokes that are no limbs
            bends = np.cumsum([rng.random(2) * size, *rng.normal(0, size[0] / 7, (2, 2))], axis=0)
            pen.line(
                bends.ravel().tolist(), fill=tuple(rng.integers(0, 256, 3).tolist()), width=int(rng.integers(1, 4))
            )
        points, unit = self.targets.arrays["points"][index] * TIMES, float(self.units[index]) * TIMES
        limbs, body, face = (tuple(ink.tolist()) for ink in inks)
        wide = max(2, round(unit * rng.uniform(0.1, 0.2)))
        trunk = [
            NAMES.index(f"{side}_{limb}")
            for side, limb in zip(
                ("left", "right", "right", "left"), ("shoulder", "shoulder", "hip", "hip"), strict=True
            )
        ]
        for one, other in SKELETON:
            pen.line([*points[one], *points[other]], fill=limbs, width=wide)
        pen.polygon([tuple(points[number]) for number in trunk], fill=body)
        for x, y in points[1:].tolist():
            pen.ellipse((x - wide / 2, y - wide / 2, x + wide / 2, y + wide / 2), fill=limbs)
        x, y = points[0].tolist()
        pen.ellipse((x - HEAD * unit, y - HEAD * unit, x + HEAD * unit, y + HEAD * unit), fill=face)
        return grain(rng, image.resize((self.side, self.side), Image.Resampling.BOX))
