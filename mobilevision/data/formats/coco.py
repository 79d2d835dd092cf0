"""COCO 2017: 118,287 images to train on and 5,000 to evaluate, 80 classes (Lin et al., arXiv:1405.0312)."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats.annotations.coco_file import CocoFile, read_coco
from mobilevision.data.formats.annotations.image_lookup import with_paths
from mobilevision.data.formats.annotations.raw import Raw, join
from mobilevision.data.formats.annotations.splits import make_splits
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError
from mobilevision.ranges import Range, check_ranges


@final
class Coco(DataFormat):
    """Reads ``annotations/instances_train2017.json``, ``instances_val2017.json`` and the images they name.

    Plainly, train is train2017 and val is val2017. With ``minival``, as the MobileNet paper has it, train is both
    without the listed images, and those are val and test.

    Boxes that repeat another exactly stay, so that the numbers are those of COCO's own evaluation.

    Args:
        year: 2017 or 2014, as in the files' names.
        minival: a file with image ids, one a line; None for the plain split.
        images: the folder above train2017/ and val2017/; None finds it.
    """

    kinds: ClassVar[tuple[str, ...]] = ("boxes",)
    expected: ClassVar[str] = (
        "the folder of COCO: train2017/, val2017/ and annotations/instances_{train,val}2017.json"
        " (unpack train2017.zip, val2017.zip and annotations_trainval2017.zip from cocodataset.org into it)"
    )

    @check_ranges("data.format")
    def __init__(
        self,
        *,
        year: Annotated[int, Range(min=2014, max=2017)] = 2017,
        minival: str | None = None,
        images: str | None = None,
    ) -> None:
        self.year, self.minival, self.images = year, minival, images

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root = self.place(root)
        splits = Splits(notes=[f"COCO {self.year}"])
        files = {split: self._file(root, split, splits.problems) for split in ("train", "val")}
        parts = {split: file.raw for split, file in files.items()}
        if self.minival is not None:
            parts = self._minival(files, Path(self.minival).expanduser(), splits.problems)
            splits.notes.append(f"COCO: train and val are one, less the images in {self.minival}: val, test")
        names = parts["train"].names
        splits = make_splits(parts, splits, root=root, channels=channels, classes=names, keep_repeats=True)
        splits.test = splits.val if self.minival is not None else None
        return splits

    def _file(self, root: Path, split: str, problems: list[Problem]) -> CocoFile:
        file = root / "annotations" / f"instances_{split}{self.year}.json"
        if not file.is_file():
            raise UserError(f"data.root={root}: no file annotations/{file.name}; it should be {self.expected}")
        find = partial(with_paths, file=file, top=root, split=split, images=self.images, option="coco")
        return read_coco(file, os.path.relpath(file, root), problems, find)

    def _minival(self, files: dict[str, CocoFile], listed: Path, problems: list[Problem]) -> dict[str, Raw]:
        train, val = files["train"], files["val"]
        both = join(train.raw, _same(val.raw, train.raw.names))
        held = _held([*train.ids, *val.ids], listed, problems)
        return {"train": both.images(~held), "val": both.images(held)}


def _same(raw: Raw, names: tuple[str, ...]) -> Raw:
    if raw.names != names:
        raise UserError("the categories of COCO's train and val differ: unpack annotations_trainval2017.zip again")
    return raw


def _held(ids: list[object], listed: Path, problems: list[Problem]) -> NDArray[np.bool_]:
    """Which of the images stand in the list.

    Raises:
        UserError: no list, or none of the images in it.
    """
    if not listed.is_file():
        raise UserError(f"data.format.minival={listed}: no such file; it should hold image ids, one a line")
    place, held = {str(each): i for i, each in enumerate(ids)}, np.zeros(len(ids), dtype=bool)
    for number, line in enumerate(listed.read_text(encoding="utf-8").splitlines(), start=1):
        name = line.strip()
        if name in place:
            held[place[name]] = True
        elif name:
            where, what = f"{listed.name}:{number}", f"no image of train or val has the id {name}"
            problems.append(Problem(where, what, "mend the id or remove the line"))
    if not held.any() or held.all():
        raise UserError(f"data.format.minival={listed}: lists {int(held.sum())} of the {len(ids)} images")
    return held
