"""Stanford Dogs: 20,580 photos of 120 breeds (Khosla et al. 2011), the paper's fine-grained set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Literal, final
from xml.etree import ElementTree

from mobilevision.data.formats.published import Listed, PublishedSet, Row, check_crop, column, first_file, mat
from mobilevision.data.formats.scan import folders, images
from mobilevision.data.records import Splits
from mobilevision.images.framing import CropBox
from mobilevision.ops.boxes import xyxy_to_xywh

LISTS = {"train": "train_list.mat", "test": "test_list.mat"}


@final
class StanfordDogs(PublishedSet):
    """Reads ``Images/WNID-breed/`` with ``train_list.mat`` and ``test_list.mat``, or an image folder of it.

    12,000 photos are train and 8,580 test. Without the lists all images are one split. Breeds are in the order of
    their WNIDs, which is that of the lists' numbers.

    Args:
        crop: ``box`` cuts out the dog, by ``Annotation/``: of several the largest; None takes the images whole.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)
    title: ClassVar[str] = "Stanford Dogs"
    expected: ClassVar[str] = (
        "the folder of Stanford Dogs, with Images/, train_list.mat and test_list.mat (unpack images.tar, lists.tar and,"
        " for boxes, annotation.tar of vision.stanford.edu/aditya86/ImageNetDogs), or train/BREED/ and test/BREED/"
    )

    def __init__(self, *, crop: Literal["box"] | None = None) -> None:
        check_crop(crop)
        self.crop = crop

    def claims(self, root: Path) -> bool:
        """Whether its folders of WNIDs and breeds lie there."""
        images = root / "Images"
        return images.is_dir() and any(name.startswith(b"n0") and b"-" in name for name in folders(images)[:5])

    def read_published(self, base: Path, channels: int) -> Splits:
        """See :class:`PublishedSet`."""
        listed = Listed(base / "Images")
        lists = {split: path for split, name in LISTS.items() if (path := first_file(base, name, f"lists/{name}"))}
        for split, path in lists.items():
            for place, name in enumerate(column(mat(path, self.expected), "file_list", path)):
                listed.add(split, self._row(base, os.fsencode(str(name))), f"{path.name}:{place + 1}")
        if not lists:
            for found in images(os.fsencode(base / "Images"), b""):
                listed.add("train", self._row(base, found), os.fsdecode(found))
        breeds = [_breed(os.fsdecode(name)) for name in folders(base / "Images")]
        splits = listed.splits(channels=channels, crop=self.crop, classes=breeds)
        splits.whole = not lists
        splits.notes.append(self.title + " without its lists" * (not lists) + ", dogs cut out" * bool(self.crop))
        return splits

    def _row(self, base: Path, path: bytes) -> Row:
        folder, _, name = os.fsdecode(path).partition("/")
        box = _largest(base / "Annotation" / folder / Path(name).stem) if self.crop else None
        return Row(path, _breed(folder), box)


def _breed(folder: str) -> str:
    """``n02085620-Chihuahua`` is a Chihuahua."""
    return folder.partition("-")[2] or folder


def _largest(annotation: Path) -> CropBox | None:
    """The largest box of an annotation in the form of Pascal VOC; None where there is none, or none that is whole."""
    try:
        found = ElementTree.parse(annotation).iter("bndbox")
        boxes = [
            xyxy_to_xywh(*(float(box.findtext(key, "")) for key in ("xmin", "ymin", "xmax", "ymax"))) for box in found
        ]
    except (OSError, ElementTree.ParseError, ValueError):
        return None
    return max(boxes, key=lambda box: box[2] * box[3], default=None)
