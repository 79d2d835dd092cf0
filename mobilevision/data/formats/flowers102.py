"""Oxford Flowers 102: 8,189 photos of 102 kinds of flowers (Nilsback and Zisserman 2008)."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, final

from mobilevision.data.formats.published import Listed, PublishedSet, Row, column, mat
from mobilevision.data.records import Splits

LABELS, IDS = "imagelabels.mat", "setid.mat"
SPLITS = {"train": "trnid", "val": "valid", "test": "tstid"}


@final
class Flowers102(PublishedSet):
    """Reads ``jpg/``, ``imagelabels.mat`` and ``setid.mat``, or an image folder of it; downloads what is missing.

    Ten images of each kind are train, ten val, and 6,149 test.

    Args:
        download: fetch it where it is missing.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)
    title: ClassVar[str] = "Oxford Flowers 102"
    top: ClassVar[str] = "flowers-102"  # torchvision's folder
    torchvision: ClassVar[str] = "Flowers102"
    expected: ClassVar[str] = (
        f"jpg/ (of 102flowers.tgz), {LABELS} and {IDS} of Oxford Flowers 102, or train/KIND/ and test/KIND/ with images"
    )

    def __init__(self, *, download: bool = True) -> None:
        self.download = download

    def claims(self, root: Path) -> bool:
        """Whether its images and its lists lie there."""
        base = self.base(root)
        return (base / "jpg").is_dir() and (base / LABELS).is_file() and (base / IDS).is_file()

    def read_published(self, base: Path, channels: int) -> Splits:
        """See :class:`PublishedSet`."""
        from torchvision.datasets import Flowers102 as Torchvision

        labels = column(mat(base / LABELS, self.expected), "labels", base / LABELS)
        ids = mat(base / IDS, self.expected)
        # Two kinds may have one name (there are two passion flowers in some lists): the number tells them apart.
        names = [f"{number:03d}_{name}" for number, name in enumerate(Torchvision.classes, start=1)]
        listed = Listed(base / "jpg")
        for split, variable in SPLITS.items():
            for place in column(ids, variable, base / IDS):
                label = names[int(labels[int(place) - 1]) - 1]
                listed.add(split, Row(f"image_{place:05d}.jpg".encode(), label), f"{IDS}: {variable} {place}")
        splits = listed.splits(channels=channels, classes=names)
        splits.notes.append(self.title)
        return splits
