"""FGVC-Aircraft: 10,000 photos of 100 variants, 70 families, 30 manufacturers (Maji et al. 2013, arXiv 1306.5151)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal, final

from mobilevision.data.formats.published import Listed, PublishedSet, Row, check_crop
from mobilevision.data.records import Splits
from mobilevision.errors import UserError
from mobilevision.images.framing import CropBox
from mobilevision.ops.boxes import xyxy_to_xywh

LEVELS = ("variant", "family", "manufacturer")
SPLITS = ("train", "val", "test")


@final
class FgvcAircraft(PublishedSet):
    """Reads ``data/images/`` and its lists, or an image folder of it; downloads it where neither is there.

    Classes are grouped by manufacturer, from the lists themselves.

    Args:
        level: what is to be told apart: ``variant`` (100), ``family`` (70) or ``manufacturer`` (30).
        crop: ``box`` cuts out the aircraft, by ``images_box.txt``; None takes the images whole, the line at their
            foot that names the photographer included.
        download: fetch it where it is missing.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)
    title: ClassVar[str] = "FGVC-Aircraft"
    top: ClassVar[str] = "fgvc-aircraft-2013b"  # torchvision's folder
    torchvision: ClassVar[str] = "FGVCAircraft"
    expected: ClassVar[str] = (
        "the folder of FGVC-Aircraft with data/images/ and data/images_variant_train.txt (unpack"
        " fgvc-aircraft-2013b.tar.gz), or train/VARIANT/ and test/VARIANT/ with images"
    )

    def __init__(
        self,
        *,
        level: Literal["variant", "family", "manufacturer"] = "variant",
        crop: Literal["box"] | None = None,
        download: bool = True,
    ) -> None:
        check_crop(crop)
        if level not in LEVELS:
            raise UserError(f"data.format.level={level}: must be {', '.join(LEVELS[:-1])} or {LEVELS[-1]}")
        self.level, self.crop, self.download = level, crop, download

    def claims(self, root: Path) -> bool:
        """Whether its lists lie there."""
        return (self.base(root) / "images_variant_train.txt").is_file()

    def base(self, root: Path) -> Path:
        """See :class:`PublishedSet`."""
        inner = super().base(root)
        return inner / "data" if (inner / "data").is_dir() else inner

    def read_published(self, base: Path, channels: int) -> Splits:
        """See :class:`PublishedSet`."""
        boxes = dict(_boxes(base / "images_box.txt")) if self.crop else {}
        listed = Listed(base / "images")
        groups = {}
        for split in SPLITS:
            makers = {key: name for _, key, name in _rows(base / f"images_manufacturer_{split}.txt")}
            path = base / f"images_{self.level}_{split}.txt"
            for number, key, name in _rows(path):
                listed.add(split, Row(f"{key}.jpg".encode(), name, boxes.get(key)), f"{path.name}:{number}")
                groups[name] = makers.get(key, "")
        splits = listed.splits(channels=channels, crop=self.crop)
        splits.groups = {} if self.level == "manufacturer" or "" in groups.values() else groups
        splits.notes.append(f"{self.title}, {self.level}" + ", aircraft cut out" * bool(self.crop))
        return splits


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """(line, image, class) of a list; of none where the list is not there."""
    if path.is_file():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            key, _, name = line.strip().partition(" ")
            if name:
                yield number, key, name


def _boxes(path: Path) -> Iterator[tuple[str, CropBox]]:
    """Image -> box; the file counts pixels from 1, the last one included."""
    if not path.is_file():
        raise UserError(f"data.format.crop=box: no {path.name} in {path.parent}; unpack it, or set it to null")
    for _, key, rest in _rows(path):
        left, top, right, bottom = map(float, rest.split())
        yield key, xyxy_to_xywh(left - 1, top - 1, right, bottom)
