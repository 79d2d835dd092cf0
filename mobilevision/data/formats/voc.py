"""Pascal VOC 2007 and 2012: 20 classes (Everingham et al. 2010)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, final

from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats.published import fetch
from mobilevision.data.formats.voc_xml import Key, ListedXmls, Tree, by_lists
from mobilevision.data.records import Splits
from mobilevision.errors import UserError
from mobilevision.ranges import Items, Range, check_ranges

DEVKIT = "VOCdevkit"  # torchvision's folder


@final
class Voc(DataFormat):
    """Reads VOCdevkit: train is trainval of every year, test is the test of 2007, as everyone reports it.

    There is no val of its own: choose by a part of train. Coordinates follow VOC's definition, pixels counted from 1
    and the last one included: left and upper sides are moved by one pixel, as in Detectron2.

    Args:
        years: any of 2007 to 2012; 2007 gives the test.
        download: fetch what is missing.
    """

    kinds: ClassVar[tuple[str, ...]] = ("boxes",)
    expected: ClassVar[str] = (
        "VOCdevkit/VOC2007 and VOCdevkit/VOC2012 with Annotations/, JPEGImages/ and ImageSets/Main/ (unpack"
        " VOCtrainval_06-Nov-2007.tar, VOCtest_06-Nov-2007.tar and VOCtrainval_11-May-2012.tar)"
    )

    @check_ranges("data.format")
    def __init__(
        self,
        *,
        years: Annotated[Sequence[Annotated[int, Range(min=2007, max=2012)]], Items(min=1)] = (2007, 2012),
        download: bool = True,
    ) -> None:
        self.years = [str(year) for year in years]
        unknown = [year for year in self.years if year not in map(str, range(2007, 2013))]
        if unknown or not self.years:
            raise UserError(f"data.format.years={list(years)}: any of 2007 to 2012, as [2007,2012]")
        self.download = download

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        if root is None:
            self.place(root)
        assert root is not None
        listed: dict[str, list[tuple[Key, str]]] = {}
        for year in self.years:
            for split in ("trainval", *(["test"] if year == "2007" else [])):
                found = self._lists(root, year, split)
                listed.setdefault("train" if split == "trainval" else split, []).extend(found)
        tree = Tree()
        for year in self.years:
            for folder in ("Annotations", "JPEGImages"):
                tree.look(os.fsencode(root), os.fsencode(_top(root, year).relative_to(root) / folder))
        splits = Splits(notes=[f"Pascal VOC {', '.join(self.years)}, trainval to train on"])
        return ListedXmls(tree, splits, root, root, one_based=True).read(listed, channels=channels)

    def _lists(self, root: Path, year: str, split: str) -> list[tuple[Key, str]]:
        """The samples of a list, downloaded where it or its images are missing."""
        found = by_lists(root, [f"VOC{year}"])[0].get(split, []) if root.is_dir() else []
        annotations = _top(root, year) / "Annotations"
        if found and (annotations / f"{found[0][0][1]}.xml").is_file():
            return found
        if not self.download:
            raise UserError(f"data.root={root}: {split} of VOC {year} is not there; put there {self.expected}")
        from torchvision.datasets import VOCDetection

        fetch("Pascal VOC", VOCDetection, root, self.expected, year=year, image_set=split)
        return by_lists(root, [f"VOC{year}"])[0].get(split, [])


def _top(root: Path, year: str) -> Path:
    places = (root / DEVKIT / f"VOC{year}", root / f"VOC{year}")
    return next((place for place in places if place.is_dir()), places[0])
