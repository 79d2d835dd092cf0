"""Keypoints of COCO's json: every object a sample, cut out of its image."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.api import (
    CocoJson,
    CocoObjects,
    Cropped,
    DataFormat,
    FileRecords,
    Problem,
    Records,
    Splits,
    UserError,
    printable,
)
from mobilevision.ranges import NonNegativeFloat, check_ranges
from mobilevision_keypoints.points import PointTargets, box_around, mirrored, outside, pairs_note

JSON = ("person_keypoints", "keypoints")
"""What the names of json files with keypoints begin with."""


class Labelled(NamedTuple):
    """An object as it is annotated.

    Attributes:
        where: what messages call it.
        category: the id of its category.
        points: [K, 3], x, y and visibility.
        box: (x, y, width, height); NaN where nobody says.
        area: in square pixels, or NaN.
    """

    where: str
    category: Any
    points: NDArray[np.float64]
    box: NDArray[np.float64]
    area: float


Found = list[tuple[int, Labelled]]
"""Objects with the number of the image that each is in."""


@final
class CocoKeypoints(DataFormat):
    """Reads the keypoints of COCO's json, an object a sample; its image is cut to the square around the object.

    ``annotations/person_keypoints_train2017.json`` with ``train2017/``, ``train/_annotations.coco.json``, and the other
    layouts of ``data=coco_json``. Objects without a labelled point and crowds are left out.

    Args:
        train: the json of train, relative to ``data.root``; None finds it.
        val: the json of val, likewise.
        test: the json of test, likewise.
        images: the folder of the images, or the folder above a folder for each split; None finds it.
        category: whose keypoints are learnt; None: of the only category that has some.
        margin: share of the longer side of a box that is added on every side; None leaves the images whole.
        flip_pairs: names of points that change places in a mirror; None goes by left and right in the names.
    """

    kinds: ClassVar[tuple[str, ...]] = ("keypoints",)
    expected: ClassVar[str] = (
        "a folder with annotations/person_keypoints_train*.json and train*/ (val, test likewise), with"
        " train/_annotations.coco.json, or one json in COCO's format with its images"
    )

    @check_ranges("data.format")
    def __init__(
        self,
        *,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        images: str | None = None,
        category: str | None = None,
        margin: NonNegativeFloat | None = 0.125,
        flip_pairs: Sequence[Sequence[str]] | None = None,
    ) -> None:
        self.json = CocoJson(train=train, val=val, test=test, images=images)
        self.category, self.margin, self.flip_pairs = category, margin, flip_pairs

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root, splits = self.place(root), Splits()
        flip: list[int] = []
        for split, file in self.json.objects(root, partial(_labelled, splits.problems), splits, named=JSON).items():
            objects, names, lines = self._chosen(file)
            if not flip:
                splits.classes, flip = names, mirrored(names, self.flip_pairs)
                splits.facts["skeleton"] = [[one - 1, other - 1] for one, other in lines]
                splits.notes.append(pairs_note(names, flip))
            if names != splits.classes:
                raise UserError(f"{file.called}: its points are {', '.join(names)}, not {', '.join(splits.classes)}")
            kept = self._usable(objects, names, file, splits.problems)
            if not kept:
                raise UserError(f"{file.called}: no usable keypoints; the first problem: {splits.problems[0]}")
            setattr(splits, split, self._records(kept, file, flip, channels))
            splits.notes.append(f"{split}: {len(kept)} objects with keypoints")
        return splits

    def _chosen(self, file: CocoObjects[Labelled]) -> tuple[Found, tuple[str, ...], list[list[int]]]:
        """The objects of the category that is learnt, the names of its points and the lines between them, from 1."""
        categories = {row.get("id"): row for row in file.categories}
        named = {each.category: str(categories.get(each.category, {}).get("name")) for each in file.objects}
        used = [number for number, name in named.items() if self.category in (None, name)]
        if not named:
            raise UserError(
                f"{file.called}: no annotation has keypoints that are labelled: export it as COCO keypoints"
                " (person_keypoints_*.json), or learn boxes with data=coco_json"
            )
        if len(used) != 1:
            raise UserError(
                f"{file.called}: keypoints of the categories {', '.join(named.values())}: name one of them with"
                " data.format.category=NAME"
            )
        pairs = zip(file.owner.tolist(), file.objects, strict=True)
        objects = [(image, each) for image, each in pairs if each.category == used[0]]
        row = categories.get(used[0], {})
        unnamed = [f"point_{number + 1}" for number in range(len(objects[0][1].points))]
        names, lines = tuple(map(str, row.get("keypoints") or unnamed)), row.get("skeleton") or []
        if not all(len(line) == 2 and set(line) <= set(range(1, len(names) + 1)) for line in lines):
            raise UserError(f"{file.called}: skeleton: pairs of numbers from 1 to {len(names)} are expected")
        return objects, names, lines

    def _usable(
        self, objects: Found, names: Sequence[str], file: CocoObjects[Labelled], problems: list[Problem]
    ) -> Found:
        """The objects with all points, these in their image, and of a whole image the only one."""
        kept, first = list[tuple[int, Labelled]](), dict[int, str]()
        for image, each in objects:
            called, fix = printable(file.paths[image]), "write x, y and visibility of every point"
            if len(each.points) != len(names):
                what = f"{each.points.size} numbers, and the {len(names)} named points take {3 * len(names)}"
            elif what := outside(each.points, names, *file.sizes[image].tolist()):
                fix = "mend it, or give it visibility 0"
            elif self.margin is None and first.setdefault(image, each.where) != each.where:
                what = f"a second object in {os.path.basename(called)}"
                fix = "cut images to their boxes with data.format.margin=0.125"
            else:
                kept.append((image, each))
                continue
            problems.append(Problem(each.where, what, fix, called))
        return kept

    def _records(self, kept: Found, file: CocoObjects[Labelled], flip: list[int], channels: int) -> Records:
        points, boxes = np.array([each.points for _, each in kept]), np.array([each.box for _, each in kept])
        cuts = np.array([self._cut(each, *file.sizes[image].tolist()) for image, each in kept])
        targets = PointTargets(
            points[..., :2] - cuts[:, None, :2],
            points[..., 2],
            flip,
            boxes=boxes - cuts * (1, 1, 0, 0),
            areas=np.array([each.area for _, each in kept]),
            corners=cuts[:, :2],
            images=np.array([image for image, _ in kept]),
        )
        paths = [file.paths[image] for image, _ in kept]
        records: Records = FileRecords(paths=paths, targets=targets, channels=channels)
        records = records if self.margin is None else Cropped(records, cuts)
        records.groups = targets.arrays["image"]  # objects of an image stay in one split
        return records

    def _cut(self, each: Labelled, height: int, width: int) -> NDArray[np.float64]:
        """(x, y, width, height) of the square around a box and its points, in whole pixels within the image."""
        if self.margin is None:
            return np.array([0.0, 0.0, width, height])
        around = np.array(box_around(each.points[:, :2], each.points[:, 2]))
        both = np.array([around, np.where(np.isfinite(each.box), each.box, around)])
        low, high = both[:, :2].min(axis=0), (both[:, :2] + both[:, 2:]).max(axis=0)
        middle, half = (low + high) / 2, max((high - low).max() * (0.5 + self.margin), 1.0)
        corner = np.floor(middle - half).clip(0, (width - 1, height - 1))
        return np.concatenate([corner, (np.ceil(middle + half).clip(corner + 1, (width, height))) - corner])


def _labelled(problems: list[Problem], row: Mapping[str, Any], where: str) -> Labelled | None:
    """What is kept of an annotation; None for one without a labelled point, and for crowds."""
    if not row.get("keypoints") or row.get("iscrowd") or row.get("num_keypoints") == 0:
        return None
    points, box, area = (_numbers(row.get(key)) for key in ("keypoints", "bbox", "area"))
    if len(points) % 3 or not np.isfinite(points).all():
        what = f"keypoints: {len(points)} values that are not three numbers a point"
        problems.append(Problem(where, what, "write x, y and visibility of every point"))
        return None
    points = points.reshape(-1, 3)
    box = box if len(box) == 4 else np.full(4, np.nan)
    return Labelled(where, row.get("category_id"), points, box, float(area[0])) if points[:, 2].any() else None


def _numbers(value: Any) -> NDArray[np.float64]:
    try:
        return np.array(value, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        return np.array([np.nan])
