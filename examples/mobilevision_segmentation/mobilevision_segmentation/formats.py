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
from pycocotools.mask import area

from mobilevision.api import (
    CocoJson,
    DataFormat,
    FileRecords,
    Problem,
    Records,
    RecordsAround,
    Scenes,
    Splits,
    UserError,
    images,
    open_image,
    printable,
    read_text,
    split_of,
)
from mobilevision_segmentation.masks import (
    IGNORED,
    CocoMasks,
    FileMasks,
    MaskTargets,
    OutlineMasks,
    colours_of,
    numbers_of,
)

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
VOID = ("void", "ignore", "ignored", "unlabeled", "unlabelled")
"""Names of colours that are left out of losses and metrics."""
LOSSY = (b".jpg", b".jpeg")


def check_names(names: Sequence[str], where: str) -> None:
    """Refuse more classes than a mask can tell, and two of one name.

    Raises:
        UserError: naming the file.
    """
    if len(names) > IGNORED:
        raise UserError(f"{where}: {len(names)} classes, and masks tell {IGNORED} at most (255 is left out)")
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise UserError(f"{where}: two classes are called {twice[0]}: rename one")


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
        return root.is_dir() and bool(_places(root, []))

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root = self.place(root)
        notes: list[str] = []
        places = _places(root, notes) if root.is_dir() else {}
        if not places:
            raise UserError(f"data.root={root}: no folder of images beside one of masks; it should be {self.expected}")
        problems: list[Problem] = []
        pairs = {split: list(_pairs(root, *both, problems)) for split, both in places.items()}
        pairs, listed = _by_lists(root, pairs, problems)
        everything = [mask for found in pairs.values() for _, mask in found]
        if not everything:
            why = f" ({problems[0]})" if problems else ""
            raise UserError(f"data.root={root}: no image has a mask of its own{why}; it should be {self.expected}")
        found = self._classes(root, everything)
        splits = Splits(classes=found.names, problems=problems, whole=set(pairs) == {"train"})
        splits.notes += notes
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
            names = tuple(dict.fromkeys(name for name, _ in colours if name.lower() not in VOID))
            check_names(names, f"data.root={root}: labelmap.txt or class_dict.csv")
            known = {value: names.index(name) if name in names else IGNORED for name, value in colours}
            return Classes(names, known, colours=True)
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
        if seen <= {IGNORED}:
            raise UserError(f"data.root={root}: its masks hold nothing but 255, which is left out: there is no class")
        most = max(seen - {IGNORED}, default=0)
        if named is None:
            named = tuple(["background", *(f"class_{number}" for number in range(1, most + 1))])
        check_names(named, f"data.root={root}: classes.txt or data.format.classes")
        if most >= len(named):
            raise UserError(
                f"data.root={root}: masks hold values up to {most}, and {len(named)} classes are named: name them all"
                " in classes.txt or data.format.classes, or colours in labelmap.txt"
            )
        return Classes(named, {**{number: number for number in range(len(named))}, IGNORED: IGNORED})


def _values(path: Path) -> list[int]:
    """The different values of a mask; of a colour image whose channels are equal, the grey ones.

    Raises:
        UserError: it has colours, and nothing says what they mean.
    """
    image = open_image(path)
    colours, numbers = np.unique(colours_of(image)), np.unique(numbers_of(image)).tolist()
    coloured = image.mode in ("RGB", "RGBA") and len(numbers) > 1 and np.any(colours % 0x010101)
    if len(colours) > len(numbers) or coloured:
        red, green, blue = int(colours[-1]) >> 16, int(colours[-1]) >> 8 & 255, int(colours[-1]) & 255
        raise UserError(
            f"{path}: a mask in colours, such as {red},{green},{blue}: say what they mean in labelmap.txt beside the"
            " folders, a line a class: name:r,g,b::"
        )
    return [int(number) for number in numbers]


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
            colour = [int(cell) for cell in cells[1:4]]
            if other := next((row for row in rows if [int(cell) for cell in row[1:4]] == colour), None):
                raise UserError(f"{file}:{number}: {cells[0]} has the colour of {other[0]}: give it one of its own")
            rows.append(cells)
        return [(cells[0].strip(), (int(cells[1]) << 16) + (int(cells[2]) << 8) + int(cells[3])) for cells in rows]
    return []


def _places(root: Path, notes: list[str]) -> dict[str, tuple[Path, Path]]:
    """Split -> its folders of images and of masks, relative to ``root``; one split is train."""
    found: dict[str, tuple[Path, Path]] = {}
    if both := _both(root):
        inner = [{split_of(path.name): path for path in sorted(each.iterdir()) if path.is_dir()} for each in both]
        found = {split: (path, inner[1][split]) for split, path in inner[0].items() if split and split in inner[1]}
        for split in set(inner[0]) - set(inner[1]) - {None} if found else ():
            notes.append(f"{inner[0][split].relative_to(root)}: left out, {both[1].name} has no folder for {split}")
        found = found or {"train": both}
    else:
        for top in sorted(path for path in root.iterdir() if path.is_dir()):
            if (split := split_of(top.name)) and (both := _both(top)):
                found[split] = both
        if not found:
            inside = [pair for top in sorted(root.iterdir()) if top.is_dir() and (pair := _both(top))]
            found = {"train": inside[0]} if len(inside) == 1 else {}  # of several sets, nobody knows which is meant
    return {name: (pair[0].relative_to(root), pair[1].relative_to(root)) for name, pair in found.items()}


def _both(folder: Path) -> tuple[Path, Path] | None:
    inside = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    found = [next((inside[name] for name in names if name in inside), None) for names in (IMAGES, MASKS)]
    return (found[0], found[1]) if found[0] and found[1] else None


def _pairs(root: Path, image_folder: Path, mask_folder: Path, problems: list[Problem]) -> Iterator[tuple[bytes, bytes]]:
    """Image and mask, relative to ``root``, of every image that has one mask for itself.

    A mask of exactly the image's name comes first, then one in other letters, then one with an ending of ENDINGS that
    is no other image's.
    """
    below = [os.fsencode(folder) for folder in (image_folder, mask_folder)]
    listed = [sorted(images(os.path.join(os.fsencode(root), folder), b"")) for folder in below]
    stems = [[os.path.splitext(path)[0] for path in paths] for paths in listed]
    exact, lower = defaultdict[bytes, list[bytes]](list), defaultdict[bytes, list[bytes]](list)
    for path, stem in zip(listed[1], stems[1], strict=True):
        exact[stem].append(path)
        lower[stem.lower()].append(path)
    owned = {*stems[0], *(stem.lower() for stem in stems[0])}
    taken: dict[bytes, bytes] = {}
    for path, stem in zip(listed[0], stems[0], strict=True):
        where = printable(os.path.join(below[0], path))
        ended = [stem + end.encode() for end in ENDINGS if end]
        ways = [exact.get(stem), lower.get(stem.lower())]
        ways += [exact.get(name) or lower.get(name.lower()) for name in ended if name not in owned]
        found = next((way for way in ways if way), [])
        if len(found) != 1:
            names = ", ".join(map(printable, found))
            what = f"several masks: {names}" if found else f"no mask of this name in {mask_folder}/"
            problems.append(Problem(where, what, "leave one" if found else "add it, or remove the image"))
        elif found[0] in taken:
            what = f"its mask {printable(found[0])} is that of {printable(taken[found[0]])}, too"
            problems.append(Problem(where, what, "rename one image and its mask"))
        elif found[0].lower().endswith(LOSSY):
            what = f"its mask {printable(found[0])} is a JPEG, whose values are not exact"
            problems.append(Problem(where, what, "save masks as PNG"))
        else:
            taken[found[0]] = path
            yield os.path.join(below[0], path), os.path.join(below[1], found[0])


def _by_lists(
    root: Path, pairs: dict[str, list[tuple[bytes, bytes]]], problems: list[Problem]
) -> tuple[dict[str, list[tuple[bytes, bytes]]], str]:
    """The pairs by the lists of ``ImageSets/Segmentation``, where it has train and val; and a word on it."""
    folder = root / "ImageSets" / "Segmentation"
    lists = {split_of(file.stem): file for file in sorted(folder.glob("*.txt"))} if folder.is_dir() else {}
    lists.pop(None, None)
    if set(pairs) != {"train"} or "train" not in lists or len(lists) < 2:
        return pairs, "split by folder" if len(pairs) > 1 else "not split"
    named = defaultdict[bytes, list[tuple[bytes, bytes]]](list)
    for pair in pairs["train"]:
        parts = os.path.splitext(pair[0])[0].split(b"/")
        for start in range(len(parts)):
            named[b"/".join(parts[start:])].append(pair)
    found: dict[str, list[tuple[bytes, bytes]]] = defaultdict(list)
    for split, file in lists.items():
        for number, line in enumerate(read_text(file).splitlines(), start=1):
            if not line.strip():
                continue
            there = named.get(os.fsencode(line.strip()), [])
            if len(there) != 1:
                what = f"{len(there) or 'no'} images and masks named {line.strip()[:60]}"
                fix = "write the folder, too" if there else "add them, or remove the line"
                problems.append(Problem(f"{file.relative_to(root)}:{number}", what, fix))
            else:
                found[str(split)].append(there[0])
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
            check_names(names, f"{file}: categories and background")
            numbers = {row["id"]: names.index(str(row["name"])) for row in read["categories"]}
            sizes = {row["id"]: (row["height"], row["width"]) for row in read["images"]}
            outlines: dict[Any, list[Any]] = defaultdict(list)
            for row in read["annotations"]:
                number, size = numbers.get(row.get("category_id")), sizes.get(row.get("image_id"))
                if number is None or size is None:
                    continue  # reading the boxes has told of it
                if wrong := outline_error(row.get("segmentation"), size):
                    where = f"{file.name}: annotation {row.get('id')}"
                    splits.problems.append(Problem(where, wrong, "mend it, or remove the annotation"))
                    continue
                outlines[row["image_id"]].append([number, int(row.get("iscrowd") or 0), row["segmentation"]])
            if read["annotations"] and not outlines:
                told = f" ({splits.problems[-1]})" if splits.problems else ""
                raise UserError(f"{file}: none of its {len(read['annotations'])} annotations has an outline{told}")
            of = _ImagesByPath(read["images"])
            paths = [records.name(index) for index in range(len(records))]
            rows = [of.find(path, file) for path in paths]
            texts = [json.dumps(outlines[row["id"]]).encode() for row in rows]
            records.targets = CocoMasks(texts, paths, [(row["height"], row["width"]) for row in rows])
        splits.notes.append("masks: polygons and run lengths as pixels of their classes, the rest is background")
        return replace(splits, classes=names)


def outline_error(outline: Any, size: tuple[int, int]) -> str | None:
    """What is wrong with a ``segmentation``; None where nothing is.

    Args:
        outline: polygons, or run lengths.
        size: (height, width) of the image.
    """
    if isinstance(outline, dict):
        counts = outline.get("counts")
        if list(outline.get("size") or ()) != list(size):
            return f"its run lengths are of the size {outline.get('size')}, the image of {list(size)}"
        if isinstance(counts, str) and counts:
            try:
                return None if int(area(outline)) <= size[0] * size[1] else "its run lengths go beyond the image"
            except Exception:  # whatever pycocotools raises
                return "its run lengths cannot be read"
        whole = isinstance(counts, list) and all(type(each) is int and each >= 0 for each in counts)
        return None if whole and sum(counts) == size[0] * size[1] else "its run lengths do not add up to the image"
    if not isinstance(outline, list) or not outline:
        return "it has no outline"
    for polygon in outline:
        numbers = isinstance(polygon, list) and all(type(each) in (int, float) for each in polygon)
        if not numbers or len(polygon) < 6 or len(polygon) % 2 or not np.isfinite(polygon).all():
            return f"a polygon takes three corners or more, x and y of each: {str(polygon)[:40]}"
    return None


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
