"""The label file of a picture, found as YOLO's tools find it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import final

from mobilevision.data.formats.annotations.image_lookup import PICTURES
from mobilevision.data.records import Problem
from mobilevision.images.decode import printable

NO_LABELS = ("classes", "train", "val", "valid", "test", "readme", "notes", "obj", "requirements", "license", "images")


@final
class LabelFiles:
    """Finds label files; looks into each folder once.

    Attributes:
        used: label folder -> stems of the files that belong to a picture.
        missing: a count for its user.
    """

    def __init__(self) -> None:
        self.used: dict[bytes, set[bytes]] = {}
        self.missing = 0
        self._folders: dict[bytes, bytes | None] = {}
        self._stems: dict[bytes, dict[bytes, bytes]] = {}

    def of(self, picture: bytes) -> bytes | None:
        """The label file of a picture, or None."""
        above, name = os.path.split(picture)
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
        """A problem for each label file, beside others that belong to a picture, without one."""
        for folder, used in self.used.items():
            for stem, file in sorted(self._files(folder).items()):
                if stem not in used:
                    where = printable(os.path.join(folder, file))
                    yield Problem(where, "no picture belongs to this label file", "add the picture or remove the file")

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
    """Where the labels of a folder's pictures may lie, the place that YOLO's own tools look at first."""
    parts = folder.split(os.fsencode(os.sep))
    for at in reversed(range(len(parts))):
        if os.fsdecode(parts[at]).lower() in PICTURES:
            for name in (b"labels", b"Labels", b"annotations", b"labelTxt"):
                yield os.fsencode(os.sep).join([*parts[:at], name, *parts[at + 1 :]])
    yield folder
    yield os.path.join(folder, b"labels")
    yield os.path.join(os.path.dirname(folder), b"labels", os.path.basename(folder))
    yield os.path.join(os.path.dirname(folder), b"labels")
