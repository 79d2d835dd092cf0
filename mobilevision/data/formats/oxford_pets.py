"""Oxford-IIIT Pet: 7,349 photos of 37 breeds of cats and dogs (Parkhi et al. 2012)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, final

from mobilevision.data.formats.published import Listed, PublishedSet, Row
from mobilevision.data.formats.scan import images
from mobilevision.data.records import Splits

CATS = {"abyssinian", "bengal", "birman", "bombay", "british_shorthair", "egyptian_mau", "maine_coon", "persian"}
CATS |= {"ragdoll", "russian_blue", "siamese", "sphynx"}
LISTS = {"train": "trainval.txt", "test": "test.txt"}


@final
class OxfordPets(PublishedSet):
    """Reads ``images/Breed_123.jpg`` with ``annotations/trainval.txt`` and ``test.txt``, or an image folder of it.

    The breed is in the file's name; breeds are grouped by species. Without the lists all images are one split.

    Args:
        download: fetch it where it is missing.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)
    title: ClassVar[str] = "Oxford-IIIT Pet"
    top: ClassVar[str] = "oxford-iiit-pet"  # torchvision's folder
    torchvision: ClassVar[str] = "OxfordIIITPet"
    expected: ClassVar[str] = "images/ and annotations/ of Oxford-IIIT Pet, or train/BREED/ and test/BREED/ with images"

    def __init__(self, *, download: bool = True) -> None:
        self.download = download

    def claims(self, root: Path) -> bool:
        """Whether the original layout lies there."""
        return self.is_published(root) and (self.base(root) / "annotations" / LISTS["train"]).is_file()

    def is_published(self, root: Path) -> bool:
        """See :class:`PublishedSet`; the lists may be missing."""
        return (self.base(root) / "images").is_dir()

    def read_published(self, base: Path, channels: int) -> Splits:
        """See :class:`PublishedSet`."""
        listed = Listed(base / "images", archive="images.tar.gz")
        lists = {split: base / "annotations" / name for split, name in LISTS.items()}
        lists = {split: table for split, table in lists.items() if table.is_file()}
        for split, table in lists.items():
            for number, line in enumerate(table.read_text().splitlines(), start=1):
                if line.strip() and not line.startswith("#"):
                    path = os.fsencode(line.split()[0] + ".jpg")
                    listed.add(split, Row(path, _breed(path)), f"{table.name}:{number}")
        if not lists:
            for path in images(os.fsencode(base / "images"), b""):
                listed.add("train", Row(path, _breed(path)), os.fsdecode(path))
        # Alphabetical whatever the case, which is the numbering of the annotations and of torchvision.
        splits = listed.splits(channels=channels, classes=sorted(listed.labels(), key=str.lower))
        splits.whole = not lists
        splits.notes.append(f"{self.title}, breeds from the file names")
        return splits

    def completed(self, splits: Splits) -> Splits:
        """With the species of each breed; unknown where a class is no breed of the set."""
        named = {name: name.lower().replace(" ", "_") for name in splits.classes}
        if any(name in CATS for name in named.values()):
            splits.groups = {name: "cat" if breed in CATS else "dog" for name, breed in named.items()}
        return splits


def _breed(path: bytes) -> str:
    return os.fsdecode(os.path.basename(path)).rsplit("_", 1)[0]
