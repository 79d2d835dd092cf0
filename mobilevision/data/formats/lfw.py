"""Labeled Faces in the Wild: 13,233 images of 5,749 people, with its own lists of pairs (Huang et al. 2007)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Literal, final

import numpy as np

from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats.folder import ImageFolder
from mobilevision.data.formats.identities import pooled, test_on_pairs
from mobilevision.data.formats.scan import folders, has_images
from mobilevision.data.records import Splits
from mobilevision.errors import UserError

LISTS = {"folds": "pairs.txt", "dev": "pairsDevTest.txt"}
PEOPLE = "peopleDevTrain.txt"


@final
class LFW(DataFormat):
    """Reads LFW as it is distributed: a folder of folders of images, ``pairs.txt`` and the lists of view 1.

    The people in the list of pairs are the test; the others are train (in view 1 those of ``peopleDevTrain.txt``,
    where that is there), so that nobody is in both.

    Args:
        view: ``folds``, the ten folds of ``pairs.txt`` that results are reported on; or ``dev``, ``pairsDevTest.txt``.
    """

    kinds: ClassVar[tuple[str, ...]] = ("identity",)
    expected: ClassVar[str] = (
        "a folder with pairs.txt (or pairsDevTest.txt) and LFW's images, as lfw/NAME/NAME_0001.jpg or NAME/..."
    )

    def __init__(self, *, view: Literal["folds", "dev"] = "folds") -> None:
        if view not in LISTS:
            raise UserError(f"data.format.view={view}: must be {' or '.join(LISTS)}")
        self.view = view

    def claims(self, root: Path) -> bool:
        """Whether its list of pairs and folders of images lie there."""
        return root.is_dir() and (root / LISTS[self.view]).is_file() and _images(root) is not None

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root = self.place(root)
        base = _images(root) if root.is_dir() else None
        table = root / LISTS[self.view]
        if base is None or not table.is_file():
            what = "no folders of images" if base is None else f"no {table.name}"
            raise UserError(f"data.root={root}: {what}; it should be {self.expected}")
        read = ImageFolder().read(root=base, kind="class", channels=channels, seed=seed)
        splits = test_on_pairs(pooled(read, channels), table, base, channels)
        splits.whole = False
        listed = root / PEOPLE
        if self.view == "dev" and listed.is_file() and splits.train is not None:
            lines = listed.read_text(encoding="utf-8").splitlines()
            names = {line.split("\t")[0].strip() for line in lines if len(line.split("\t")) > 1}
            known = np.array([name in names for name in splits.classes])
            splits.train = splits.train.subset(np.flatnonzero(known[splits.train.targets.identities]))
        splits.notes = [f"LFW, {table.name}"]
        return splits


def _images(root: Path) -> Path | None:
    """The folder whose folders hold images: the root, or one in it (lfw, lfw-deepfunneled ...)."""
    inside = [root, *(root / os.fsdecode(name) for name in folders(root))]
    return next((base for base in inside if any(has_images(base / os.fsdecode(n)) for n in folders(base)[:50])), None)
