"""Photos that know where they were taken: the GPS of their EXIF is the truth."""

from __future__ import annotations

import os
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, final

from PIL import ExifTags, Image

from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats.image_rows import CoordinateRows
from mobilevision.data.formats.scan import by_split, folders, images
from mobilevision.data.formats.table_images import TableImages
from mobilevision.data.records import Problem, Splits
from mobilevision.images.decode import printable
from mobilevision.io.regular_files import open_regular

# Where a photo says that it was taken: the GPS part of its EXIF.

NO_GPS = "no GPS in its EXIF"
_SIGNS = {"N": 1.0, "E": 1.0, "S": -1.0, "W": -1.0}


class NoPlaceError(Exception):
    """Why a photo does not say where it was taken."""


def exif_place(path: str | bytes) -> tuple[float, float]:
    """Latitude and longitude in degrees; nothing of the image is decoded.

    Raises:
        NoPlaceError: the file cannot be read, has no GPS, or what it has there makes no sense.
    """
    try:
        with open_regular(path) as file, Image.open(file) as image:
            gps = image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
    except Exception as error:  # Pillow raises nearly anything for broken EXIF
        raise NoPlaceError(f"cannot be read ({str(error).splitlines()[0] if str(error) else error!r})") from None
    if not gps:
        raise NoPlaceError(NO_GPS)
    try:
        latitude = _degrees(gps, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "NS")
        longitude = _degrees(gps, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "EW")
    except (KeyError, TypeError, ValueError, ZeroDivisionError, IndexError):
        raise NoPlaceError("the GPS in its EXIF is incomplete") from None
    return latitude, longitude


def _degrees(gps: Any, tag: int, side: int, letters: str) -> float:
    """Degrees, minutes and seconds, any of which may be missing at the end, with their side of the Earth."""
    letter = gps[side]
    word = (letter.decode("ascii", "ignore") if isinstance(letter, bytes) else str(letter)).strip("\0 ").upper()[:1]
    if not word or word not in letters:
        raise ValueError("no side of the Earth")
    parts = gps[tag]
    values = [float(part) for part in (parts if isinstance(parts, tuple | list) else [parts])][:3]
    return _SIGNS[word] * sum(value / 60.0**power for power, value in enumerate(values))


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
        return root.is_dir() and any(_has_place(root, path) for path in islice(images(os.fsencode(root), b""), _GLANCE))

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        base = self.place(root)
        parts = _parts(base)
        splits = Splits(whole=list(parts) == ["train"] and parts["train"] == b"")
        rows = CoordinateRows(TableImages(base, ()), splits.problems, str(base))
        without: Counter[str] = Counter()
        for split, folder in parts.items():
            for path in images(_file(base, folder), folder):
                where = printable(_file(base, path))
                try:
                    latitude, longitude = map(repr, exif_place(_file(base, path)))
                except NoPlaceError as error:
                    without[str(error)] += 1
                    splits.problems.append(Problem(where, str(error), "remove it, or give its place in a CSV"))
                else:
                    rows.add(split, path, (latitude, longitude), where, os.path.dirname(printable(path)))
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
