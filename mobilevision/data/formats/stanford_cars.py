"""Stanford Cars: 16,185 photos of 196 models (Krause et al. 2013)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, final

from mobilevision.data.formats.published import Listed, PublishedSet, Row, check_crop, column, first_file, mat
from mobilevision.data.records import Splits
from mobilevision.errors import UserError
from mobilevision.ops.boxes import xyxy_to_xywh

META, TRAIN, TEST = "cars_meta.mat", "cars_train_annos.mat", "cars_test_annos_withlabels.mat"
FIELDS = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")
LONG_MAKES = ("AM General", "Aston Martin", "Land Rover")


@final
class StanfordCars(PublishedSet):
    """Reads ``cars_train/``, ``cars_test/`` and the development kit, or an image folder of it; grouped by make.

    Args:
        crop: ``box`` cuts out the car; None takes the images whole.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)
    title: ClassVar[str] = "Stanford Cars"
    top: ClassVar[str] = "stanford_cars"  # torchvision's folder
    expected: ClassVar[str] = (
        f"the folder of Stanford Cars with cars_train/, cars_test/, {TEST} and devkit/ ({META}, {TRAIN}), which has no"
        " open download any more, or train/MODEL/ and test/MODEL/ with images"
    )

    def __init__(self, *, crop: Literal["box"] | None = None) -> None:
        check_crop(crop)
        self.crop = crop

    def claims(self, root: Path) -> bool:
        """Whether its images and its list of models lie there."""
        base = self.base(root)
        return (base / "cars_train").is_dir() and first_file(base, f"devkit/{META}", META) is not None

    def read_published(self, base: Path, channels: int) -> Splits:
        """See :class:`PublishedSet`."""
        meta = first_file(base, f"devkit/{META}", META)
        assert meta is not None
        names = [str(name) for name in column(mat(meta, self.expected), "class_names", meta)]
        listed = Listed(base)
        for split, name in (("train", TRAIN), ("test", TEST)):
            if (path := first_file(base, f"devkit/{name}", name)) is not None:
                self._gather(listed, split, path, names)
            elif split == "train":
                raise UserError(f"data.root={base}: no {name}; it should be {self.expected}")
        splits = listed.splits(channels=channels, crop=self.crop, classes=names)
        splits.groups = {name: _make(name) for name in names}
        splits.notes.append(self.title + ", cars cut out" * bool(self.crop))
        return splits

    def _gather(self, listed: Listed, split: str, path: Path, names: list[str]) -> None:
        rows: Any = column(mat(path, self.expected), "annotations", path)
        if lacking := [field for field in FIELDS if field not in (rows.dtype.names or ())]:
            raise UserError(f"{path}: its annotations have no {lacking[0]}; {TEST} is the list that has classes")
        for place, row in enumerate(rows):
            box = xyxy_to_xywh(*(float(row[key]) for key in FIELDS[:4]))
            shown = Row(f"cars_{split}/{row['fname']}".encode(), names[int(row["class"]) - 1], box)
            listed.add(split, shown, f"{path.name}:{place + 1}")


def _make(model: str) -> str:
    """``Audi TT RS Coupe 2012`` is an Audi."""
    return next((make for make in LONG_MAKES if model.startswith(make)), model.split()[0])
