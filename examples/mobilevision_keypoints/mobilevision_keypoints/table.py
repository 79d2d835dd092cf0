"""Keypoints in a CSV: a row an image, with the columns NAME_x, NAME_y and perhaps NAME_v of every point."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, final

import numpy as np

from mobilevision.api import (
    DataFormat,
    FileRecords,
    Problem,
    Splits,
    UserError,
    image_sizes,
    is_missing,
    printable,
    table_rows,
)
from mobilevision.ranges import NonNegativeInt
from mobilevision_keypoints.points import PointTargets, mirrored, named_pairs, outside, pairs_note


@final
class KeypointsCsv(DataFormat):
    """Reads a table with a row an image: its path, and of every point the columns NAME_x, NAME_y and perhaps NAME_v.

    Empty cells are a point that is not labelled. A column ``split``, or tables named train, val and test, say which
    split a row is of.

    Args:
        path: column of the images, a name or a number from 0; None finds it.
        skeleton: pairs of names between which drawings have a line.
        flip_pairs: names of points that change places in a mirror; None goes by left and right in the names.
    """

    kinds: ClassVar[tuple[str, ...]] = ("keypoints",)
    expected: ClassVar[str] = "a CSV with the columns path, nose_x, nose_y ..., or a folder with train.csv and val.csv"

    def __init__(
        self,
        *,
        path: str | NonNegativeInt | None = None,
        skeleton: Sequence[Sequence[str]] | None = None,
        flip_pairs: Sequence[Sequence[str]] | None = None,
    ) -> None:
        self.path, self.skeleton, self.flip_pairs = path, skeleton or (), flip_pairs

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root, splits = self.place(root), Splits()
        heads: list[str] = []

        def columns_of(head: list[str], table: Path) -> list[int]:
            found = _columns(head, table)
            own = [head[number].strip() for number in found]
            if heads and own != heads:
                raise UserError(
                    f"{table}: its points are {', '.join(own)}, those of the first table {', '.join(heads)}"
                )
            heads[:] = own
            return found

        rows = table_rows(root, splits, expected=self.expected, columns_of=columns_of, path=self.path)
        names = splits.classes = tuple(dict.fromkeys(name[:-2] for name in heads))
        flip = mirrored(names, self.flip_pairs)
        splits.facts["skeleton"] = named_pairs("skeleton", self.skeleton, names)
        found = []
        for row, (height, width, _) in zip(rows, image_sizes([row.path for row in rows]).tolist(), strict=True):
            points, what = _points(row.cells, heads)
            what = what or (outside(points, names, height, width) if height else "")
            if what:
                fix = "write pixels of the image, or leave x and y empty"
                splits.problems.append(Problem(row.where, what, fix, printable(row.path)))
            elif points[:, 2].any():
                found.append((row, points))
        for split in dict.fromkeys(row.split for row, _ in found):
            own = [(row.path, points) for row, points in found if row.split == split]
            points = np.array([points for _, points in own])
            targets = PointTargets(points[..., :2], points[..., 2], flip)
            setattr(splits, split, FileRecords(paths=[path for path, _ in own], targets=targets, channels=channels))
        if splits.train is None:
            first = f"; the first problem: {splits.problems[0]}" if splits.problems else ""
            raise UserError(f"data.root={root}: no usable row for train{first}")
        splits.notes += [f"CSV: {len(found)} rows of {len(names)} points", pairs_note(names, flip)]
        return splits


def _columns(head: Sequence[str], table: Path) -> list[int]:
    """The columns of the points: x, y and perhaps v of the first, of the second ..."""
    found: dict[str, dict[str, int]] = {}
    for number, cell in enumerate(head):
        if match := re.fullmatch(r"(.+)[_ .-]([xyv])", cell.strip(), re.IGNORECASE):
            found.setdefault(match[1], {})[match[2].lower()] = number
    if not found:
        raise UserError(
            f"{table}: no columns NAME_x and NAME_y; it has {', '.join(head)}: call them nose_x, nose_y ..."
        )
    for name, own in found.items():
        for axis in "xy":
            if axis not in own:
                raise UserError(f"{table}: the point {name} has no column {name}_{axis}; it has {', '.join(head)}")
    return [own[axis] for own in found.values() for axis in "xyv" if axis in own]


def _points(cells: Sequence[str], heads: Sequence[str]) -> tuple[np.ndarray, str]:
    """Points [K, 3], with visibility 2 where there is no column for it; and what is wrong, or nothing."""
    points: list[list[float]] = []
    for cell, head in zip(cells, heads, strict=True):
        try:
            value = np.nan if is_missing(cell.strip()) else float(cell.strip().replace(",", "."))
        except ValueError:
            return np.zeros((0, 3)), f"{head}: {cell.strip()[:40]!r} is no number"
        if head[-1] in "xX":
            points.append([value, np.nan, 2.0])
        else:
            points[-1]["xyv".index(head[-1].lower())] = value
    found = np.array(points)
    empty = np.isnan(found[:, :2])
    if (empty[:, 0] != empty[:, 1]).any():
        return found, f"{heads[0]} ...: a point with x and no y, or y and no x"
    found[empty[:, 0]] = 0
    return np.nan_to_num(found), ""
