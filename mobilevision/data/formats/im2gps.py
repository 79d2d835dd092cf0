"""Im2GPS and Im2GPS3k: the photos by which geo-localization is compared (Hays and Efros 2008; Vo et al. 2017)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, final

from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats.gps import Gps
from mobilevision.data.formats.image_rows import read_coordinates
from mobilevision.data.formats.scan import entries, folders, has_images, named_file, named_folder
from mobilevision.data.formats.table_rows import Columns
from mobilevision.data.records import Splits
from mobilevision.errors import UserError
from mobilevision.images.files import IMAGE_SUFFIXES
from mobilevision.ranges import PositiveInt, check_ranges


@final
class Im2Gps(DataFormat):
    """Reads a list of photos with their coordinates as a test set: nothing of it is for training.

    The list is a CSV with columns such as ``IMG_ID,LAT,LON``, as it is passed around for both sets; without one, the
    photos' own EXIF is asked. The photos lie beside it, or in the one folder there that has some.

    Args:
        count: how many photos the set has; another number is said, as shares of other photos do not compare.
        table: the list's name in ``data.root``; None finds it.
        images: folder of the photos, within ``data.root`` or anywhere; None finds it.
    """

    kinds: ClassVar[tuple[str, ...]] = ("coordinate",)
    expected: ClassVar[str] = (
        "the folder of Im2GPS or Im2GPS3k, with its list (a CSV with IMG_ID,LAT,LON) and the photos"
    )

    @check_ranges("data.format")
    def __init__(
        self, *, count: PositiveInt | None = None, table: str | None = None, images: str | None = None
    ) -> None:
        self.count, self.table, self.images = count, table, images

    def claims(self, root: Path) -> bool:
        """Whether a list of that name lies there."""
        return root.is_dir() and any("im2gps" in path.name.lower() for path in _tables(root))

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        base = self.place(root)
        if not base.is_dir():
            raise UserError(f"data.root={base}: it should be {self.expected}")
        table = self._table(base)
        photos = _photos(base, self.images)
        if table is None:
            splits = Gps().read(root=photos, kind=kind, channels=channels, seed=seed)
            splits.train, splits.test = None, splits.test or splits.train
        else:
            splits = read_coordinates({"test": table}, Columns(), base=photos, channels=channels)
        splits.whole = False
        number = 0 if splits.test is None else len(splits.test)
        if self.count is not None and number != self.count:
            splits.notes.append(f"{number:,} photos, the set has {self.count:,}: shares do not compare with others'")
        return splits

    def _table(self, base: Path) -> Path | None:
        if self.table is not None:
            return named_file("table", self.table, base)
        found = _tables(base)
        named = [path for path in found if "im2gps" in path.name.lower()] or found
        if len(named) > 1:
            names = ", ".join(path.name for path in named)
            raise UserError(f"data.root={base}: several lists ({names}); name one with data.format.table")
        return named[0] if named else None


def _tables(root: Path) -> list[Path]:
    files = [os.fsdecode(entry.name) for entry in entries(os.fsencode(root)) if entry.is_file()]
    return [root / name for name in files if name.lower().endswith((".csv", ".tsv"))]


def _photos(base: Path, images: str | None) -> Path:
    if images is not None:
        return named_folder("images", images, base)
    if has_images(base):
        return base
    inner: Sequence[Path] = [base / os.fsdecode(name) for name in folders(base)]
    found = [folder for folder in inner if has_images(folder)]
    if len(found) != 1:
        kinds = ", ".join(suffix.decode() for suffix in IMAGE_SUFFIXES[:3])
        raise UserError(f"data.root={base}: {len(found)} folders with photos ({kinds} ...); set data.format.images")
    return found[0]
