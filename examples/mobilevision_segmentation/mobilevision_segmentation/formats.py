"""Where masks come from: folders of them (VOC's and CVAT's among them), COCO's json, and drawn scenes."""

from __future__ import annotations

import csv
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, final

import numpy as np

from mobilevision.api import (
    CocoJson,
    DataFormat,
    FileRecords,
    Problem,
    Records,
    RecordsAround,
    Scenes,
    Splits,
    UnreadableImageError,
    UserError,
    images,
    printable,
    read_text,
    split_of,
)
from mobilevision_segmentation.masks import IGNORED, CocoMasks, FileMasks, MaskTargets, OutlineMasks, read_values

IMAGES = ("images", "image", "imgs", "img", "jpegimages", "photos")
MASKS = ("masks", "mask", "labels", "annotations", "segmentationclass", "gt", "groundtruth", "targets")
ENDINGS = ("", "_mask", "-mask", "_masks", "_label", "_labels", "_gt", "_l", "_seg", "_segmentation", ".mask")
"""What a mask's name has behind its image's."""
LOOKED_AT = 50
"""Masks whose values are looked at where no file names the classes."""
VOC = [
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
]
"""Classes of Pascal VOC in the order of their numbers."""


class Classes(NamedTuple):
    """What the values of masks mean.

    Attributes:
        names: of the classes.
        values: value of a pixel -> class number.
        colours: whether values are colours, as :class:`FileMasks` has them.
    """

    names: tuple[str, ...]
    values: Mapping[int, int]
    colours: bool = False


@final
class MaskFolder(DataFormat):
    """Reads images and masks that lie in two folders, a file each, of the same name.

    ``train/images`` and ``train/masks``; ``images/train`` and ``masks/train``; or ``images`` and ``masks``, without a
    split or with the lists of ``ImageSets/Segmentation/train.txt``, as VOC and CVAT's export "Segmentation mask" have.
    Pixels hold class numbers (grey or palette), colours that ``labelmap.txt`` (``name:r,g,b::`` a line) or
    ``class_dict.csv`` (``name,r,g,b``) name, or 0 and 255 for the ground and the one class. 255 is left out otherwise.

    Args:
        classes: names in the order of the numbers; None reads ``classes.txt``, or counts.
    """

    kinds: ClassVar[tuple[str, ...]] = ("mask",)
    expected: ClassVar[str] = (
        "a folder with images/ and masks/, with train/images/ and train/masks/ (val, test likewise), or VOC's"
        " JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/"
    )

    def __init__(self, *, classes: Sequence[str] | None = None) -> None:
        self.classes = None if classes is None else tuple(map(str, classes))

    def claims(self, root: Path) -> bool:
        """Whether a folder of images and one of masks lie there."""
        return root.is_dir() and bool(_places(root))

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root = self.place(root)
        places = _places(root) if root.is_dir() else {}
        if not places:
            raise UserError(f"data.root={root}: no folder of images beside one of masks; it should be {self.expected}")
        problems: list[Problem] = []
        pairs = {split: list(_pairs(root, *both, problems)) for split, both in places.items()}
        pairs, listed = _by_lists(root, pairs, problems)
        everything = [mask for found in pairs.values() for _, mask in found]
        if not everything:
            raise UserError(f"data.root={root}: no image has a mask of its own name; it should be {self.expected}")
        found = self._classes(root, everything)
        splits = Splits(classes=found.names, problems=problems, whole=set(pairs) == {"train"})
        splits.notes.append(f"masks: {len(everything)} images, {len(found.names)} classes, {listed}")
        for split, both in pairs.items():
            targets = FileMasks(
                [mask for _, mask in both], root, values=found.values, colours=found.colours, classes=len(found.names)
            )
            paths = [image for image, _ in both]
            setattr(splits, split, FileRecords(paths=paths, targets=targets, channels=channels, root=root))
        return splits

    def _classes(self, root: Path, masks: Sequence[bytes]) -> Classes:
        if colours := _named_colours(root):
            names = tuple(dict.fromkeys(name for name, _ in colours))
            return Classes(names, {value: names.index(name) for name, value in colours}, colours=True)
        named = self.classes
        if named is None and (root / "classes.txt").is_file():
            named = tuple(line.strip() for line in read_text(root / "classes.txt").splitlines() if line.strip())
        step = max(1, len(masks) // LOOKED_AT)
        seen: set[int] = set()
        for mask in masks[::step]:
            seen |= set(_values(root / os.fsdecode(mask)))
        if named is None and seen <= {*range(len(VOC)), IGNORED} and (root / "SegmentationClass").is_dir():
            named = tuple(VOC)
        if seen == {0, IGNORED} and (named is None or len(named) == 2):
            return Classes(named or ("background", "object"), {0: 0, IGNORED: 1})
        most = max(seen - {IGNORED}, default=0)
        if named is None:
            named = tuple(["background", *(f"class_{number}" for number in range(1, most + 1))])
        if most >= len(named) or len(named) > IGNORED:
            raise UserError(
                f"data.root={root}: masks hold values up to {most}, and {len(named)} classes are named: name them all,"
                f" at most {IGNORED}, in classes.txt or data.format.classes, or colours in labelmap.txt"
            )
        return Classes(named, {**{number: number for number in range(len(named))}, IGNORED: IGNORED})


def _values(path: Path) -> list[int]:
    """The different values of a mask; of a colour image whose channels are equal, the grey ones.

    Raises:
        UserError: it has colours, and nothing says what they mean.
    """
    colours = np.unique(read_values(path, colours=True))
    numbers = np.unique(read_values(path, colours=False)).tolist()
    if len(colours) > len(numbers) or (len(numbers) > 1 and _is_rgb(path) and np.any(colours % 0x010101)):
        red, green, blue = int(colours[-1]) >> 16, int(colours[-1]) >> 8 & 255, int(colours[-1]) & 255
        raise UserError(
            f"{path}: a mask in colours, such as {red},{green},{blue}: say what they mean in labelmap.txt beside the"
            " folders, a line a class: name:r,g,b::"
        )
    return [int(number) for number in numbers]


def _is_rgb(path: Path) -> bool:
    from mobilevision.api import open_image

    return open_image(path).mode in ("RGB", "RGBA")


def _named_colours(root: Path) -> list[tuple[str, int]]:
    """(name, colour) of the files that name colours; empty without."""
    for name in ("labelmap.txt", "class_dict.csv"):
        file, rows = root / name, list[list[str]]()
        if not file.is_file():
            continue
        for number, line in enumerate(read_text(file).splitlines(), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            cells = [part for cell in line.split(":")[:2] for part in cell.split(",")]
            cells = cells if name == "labelmap.txt" else next(csv.reader([line]))
            if number == 1 and name == "class_dict.csv" and not cells[-1].strip().isdigit():
                continue
            if len(cells) < 4 or not all(cell.strip().isdigit() and int(cell) < 256 for cell in cells[1:4]):
                raise UserError(
                    f"{file}:{number}: {line.strip()[:60]!r}: write name:r,g,b:: with numbers from 0 to 255"
                )
            rows.append(cells)
        return [(cells[0].strip(), (int(cells[1]) << 16) + (int(cells[2]) << 8) + int(cells[3])) for cells in rows]
    return []


def _places(root: Path) -> dict[str, tuple[Path, Path]]:
    """Split -> its folders of images and of masks, relative to ``root``; one split is train."""
    for top in (root, *sorted(path for path in root.iterdir() if path.is_dir())):
        if both := _both(top):
            inner = {split_of(path.name): path.name for path in sorted((both[0]).iterdir()) if path.is_dir()}
            split = {name: (both[0] / inside, both[1] / inside) for name, inside in inner.items() if name}
            split = {name: pair for name, pair in split.items() if pair[1].is_dir()}
            below = {split_of(top.name) or "train": both} if top != root else {"train": both}
            found = split or below
            if top != root:  # train/images: its neighbours, too
                others = {split_of(path.name): _both(path) for path in sorted(root.iterdir()) if path.is_dir()}
                found = {**{name: pair for name, pair in others.items() if name and pair}, **found}
            return {name: (pair[0].relative_to(root), pair[1].relative_to(root)) for name, pair in found.items()}
    return {}


def _both(folder: Path) -> tuple[Path, Path] | None:
    inside = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    found = [next((inside[name] for name in names if name in inside), None) for names in (IMAGES, MASKS)]
    return (found[0], found[1]) if found[0] and found[1] else None


def _pairs(root: Path, image_folder: Path, mask_folder: Path, problems: list[Problem]) -> Iterator[tuple[bytes, bytes]]:
    """Image and mask, relative to ``root``, of every image that has one."""
    below = [os.fsencode(folder) for folder in (image_folder, mask_folder)]
    listed = [sorted(images(os.path.join(os.fsencode(root), folder), b"")) for folder in below]
    masks = {os.path.splitext(path)[0].lower(): path for path in listed[1]}
    for path in listed[0]:
        stem = os.path.splitext(path)[0].lower()
        mask = next((masks[name] for end in ENDINGS if (name := stem + end.encode()) in masks), None)
        if mask is None:
            where = printable(os.path.join(below[0], path))
            problems.append(Problem(where, f"no mask of this name in {mask_folder}/", "add it, or remove the image"))
        else:
            yield os.path.join(below[0], path), os.path.join(below[1], mask)


def _by_lists(
    root: Path, pairs: dict[str, list[tuple[bytes, bytes]]], problems: list[Problem]
) -> tuple[dict[str, list[tuple[bytes, bytes]]], str]:
    """The pairs by the lists of ``ImageSets/Segmentation``, where it has train and val; and a word on it."""
    folder = root / "ImageSets" / "Segmentation"
    lists = {split_of(file.stem): file for file in sorted(folder.glob("*.txt"))} if folder.is_dir() else {}
    lists.pop(None, None)
    if set(pairs) != {"train"} or "train" not in lists or len(lists) < 2:
        return pairs, "split by folder" if len(pairs) > 1 else "not split"
    named = {os.path.splitext(os.path.basename(image))[0]: (image, mask) for image, mask in pairs["train"]}
    found: dict[str, list[tuple[bytes, bytes]]] = defaultdict(list)
    for split, file in lists.items():
        for number, line in enumerate(read_text(file).split(), start=1):
            pair = named.get(os.path.basename(os.fsencode(line)))
            if pair is None:
                what = f"no image and mask named {line[:60]}"
                problems.append(Problem(f"{file.relative_to(root)}:{number}", what, "add them, or remove the line"))
            else:
                found[str(split)].append(pair)
    return dict(found), "split by ImageSets/Segmentation"


@final
class CocoFolder(DataFormat):
    """Reads the polygons and run lengths of COCO's json as masks; of objects over each other, the smaller is on top.

    Files and images are found as ``data=coco_json`` finds them. Class 0 is ``background``; regions that are marked as
    crowds are left out of losses and metrics.

    Args:
        train: the json of train, relative to ``data.root``; None finds it.
        val: the json of val, likewise.
        test: the json of test, likewise.
        images: the folder of the images, or the folder above a folder for each split; None finds it.
    """

    kinds: ClassVar[tuple[str, ...]] = ("mask",)
    expected: ClassVar[str] = CocoJson.expected

    def __init__(
        self, *, train: str | None = None, val: str | None = None, test: str | None = None, images: str | None = None
    ) -> None:
        self.boxes = CocoJson(train=train, val=val, test=test, images=images)

    def claims(self, root: Path) -> bool:
        """Never: ``data=auto`` takes such data for boxes."""
        return False

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root = self.place(root)
        splits = self.boxes.read(root=root, kind="boxes", channels=channels, seed=seed)
        files = self.boxes.files_of(root)
        names = ("background", *(name for name in splits.classes if name != "background"))
        for split, records in splits.items():
            file = files.get(split, next(iter(files.values())))
            read = json.loads(read_text(file))
            numbers = {row["id"]: names.index(str(row["name"])) for row in read["categories"]}
            outlines: dict[Any, list[Any]] = defaultdict(list)
            for row in read["annotations"]:
                if row.get("segmentation"):
                    number = numbers[row["category_id"]]
                    outlines[row["image_id"]].append([number, int(row.get("iscrowd") or 0), row["segmentation"]])
            of = _ImagesByPath(read["images"])
            paths = [records.name(index) for index in range(len(records))]
            rows = [of.find(path, file) for path in paths]
            texts = [json.dumps(outlines[row["id"]]).encode() for row in rows]
            records.targets = CocoMasks(texts, paths, [(row["height"], row["width"]) for row in rows])
        splits.notes.append("masks: polygons and run lengths as pixels of their classes, the rest is background")
        return replace(splits, classes=names)


class _ImagesByPath:
    """The images of a json by the ends of their paths, which are as long as they need to be to tell them apart."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in rows:
            parts = str(row["file_name"]).replace("\\", "/").split("/")
            for start in range(len(parts)):
                self.rows["/".join(parts[start:])].append(row)

    def find(self, path: str, file: Path) -> Mapping[str, Any]:
        """The one whose path ends like this one for longest.

        Raises:
            UserError: several do.
        """
        parts = path.split("/")
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        found = next((self.rows[end] for end in ends if end in self.rows), [])
        if len(found) != 1:
            raise UserError(f"{file}: {len(found)} images are called like {path}: give each a file_name of its own")
        return found[0]


@final
class DrawnScenes(DataFormat):
    """The embedded drawn scenes of the detectors, with the form of every pixel; class 0 is the ground.

    Args:
        train: number of training images.
        val: number of validation images.
        test: number of test images.
        side: longer side of the drawn images in pixels.
    """

    kinds: ClassVar[tuple[str, ...]] = ("mask",)

    def __init__(self, *, train: int = 1200, val: int = 150, test: int = 300, side: int = 144) -> None:
        self.scenes = Scenes(train=train, val=val, test=test, side=side)

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        splits = self.scenes.read(root=root, kind="boxes", channels=channels, seed=seed)
        for split, records in splits.items():
            rows = range(len(records))
            outlines = [[(label + 1, corners) for label, corners in records.outlines(row)] for row in rows]
            setattr(splits, split, WithMasks(records, OutlineMasks(outlines, [records.shape(row) for row in rows])))
        return replace(splits, classes=("ground", *splits.classes))


@final
class WithMasks(RecordsAround):
    """Other records, with masks to be learnt."""

    def __init__(self, records: Records, targets: MaskTargets) -> None:
        self.records, self.targets = records, targets

    def source(self, index: int) -> tuple[Records, int]:
        """See :class:`RecordsAround`."""
        return self.records, index


__all__ = ["CocoFolder", "DrawnScenes", "MaskFolder", "UnreadableImageError"]
