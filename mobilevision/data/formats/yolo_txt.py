"""YOLO's text files: one an image, a box a line, in fractions of the image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, final

import numpy as np

from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats.annotations.image_lookup import IMAGES
from mobilevision.data.formats.annotations.raw import Collector, Raw, many
from mobilevision.data.formats.annotations.splits import make_splits
from mobilevision.data.formats.annotations.units import FRACTIONS, beyond_fractions, checked
from mobilevision.data.formats.annotations.yolo import YoloPlaces, YoloRow, find_yaml, read_yolo, yolo_places
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError
from mobilevision.images.decode import printable

NO_LABELS = ("classes", "train", "val", "valid", "test", "readme", "notes", "obj", "requirements", "license", "images")


@final
class LabelFiles:
    """Finds label files; looks into each folder once.

    Attributes:
        used: label folder -> stems of the files that belong to an image.
        missing: a count for its user.
    """

    def __init__(self) -> None:
        self.used: dict[bytes, set[bytes]] = {}
        self.missing = 0
        self._folders: dict[bytes, bytes | None] = {}
        self._stems: dict[bytes, dict[bytes, bytes]] = {}

    def of(self, image: bytes) -> bytes | None:
        """The label file of an image, or None."""
        above, name = os.path.split(image)
        if above not in self._folders:
            self._folders[above] = next((each for each in _places(above) if self._files(each)), None)
        folder = self._folders[above]
        if folder is None:
            return None
        stem = os.path.splitext(name)[0]
        file = self._files(folder).get(stem)
        if file is None:
            return None
        self.used.setdefault(folder, set()).add(stem)
        return os.path.join(folder, file)

    def unused(self) -> Iterator[Problem]:
        """A problem for each label file, beside others that belong to an image, without one."""
        for folder, used in self.used.items():
            for stem, file in sorted(self._files(folder).items()):
                if stem not in used:
                    where = printable(os.path.join(folder, file))
                    yield Problem(where, "no image belongs to this label file", "add the image or remove the file")

    def _files(self, folder: bytes) -> dict[bytes, bytes]:
        if folder not in self._stems:
            try:
                names = os.listdir(folder)
            except OSError:
                names = []
            parts = [(*os.path.splitext(name), name) for name in names]
            self._stems[folder] = {
                stem: name
                for stem, ending, name in parts
                if ending.lower() == b".txt" and os.fsdecode(stem).lower() not in NO_LABELS and stem[:1] != b"."
            }
        return self._stems[folder]


def _places(folder: bytes) -> Iterator[bytes]:
    """Where the labels of a folder's images may lie, the place that YOLO's own tools look at first."""
    parts = folder.split(os.fsencode(os.sep))
    for at in reversed(range(len(parts))):
        if os.fsdecode(parts[at]).lower() in IMAGES:
            for name in (b"labels", b"Labels", b"annotations", b"labelTxt"):
                yield os.fsencode(os.sep).join([*parts[:at], name, *parts[at + 1 :]])
    yield folder
    yield os.path.join(folder, b"labels")
    yield os.path.join(os.path.dirname(folder), b"labels", os.path.basename(folder))
    yield os.path.join(os.path.dirname(folder), b"labels")


@final
class YoloTxt(DataFormat):
    """Reads YOLO's labels in their usual layouts.

    ``data.root`` is a data.yaml or the folder with one (names, train, val, test), a folder with ``train.txt`` and
    ``valid.txt`` that list images, or any folder with ``images/`` and ``labels/`` (each with folders for the splits,
    or inside them), or with images and labels side by side. Names come from the yaml, ``classes.txt`` or
    ``obj.names``. An image without a label file is one without objects; of a polygon, the box around it is taken.

    Args:
        units: ``fractions`` of the images, as YOLO has it, ``pixels`` or ``percent``; None recognises a set that is
            written otherwise as a whole.
    """

    kinds: ClassVar[tuple[str, ...]] = ("boxes",)
    expected: ClassVar[str] = (
        "a data.yaml in YOLO's format or its folder, or a folder with images/ and labels/, perhaps in train/, valid/"
        " and test/, and class names in classes.txt"
    )

    def __init__(self, *, units: str | None = None) -> None:
        self.units = checked(units)

    def claims(self, root: Path) -> bool:
        """Whether there is a data.yaml, or an image has a label file."""
        if root.is_file():
            return root.suffix.lower() in (".yaml", ".yml")
        if find_yaml(root):
            return True
        labels = LabelFiles()
        return any(labels.of(path) for found in yolo_places(root).images.values() for path in found[:20])

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root = self.place(root)
        places = yolo_places(root)
        top = root if root.is_dir() else root.parent
        if not any(places.images.values()):
            raise UserError(f"data.root={root}: no images in it; it should be {self.expected}")
        splits, labels = Splits(notes=places.notes, whole=places.whole), LabelFiles()
        parts = {split: _read(found, places, labels, top, splits.problems) for split, found in places.images.items()}
        if self.units is None and not beyond_fractions(parts.values()):
            parts = {split: _without_pixels(raw, splits.problems) for split, raw in parts.items()}
        if not labels.used:
            raise UserError(f"data.root={root}: no label file belongs to any image; it should be {self.expected}")
        if labels.missing:
            splits.notes.append(f"{many(labels.missing, 'image')} without a label file: taken as without objects")
        if not places.listed:
            splits.problems += labels.unused()
        classes = _classes(places, parts, splits.notes)
        return make_splits(parts, splits, root=root, channels=channels, classes=classes, units=self.units)


def _classes(places: YoloPlaces, parts: dict[str, Raw], notes: list[str]) -> tuple[str, ...]:
    if places.names is not None:
        return places.names
    notes.append("no class names (data.yaml, classes.txt, obj.names): classes go by their numbers")
    most = max((int(name) for part in parts.values() for name in part.names), default=-1)
    return tuple(map(str, range(most + 1)))


def _read(found: list[bytes], places: YoloPlaces, labels: LabelFiles, top: Path, problems: list[Problem]) -> Raw:
    collector = Collector(places.names or ())
    for path in found:
        file = labels.of(path)
        if file is None:
            labels.missing += 1
            collector.image(path, (printable(path), 0))
            continue
        called = printable(os.path.relpath(file, os.fsencode(top)))
        image = collector.image(path, (called, 0))
        try:
            for row in read_yolo(file, keypoints=places.keypoints):
                _add(row, image, called, collector, places.names, path, problems)
        except OSError as error:
            problems.append(Problem(called, f"cannot be read ({error.strerror})", "mend or remove it", printable(path)))
    return collector.done(unit="fractions")


def _add(
    row: YoloRow,
    image: int,
    called: str,
    collector: Collector,
    names: tuple[str, ...] | None,
    path: bytes,
    problems: list[Problem],
) -> None:
    where, shown = f"{called}:{row.line}", printable(path)
    if row.fault:
        problems.append(Problem(where, row.fault, "mend or remove the line", shown))
    elif names is not None and row.label >= len(names):
        what = f"class {row.label}, but there are names for 0 to {len(names) - 1}"
        problems.append(Problem(where, what, "add its name or mend the number", shown))
    else:
        label = row.label if names is not None else collector.label(str(row.label))
        collector.box(image, row.corners, label, (called, row.line))


def _without_pixels(raw: Raw, problems: list[Problem]) -> Raw:
    """Without the boxes that are no fractions, among others that are; one problem for all of a file."""
    beyond = raw.corners.max(axis=1, initial=-np.inf) > FRACTIONS
    rows = np.flatnonzero(beyond)
    for owner in np.unique(raw.owner[rows]).tolist():
        mine = rows[raw.owner[rows] == owner]
        more = f", as in {many(len(mine) - 1, 'line')} more" if len(mine) > 1 else ""
        what = f"coordinates in pixels, not in fractions of the image (0 to 1){more}"
        fix = "divide x and width by the image's width, y and height by its height"
        left, top, right, bottom = raw.corners[mine[0]].tolist()
        shown = printable(raw.paths[owner])
        problems.append(Problem(raw.box_at(int(mine[0])), what, fix, shown, (left, top, right, bottom)))
    return raw.boxes(~beyond) if len(rows) else raw
