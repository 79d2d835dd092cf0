"""Photos that know where they were taken: the GPS of their EXIF is the truth."""

from __future__ import annotations

import os
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import ClassVar, final

from mobilevision.data.decode import printable
from mobilevision.data.formats.base import DataFormat
from mobilevision.data.formats.coordinate_rows import CoordinateRows
from mobilevision.data.formats.exif_place import NoPlaceError, exif_place
from mobilevision.data.formats.scan import by_split, folders, pictures
from mobilevision.data.formats.table_pictures import TablePictures
from mobilevision.data.records import Problem, Splits

_GLANCE = 32  # photos that are asked before a folder is taken


@final
class Gps(DataFormat):
    """Reads a folder of photos, however deep they lie; folders named train, val and test are splits.

    Photos without GPS, at exactly (0, 0) or with a place that is none are problems.

    Args:
        group: keep the photos of a folder together when a split is cut off, as those of a walk or of one person are
            nearly alike.
    """

    kinds: ClassVar[tuple[str, ...]] = ("coordinate",)
    expected: ClassVar[str] = "a folder of photos with GPS in their EXIF, perhaps in train/, val/ and test/"

    def __init__(self, *, group: bool = False) -> None:
        self.group = group

    def claims(self, root: Path) -> bool:
        """Whether one of the first photos has GPS."""
        return root.is_dir() and any(
            _has_place(root, path) for path in islice(pictures(os.fsencode(root), b""), _GLANCE)
        )

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        base = self.place(root)
        parts = _parts(base)
        splits = Splits(whole=list(parts) == ["train"] and parts["train"] == b"")
        rows = CoordinateRows(TablePictures(base, ()), splits.problems, str(base))
        without: Counter[str] = Counter()
        for split, folder in parts.items():
            for path in pictures(_file(base, folder), folder):
                where = printable(_file(base, path))
                try:
                    latitude, longitude = map(repr, exif_place(_file(base, path)))
                except NoPlaceError as error:
                    without[str(error)] += 1
                    splits.problems.append(Problem(where, str(error), "remove it, or give its place in a CSV"))
                else:
                    rows.add(split, path, latitude, longitude, where, os.path.dirname(printable(path)))
        rows.into(splits, channels=channels, grouped=self.group)
        counted = ", ".join(f"{name} {len(records):,}" for name, records in splits.items())
        splits.notes.append(f"photos with GPS: {counted or 'none'}")
        splits.notes += [f"{number:,} photos: {why}" for why, number in without.most_common(4)]
        return splits


def _file(base: Path, path: bytes) -> bytes:
    return os.path.join(os.fsencode(base), path)


def _parts(base: Path) -> dict[str, bytes]:
    """The folders that are named for a split; without a train among them, the whole folder as train."""
    found = by_split(folders(base))
    return found if "train" in found or "test" in found else {"train": b""}


def _has_place(root: Path, path: bytes) -> bool:
    try:
        exif_place(_file(root, path))
    except NoPlaceError:
        return False
    return True
