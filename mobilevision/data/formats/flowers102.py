"""Oxford Flowers 102: 8,189 photos of 102 kinds of flowers (Nilsback and Zisserman 2008)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, final

from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats.download import fetch
from mobilevision.data.formats.folder import ImageFolder
from mobilevision.data.formats.listed import Listed, Row, column, mat
from mobilevision.data.records import Splits
from mobilevision.errors import UserError

TOP = "flowers-102"  # torchvision's folder
LABELS, IDS = "imagelabels.mat", "setid.mat"
SPLITS = {"train": "trnid", "val": "valid", "test": "tstid"}


@final
class Flowers102(DataFormat):
    """Reads ``jpg/``, ``imagelabels.mat`` and ``setid.mat``, or an image folder of it; downloads what is missing.

    Ten images of each kind are train, ten val, and 6,149 test.

    Args:
        download: fetch it where it is missing.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)
    expected: ClassVar[str] = (
        f"jpg/ (of 102flowers.tgz), {LABELS} and {IDS} of Oxford Flowers 102, or train/KIND/ and test/KIND/ with images"
    )

    def __init__(self, *, download: bool = True) -> None:
        self.download = download

    def claims(self, root: Path) -> bool:
        """Whether its images and its lists lie there."""
        base = _base(root)
        return (base / "jpg").is_dir() and (base / LABELS).is_file() and (base / IDS).is_file()

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        if root is None:
            self.place(root)
        assert root is not None
        from torchvision.datasets import Flowers102 as Torchvision

        if not self.claims(root):
            folder = ImageFolder()
            if folder.claims(root):
                return folder.read(root=root, kind=kind, channels=channels, seed=seed)
            if not self.download:
                raise UserError(f"data.root={root}: Oxford Flowers 102 is not there; put there {self.expected}")
            fetch("Oxford Flowers 102", Torchvision, root, self.expected)
        base = _base(root)
        labels = column(mat(base / LABELS, self.expected), "labels", base / LABELS)
        ids = mat(base / IDS, self.expected)
        # Two kinds may have one name (there are two passion flowers in some lists): the number tells them apart.
        names = [f"{number:03d}_{name}" for number, name in enumerate(Torchvision.classes, start=1)]
        listed = Listed(base / "jpg")
        for split, variable in SPLITS.items():
            for place in column(ids, variable, base / IDS):
                label = names[int(labels[int(place) - 1]) - 1]
                listed.add(split, Row(f"image_{place:05d}.jpg".encode(), label), f"{IDS}: {variable} {place}")
        splits = listed.splits(channels=channels, crop=None, classes=names)
        splits.notes.append("Oxford Flowers 102")
        return splits


def _base(root: Path) -> Path:
    return root / TOP if (root / TOP).is_dir() else root
