"""COCO's json: one file a split, with images, categories and boxes."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeVar, final

from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats.annotations.coco_file import CocoObjects, Row, read_coco, read_objects
from mobilevision.data.formats.annotations.image_lookup import annotation_files, one_a_split, unused_lists, with_paths
from mobilevision.data.formats.annotations.json_kind import COCO, HEAD, kind_by
from mobilevision.data.formats.annotations.raw import Raw, many
from mobilevision.data.formats.annotations.splits import check_images, checked, make_splits
from mobilevision.data.formats.scan import named_file
from mobilevision.data.formats.text import decode
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError
from mobilevision.io.regular_files import open_regular

OTHERS = ("captions", "person_keypoints", "stuff", "panoptic", "image_info", "keypoints")
KEYS = ('"images"', '"annotations"', '"categories"')
T = TypeVar("T")


@final
class CocoJson(DataFormat):
    """Reads COCO's detection json in its usual layouts.

    ``annotations/instances_train2017.json`` with ``train2017/`` or ``images/train2017/``; a json in the folder of each
    split (``train/_annotations.coco.json``); ``train.json`` and ``val.json`` beside ``images/``; or one json, whose
    images are one split. The files' names say which split they hold, unless ``train``, ``val`` and ``test`` do.

    Category ids may have gaps: classes are numbered in the order of the ids, all of them, also those without a box.
    Images without boxes stay as negatives, ``iscrowd`` and ``area`` are taken over.

    Args:
        train: the json of train, relative to ``data.root``; None finds it.
        val: the json of val, likewise.
        test: the json of test, likewise.
        images: the folder of the images, or the folder above a folder for each split; None finds it.
        units: ``pixels``, as COCO has it, ``fractions`` or ``percent`` of the images; None recognises a set that is
            written otherwise as a whole.
    """

    kinds: ClassVar[tuple[str, ...]] = ("boxes",)
    expected: ClassVar[str] = (
        "a folder with annotations/instances_train*.json and train*/ (val, test likewise), with"
        " train/_annotations.coco.json, or one json in COCO's format with its images"
    )

    def __init__(
        self,
        *,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        images: str | None = None,
        units: str | None = None,
    ) -> None:
        self.files = {"train": train, "val": val, "test": test}
        self.images, self.units = images, checked(units)

    def claims(self, root: Path) -> bool:
        """Whether a json that begins like COCO's lies there."""
        return any(_is_coco(file) for _, file in annotation_files(root, (".json",)))

    def files_of(self, root: Path) -> dict[str, Path]:
        """The json of each split that :meth:`read` reads; one for all of them counts as that of train.

        Raises:
            UserError: no json of COCO's format.
        """
        return self._find(root, root if root.is_dir() else root.parent, [])[0]

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root = self.place(root)
        top = root if root.is_dir() else root.parent
        splits = Splits()
        files, splits.whole = self._find(root, top, splits.notes)
        parts: dict[str, Raw] = {}
        for split, file in files.items():
            called, owner = os.path.relpath(file, top), None if splits.whole else split
            find = partial(with_paths, file=file, top=top, split=owner, images=self.images, option="coco_json")
            try:
                read = read_coco(file, called, splits.problems, find)
            except UserError as error:
                if split == "train":
                    raise
                what = str(error).removeprefix(called).lstrip(":").strip()
                splits.problems.append(Problem(called, what, f"without it there is no {split}"))
                continue
            raw = read.raw
            if read.masks:
                splits.notes.append(
                    f"{called}: CVAT marks masks as crowds: {many(read.masks, 'box')} taken as of one object"
                )
            if read.turned:
                splits.notes.append(
                    f"{called}: {many(read.turned, 'box')} turned by the attribute rotation, about the centre and in"
                    " degrees as in CVAT: the box around each is taken"
                )
            if read.unknown_rotations:
                splits.notes.append(
                    f"{called}: {many(read.unknown_rotations, 'box')} with a rotation, angle or theta of their own,"
                    " which is not applied: if it turns the box, write the box around it as bbox"
                )
            if split == "train" or len(raw.owner):
                parts[split] = raw
            else:
                splits.notes.append(f"{called} has no boxes: left out")
        splits.notes.append("COCO json: " + ", ".join(os.path.relpath(file, top) for file in files.values()))
        splits.notes += unused_lists(top) if splits.whole else []
        classes = parts["train"].names if "train" in parts else None
        return make_splits(parts, splits, root=root, channels=channels, classes=classes, units=self.units)

    def objects(
        self, root: Path, take: Callable[[Row, str], T | None], splits: Splits, *, named: tuple[str, ...]
    ) -> dict[str, CocoObjects[T]]:
        """The annotations of each split as they stand, for what is no box, such as keypoints.

        Args:
            root: the place.
            take: what to keep of an annotation, given it and what messages call it; None leaves it out. Polygons are
                lost already.
            splits: its ``problems``, ``notes`` and ``whole`` are added to.
            named: what the names of the json begin with, such as ``person_keypoints``, where several kinds lie there.

        Raises:
            UserError: no json of COCO's format, or one that cannot be read.
        """
        top = root if root.is_dir() else root.parent
        files, splits.whole = self._find(root, top, splits.notes, named)
        seen: dict[bytes, str] = {}
        found: dict[str, CocoObjects[T]] = {}
        for split, file in files.items():
            owner = None if splits.whole else split
            find = partial(with_paths, file=file, top=top, split=owner, images=self.images, option="coco_json")
            check = partial(check_images, seen=seen, problems=splits.problems, notes=[])
            found[split] = read_objects(file, os.path.relpath(file, top), splits.problems, find, check, take)
        splits.notes.append("COCO json: " + ", ".join(each.called for each in found.values()))
        return found

    def _find(
        self, root: Path, top: Path, notes: list[str], named: tuple[str, ...] = ("instances",)
    ) -> tuple[dict[str, Path], bool]:
        given = {split: named_file(split, name, top) for split, name in self.files.items() if name is not None}
        if "train" in given:
            return given, False
        found = [(split, file) for split, file in annotation_files(root, (".json",)) if _is_coco(file)]
        wanted = [each for each in found if each[1].name.startswith(named)]
        found = wanted or [each for each in found if not each[1].name.startswith(OTHERS)]
        if not found:
            raise UserError(f"data.root={root}: no json of COCO's format in it; it should be {self.expected}")
        files, whole = one_a_split(found, top, notes)
        return {**files, **given}, whole and not given


def _is_coco(file: Path) -> bool:
    try:
        with open_regular(file) as stream:
            head = stream.read(HEAD)
        text = decode(head[: len(head) // 4 * 4])
    except (OSError, UnicodeDecodeError):
        return False
    return any(key in text for key in KEYS) and kind_by(text, whole=len(head) < HEAD) == COCO
