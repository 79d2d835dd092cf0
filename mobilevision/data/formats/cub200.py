"""Caltech-UCSD Birds-200-2011: 11,788 photos of 200 species of birds (Wah et al. 2011)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Literal, final

from mobilevision.data.formats.published import Listed, PublishedSet, Row, check_crop
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError
from mobilevision.images.framing import CropBox

TOP = "CUB_200_2011"
IMAGES, LABELS, SPLIT = "images.txt", "image_class_labels.txt", "train_test_split.txt"
BOXES, NAMES = "bounding_boxes.txt", "classes.txt"


@final
class Cub200(PublishedSet):
    """Reads ``images.txt``, ``image_class_labels.txt``, ``train_test_split.txt``, ``classes.txt`` and ``images/``.

    Species are grouped by the last word of their names: the black-footed albatross is an albatross.

    Args:
        crop: ``box`` cuts out the bird, by ``bounding_boxes.txt``; None takes the images whole.
    """

    kinds: ClassVar[tuple[str, ...]] = ("class",)
    title: ClassVar[str] = "CUB-200-2011"
    top: ClassVar[str] = TOP
    expected: ClassVar[str] = (
        f"the folder {TOP} (unpack CUB_200_2011.tgz of data.caltech.edu), with {IMAGES}, {LABELS}, {SPLIT}, {NAMES} and"
        " images/, or train/SPECIES/ and test/SPECIES/ with images"
    )

    def __init__(self, *, crop: Literal["box"] | None = None) -> None:
        check_crop(crop)
        self.crop = crop

    def claims(self, root: Path) -> bool:
        """Whether its lists lie there."""
        base = self.base(root)
        return (base / IMAGES).is_file() and (base / LABELS).is_file() and (base / "images").is_dir()

    def read_published(self, base: Path, channels: int) -> Splits:
        """See :class:`PublishedSet`."""
        listed = Listed(base / "images")
        table = {name: _table(base / name, listed.problems) for name in (IMAGES, LABELS, SPLIT, NAMES)}
        boxes = _table(base / BOXES, listed.problems) if self.crop else {}
        for number, path in table[IMAGES].items():
            label = table[NAMES].get(table[LABELS].get(number, ""))
            if label is None or number not in table[SPLIT]:
                lacking = f"no class in {LABELS} and {NAMES}" if label is None else f"no row in {SPLIT}"
                listed.problems.append(Problem(f"{IMAGES}: image {number}", lacking, "add its row or remove this one"))
                continue
            row = Row(os.fsencode(path), _species(label), _box(boxes.get(number)))
            listed.add("train" if table[SPLIT][number] == "1" else "test", row, f"{IMAGES}: image {number}")
        names = [_species(name) for name in table[NAMES].values()]
        splits = listed.splits(channels=channels, crop=self.crop, classes=names)
        splits.groups = {name: name.replace("-", "_").split("_")[-1] for name in names}
        splits.notes.append(self.title + ", birds cut out" * bool(self.crop))
        return splits


def _table(path: Path, problems: list[Problem]) -> dict[str, str]:
    """The rest of each row by its first word."""
    if not path.is_file():
        raise UserError(f"data.root={path.parent}: no {path.name}; it should be {Cub200.expected}")
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        key, _, rest = line.strip().partition(" ")
        if rest:
            found[key] = rest.strip()
        elif key:
            problems.append(Problem(f"{path.name}:{number}", f"{line.strip()!r} is no pair", "mend or remove the row"))
    return found


def _species(name: str) -> str:
    """``001.Black_footed_Albatross`` without its number."""
    return name.partition(".")[2] or name


def _box(text: str | None) -> CropBox | None:
    """``x y width height``; None where it is anything else."""
    try:
        x, y, width, height = map(float, (text or "").split())
    except ValueError:
        return None
    return x, y, width, height
