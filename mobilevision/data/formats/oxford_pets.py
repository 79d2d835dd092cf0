"""Oxford-IIIT Pet: 7,349 photos of 37 breeds of cats and dogs (Parkhi et al. 2012)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, final

import numpy as np

from mobilevision.data.data_format import DataFormat
from mobilevision.data.files import FileRecords
from mobilevision.data.formats.download import fetch
from mobilevision.data.formats.folder import ImageFolder
from mobilevision.data.formats.scan import Listing, images
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError

TOP = "oxford-iiit-pet"  # torchvision's folder
CATS = {"abyssinian", "bengal", "birman", "bombay", "british_shorthair", "egyptian_mau", "maine_coon", "persian"}
CATS |= {"ragdoll", "russian_blue", "siamese", "sphynx"}
LISTS = {"train": "trainval.txt", "test": "test.txt"}


@final
class OxfordPets(DataFormat):
    """Reads ``images/Breed_123.jpg`` with ``annotations/trainval.txt`` and ``test.txt``, or an image folder of it.

    The breed is in the file's name; breeds are grouped by species. Without the lists all images are one split.

    Args:
        download: fetch it where it is missing.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)
    expected: ClassVar[str] = "images/ and annotations/ of Oxford-IIIT Pet, or train/BREED/ and test/BREED/ with images"

    def __init__(self, *, download: bool = True) -> None:
        self.download = download

    def claims(self, root: Path) -> bool:
        """Whether the original layout lies there."""
        base = _base(root)
        return (base / "images").is_dir() and (base / "annotations" / LISTS["train"]).is_file()

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        if root is None:
            self.place(root)
        assert root is not None
        folder = ImageFolder()
        if not (_base(root) / "images").is_dir():
            if folder.claims(root):
                return _grouped(folder.read(root=root, kind=kind, channels=channels, seed=seed))
            if not self.download:
                raise UserError(f"data.root={root}: Oxford-IIIT Pet is not there; put there {self.expected}")
            from torchvision.datasets import OxfordIIITPet

            fetch("Oxford-IIIT Pet", OxfordIIITPet, root, self.expected)
        return _grouped(_read(_base(root), channels))


def _base(root: Path) -> Path:
    return root / TOP if (root / TOP).is_dir() else root


def _read(base: Path, channels: int) -> Splits:
    splits = Splits(notes=["Oxford-IIIT Pet, breeds from the file names"])
    found: dict[str, list[bytes]] = {}
    there = Listing(base / "images")
    for split, name in LISTS.items():
        table = base / "annotations" / name
        if table.is_file():
            found[split] = []
            for number, line in enumerate(table.read_text().splitlines(), start=1):
                if line.strip() and not line.startswith("#"):
                    path = os.fsencode(line.split()[0] + ".jpg")
                    if path in there:
                        found[split].append(path)
                    else:
                        where, what = f"{name}:{number}", f"no file {os.fsdecode(path)} in images/"
                        splits.problems.append(Problem(where, what, "unpack images.tar.gz again or remove the row"))
    splits.whole = not found
    found = found or {"train": list(images(os.fsencode(base / "images"), b""))}
    # Alphabetical whatever the case, which is the numbering of the annotations and of torchvision.
    breeds = sorted({_breed(path) for paths in found.values() for path in paths}, key=str.lower)
    number_of = {breed: number for number, breed in enumerate(breeds)}
    splits.classes = tuple(breeds)
    for split, paths in found.items():
        targets = np.array([number_of[_breed(path)] for path in paths], dtype=np.int64)
        setattr(splits, split, FileRecords(paths=paths, targets=targets, channels=channels, root=base / "images"))
    return splits


def _grouped(splits: Splits) -> Splits:
    """With the species of each breed; of names that are no breeds of the set nobody knows it."""
    named = {name: name.lower().replace(" ", "_") for name in splits.classes}
    if any(name in CATS for name in named.values()):
        splits.groups = {name: "cat" if breed in CATS else "dog" for name, breed in named.items()}
    return splits


def _breed(path: bytes) -> str:
    return os.fsdecode(os.path.basename(path)).rsplit("_", 1)[0]
