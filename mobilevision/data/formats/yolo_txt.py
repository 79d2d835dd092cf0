"""YOLO's text files: one an image, a box a line, in fractions of the image."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, final

import numpy as np

from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats.annotations.image_lookup import IMAGES, ImageIndex, plain, split_in_name
from mobilevision.data.formats.annotations.raw import Collector, Raw, many
from mobilevision.data.formats.annotations.splits import FRACTIONS, beyond_fractions, checked, make_splits
from mobilevision.data.formats.scan import folders, images
from mobilevision.data.formats.text import decode, is_text, read_text
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError
from mobilevision.images.files import has_image_suffix, printable
from mobilevision.io.regular_files import open_regular
from mobilevision.io.safe_yaml import read_yaml
from mobilevision.ops.boxes import cxcywh_to_xyxy

# One YOLO label file: class and box in fractions of the image a line.


class YoloRow(NamedTuple):
    """One line; ``fault`` says what is wrong with it, and is empty where nothing is.

    ``corners`` are (left, top, right, bottom), as a rule in fractions of the image.
    """

    line: int
    label: int
    corners: tuple[float, float, float, float]
    fault: str = ""


def read_yolo(path: bytes, *, keypoints: bool = False) -> Iterator[YoloRow]:
    """The rows of a file.

    Five numbers are class, centre x, centre y, width, height; an odd number of seven or more is a polygon, of which
    the box around it is taken.

    Args:
        path: the file.
        keypoints: what follows the first five numbers are keypoints, not a polygon.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        content = file.read()
    if not content[:3].isascii() or b"\0" in content:  # a byte order mark, UTF-16
        content = decode(content).encode("utf-8", "surrogateescape")
    lines = content.splitlines()
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        try:
            values = [float(word) for word in words]
        except ValueError:
            yield _faulty(number, f"{_shown(line)} is not a row of numbers")
            continue
        yield _row(number, values[:5] if keypoints else values, line)


def _row(number: int, values: Sequence[float], line: bytes) -> YoloRow:
    label = values[0]
    if len(values) < 5 or len(values) % 2 == 0:
        also = ": the sixth may be a confidence, which truth does not have" if len(values) == 6 else ""
        return _faulty(
            number, f"{len(values)} numbers instead of class, x, y, width, height or class and polygon{also}"
        )
    if not label.is_integer() or label < 0:
        return _faulty(number, f"{_shown(line.split()[0])} is no class number")
    if len(values) == 5:
        _, x, y, width, height = values
        corners = cxcywh_to_xyxy(x, y, width, height)
    else:
        xs, ys = values[1::2], values[2::2]
        corners = (min(xs), min(ys), max(xs), max(ys))
    return YoloRow(number, int(label), corners)


def _faulty(number: int, fault: str) -> YoloRow:
    return YoloRow(number, -1, (0, 0, 0, 0), fault)


def _shown(text: bytes) -> str:
    return repr(text.decode("utf-8", "replace")[:40])


NAMES = ("classes.txt", "obj.names", "classes.names", "data.names", "coco.names", "_darknet.labels")
LISTS = {"train": ("train.txt",), "val": ("val.txt", "valid.txt"), "test": ("test.txt",)}


@final
@dataclass
class YoloPlaces:
    """What is to be read.

    Attributes:
        images: split -> image files.
        names: the class names; None where nothing lists them.
        notes: what was decided.
        whole: there is no split.
        keypoints: labels hold keypoints behind their boxes.
        listed: images were chosen by name, so that labels of others may lie about.
    """

    images: dict[str, list[bytes]] = field(default_factory=dict)
    names: tuple[str, ...] | None = None
    notes: list[str] = field(default_factory=list)
    whole: bool = False
    keypoints: bool = False
    listed: bool = False


def yolo_places(root: Path) -> YoloPlaces:
    """Look at a yaml, or at a folder with or without one.

    Raises:
        UserError: a yaml that cannot be used.
    """
    file = root if root.is_file() else find_yaml(root)
    places = _by_yaml(file) if file is not None else _by_folders(root)
    named = _names_beside(root if root.is_dir() else root.parent)
    if places.names is None:
        places.names = _one_of(named, places.notes)
    elif odd := [file for file, names in named.items() if names != places.names]:
        places.notes.append(f"not used, as they name the classes otherwise: {', '.join(map(str, odd[:6]))}")
    return places


def find_yaml(root: Path) -> Path | None:
    """The yaml of a folder, or of the only folder in it, that names classes and splits; data.yaml first."""
    names = sorted((path for path in root.glob("*.y*ml")), key=lambda path: (path.stem != "data", path.name))
    inner = [] if names else folders(root)
    if len(inner) == 1:
        return find_yaml(root / os.fsdecode(inner[0]))
    for path in names:
        try:
            content = _load(path)
        except UserError:
            if path.stem.lower() in ("data", "dataset") or _speaks_of_names(path):
                raise
            continue  # of something else
        if "names" in content and ("train" in content or "val" in content):
            return path
    return None


def _speaks_of_names(file: Path) -> bool:
    try:
        text = read_text(file)
    except (OSError, UnicodeDecodeError):
        return False
    return all(re.search(rf"^[\"']?{key}[\"']?\s*:", text, re.MULTILINE) for key in ("names", "train"))


def _load(file: Path) -> dict[str, Any]:
    content = read_yaml(file)
    return content if isinstance(content, dict) else {}


def _by_yaml(file: Path) -> YoloPlaces:
    content = _load(file)
    named = None if content.get("names") is None else read_yaml(file, as_text=True)["names"]
    places = YoloPlaces(names=_class_names(named, file), notes=[f"YOLO: {file.name}"])
    places.keypoints = bool(content.get("kpt_shape"))
    for split, keys in (("train", ("train",)), ("val", ("val", "valid")), ("test", ("test",))):
        given = next((content[key] for key in keys if content.get(key)), None)
        if given is None:
            continue
        entries_ = [str(each) for each in (given if isinstance(given, list) else [given])]
        if split != "train" and given == content.get("train"):
            places.notes.append(f"{file.name} names the same images for train and {split}: {split} is not used")
            continue
        for entry in entries_:
            path = _resolve(entry, file.parent, str(content.get("path") or ""))
            if path is not None:
                places.listed |= path.is_file()
                places.images.setdefault(split, []).extend(_images_of(path))
            elif split == "train":
                raise UserError(f"{file}: train is {entry}, which does not exist: mend it, or path in the same file")
            else:
                places.notes.append(f"{file.name} names {entry} for {split}, which does not exist: left out")
    if not places.images:
        raise UserError(f"{file}: names no images: train should be a folder or a list of them")
    return places


def _resolve(entry: str, beside: Path, base: str) -> Path | None:
    """A path of a data.yaml, from wherever it was meant: exporters begin it at ``../`` with nothing there."""
    inner = entry.replace("\\", "/")
    while inner.startswith(("../", "./")):
        inner = inner.split("/", 1)[1]
    tops = [Path(base), beside / base, beside, beside.parent]
    parts = inner.rstrip("/").split("/")
    tails = ["/".join(parts[at:]) for at in range(1, len(parts))]  # of a path of another machine
    tried = [*(top / entry for top in tops), *(top / inner for top in tops[1:])]
    tried += [beside / tail for tail in tails if split_in_name(tail) or "/" in tail]
    return next((path for path in tried if path.exists()), None)


def _images_of(path: Path) -> list[bytes]:
    """The images of a folder, or of a list of paths."""
    if path.is_dir():
        return list(images(os.fsencode(path), os.fsencode(path)))
    top, found, index = path.parent, [], None
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: the list of images cannot be read ({error}): mend it") from None
    for line in lines:
        name = plain(os.fsencode(line.strip().strip('"')))
        if name:
            near = [os.path.join(os.fsencode(above), name) for above in (top, top.parent, "")]
            there = next((each for each in near if os.path.isfile(each)), None)
            if there is None:  # a path of another machine, or data/ before it as in CVAT's lists
                index = index or ImageIndex(images(os.fsencode(top), os.fsencode(top)))
                hits = index.find(name)
                there = hits[0] if len(hits) == 1 else near[0]
            found.append(os.path.normpath(there))
    return found


def _by_folders(root: Path) -> YoloPlaces:
    lists = {split: root / name for split, names in LISTS.items() for name in names if _lists_images(root / name)}
    if "train" in lists:
        found = {split: _images_of(file) for split, file in lists.items()}
        return YoloPlaces(found, notes=[f"YOLO: lists {', '.join(file.name for file in lists.values())}"], listed=True)
    by_split: dict[str | None, list[bytes]] = {}
    for path in images(os.fsencode(root), b""):
        above = os.fsdecode(os.path.dirname(path)).split(os.sep)
        split = next((split for split in map(split_in_name, above) if split), None)
        by_split.setdefault(split, []).append(os.path.join(os.fsencode(root), path))
    loose = by_split.pop(None, [])
    if not by_split:
        return YoloPlaces({"train": loose}, notes=["YOLO, no split"], whole=True)
    notes = ["YOLO, splits by folder"]
    notes += [f"not used, in the folder of no split: {len(loose)} images"] if loose else []
    return YoloPlaces({split: found for split, found in by_split.items() if split}, notes=notes)


def _lists_images(file: Path) -> bool:
    if not file.is_file():
        return False
    with open_regular(file) as stream:
        first = decode(stream.readline()).strip().strip('"')
    return has_image_suffix(first)


def _class_names(given: Any, file: Path) -> tuple[str, ...] | None:
    """Names from a list, or from a mapping by number."""
    if given is None:
        return None
    if isinstance(given, list):
        given = {str(number): name for number, name in enumerate(given)}
    if not isinstance(given, dict) or not all(key.isdecimal() for key in given):
        raise UserError(f"{file}: names should be a list, or a mapping from class number to name")
    numbered: dict[int, str] = {}
    for key, name in given.items():
        if not isinstance(name, str):
            raise UserError(f"{file}: the name of class {key} is a {'list' if isinstance(name, list) else 'mapping'}")
        if "\ufffd" in name:
            raise UserError(f"{file}: is not UTF-8, so that names in it cannot be read: save it as UTF-8")
        if not name.strip() or int(key) in numbered:
            what = "stands there twice" if name.strip() else "has no name"
            raise UserError(f"{file}: class {int(key)} {what}: give every number one name")
        numbered[int(key)] = name
    return _unique([numbered.get(i, str(i)) for i in range(max(numbered, default=-1) + 1)], file)


def _unique(names: Sequence[str], file: Path) -> tuple[str, ...]:
    """The names.

    Raises:
        UserError: two classes have one.
    """
    first: dict[str, int] = {}
    for number, name in enumerate(names):
        if first.setdefault(name, number) != number:
            raise UserError(
                f"{file}: classes {first[name]} and {number} both have the name {name!r}: name them apart, or give"
                " their boxes one number"
            )
    return tuple(names)


def _names_beside(root: Path) -> dict[Path, tuple[str, ...]]:
    """The class names of each list of them, a name a line, at the root and at most two folders down."""
    inner = [root / os.fsdecode(name) for name in folders(root)]
    below = [top / name for top in inner for name in ("labels", "images")]
    found: dict[Path, tuple[str, ...]] = {}
    if len(inner) == 1:  # the root may be too high
        below += [inner[0] / os.fsdecode(name) for name in folders(inner[0])]
    for top in dict.fromkeys((root, *inner, *below)):
        file = next((top / name for name in NAMES if (top / name).is_file()), None)
        if file is not None:
            # A name's line is its class number: an empty line between names is kept until it is known to matter.
            lines = "\n".join(line.strip() for line in _lines(file)).rstrip("\n")
            found[file.relative_to(root)] = tuple(lines.split("\n")) if lines else ()
    return found


def _one_of(named: dict[Path, tuple[str, ...]], notes: list[str]) -> tuple[str, ...] | None:
    """The class names that all lists of them have, None without a list.

    Raises:
        UserError: two name them otherwise: a number in a label file may mean either.
    """
    for file, names in named.items():
        first = next(iter(named))
        if names != named[first]:
            own, other = ", ".join(names[:6]), ", ".join(named[first][:6])
            raise UserError(
                f"{file} names the classes {own}, but {first} {other}: the numbers in the label files mean one of them;"
                " keep the right list only, or write the names into a data.yaml"
            )
    if not named:
        return None
    notes.append(f"class names from {', '.join(map(str, list(named)[:4]))}")
    file, names = next(iter(named.items()))
    if "" in names:
        line = names.index("") + 1
        raise UserError(
            f"{file}:{line}: an empty line before other names: is it class {line - 1}, or no class? Write a name, or"
            " remove the line"
        )
    return _unique(names, file)


def _lines(file: Path) -> list[str]:
    """The lines of a list.

    Raises:
        UserError: it cannot be read, or is not text.
    """
    try:
        text = read_text(file)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read ({error}): mend it") from None
    if not is_text(text):
        raise UserError(f"{file}: is not UTF-8, so that names in it cannot be read: save it as UTF-8")
    return text.splitlines()


NO_LABELS = ("classes", "train", "val", "valid", "test", "readme", "notes", "obj", "requirements", "license", "images")


@final
class LabelFiles:
    """Finds label files; looks into each folder once.

    Attributes:
        used: label folder -> stems of the files that belong to an image.
        missing: a count for its user.
    """

    def __init__(self) -> None:
        self.used: dict[bytes, set[bytes]] = {}
        self.missing = 0
        self._folders: dict[bytes, bytes | None] = {}
        self._stems: dict[bytes, dict[bytes, bytes]] = {}

    def of(self, image: bytes) -> bytes | None:
        """The label file of an image, or None."""
        above, name = os.path.split(image)
        if above not in self._folders:
            self._folders[above] = next((each for each in _places(above) if self._files(each)), None)
        folder = self._folders[above]
        if folder is None:
            return None
        stem = os.path.splitext(name)[0]
        file = self._files(folder).get(stem)
        if file is None:
            return None
        self.used.setdefault(folder, set()).add(stem)
        return os.path.join(folder, file)

    def unused(self) -> Iterator[Problem]:
        """A problem for each label file, beside others that belong to an image, without one."""
        for folder, used in self.used.items():
            for stem, file in sorted(self._files(folder).items()):
                if stem not in used:
                    where = printable(os.path.join(folder, file))
                    yield Problem(where, "no image belongs to this label file", "add the image or remove the file")

    def _files(self, folder: bytes) -> dict[bytes, bytes]:
        if folder not in self._stems:
            try:
                names = os.listdir(folder)
            except OSError:
                names = []
            parts = [(*os.path.splitext(name), name) for name in names]
            self._stems[folder] = {
                stem: name
                for stem, ending, name in parts
                if ending.lower() == b".txt" and os.fsdecode(stem).lower() not in NO_LABELS and stem[:1] != b"."
            }
        return self._stems[folder]


def _places(folder: bytes) -> Iterator[bytes]:
    """Where the labels of a folder's images may lie, the place that YOLO's own tools look at first."""
    parts = folder.split(os.fsencode(os.sep))
    for at in reversed(range(len(parts))):
        if os.fsdecode(parts[at]).lower() in IMAGES:
            for name in (b"labels", b"Labels", b"annotations", b"labelTxt"):
                yield os.fsencode(os.sep).join([*parts[:at], name, *parts[at + 1 :]])
    yield folder
    yield os.path.join(folder, b"labels")
    yield os.path.join(os.path.dirname(folder), b"labels", os.path.basename(folder))
    yield os.path.join(os.path.dirname(folder), b"labels")


@final
class YoloTxt(DataFormat):
    """Reads YOLO's labels in their usual layouts.

    ``data.root`` is a data.yaml or the folder with one (names, train, val, test), a folder with ``train.txt`` and
    ``valid.txt`` that list images, or any folder with ``images/`` and ``labels/`` (each with folders for the splits,
    or inside them), or with images and labels side by side. Names come from the yaml, ``classes.txt`` or
    ``obj.names``. An image without a label file is one without objects; of a polygon, the box around it is taken.

    Args:
        units: ``fractions`` of the images, as YOLO has it, ``pixels`` or ``percent``; None recognises a set that is
            written otherwise as a whole.
    """

    kinds: ClassVar[tuple[str, ...]] = ("boxes",)
    expected: ClassVar[str] = (
        "a data.yaml in YOLO's format or its folder, or a folder with images/ and labels/, perhaps in train/, valid/"
        " and test/, and class names in classes.txt"
    )

    def __init__(self, *, units: str | None = None) -> None:
        self.units = checked(units)

    def claims(self, root: Path) -> bool:
        """Whether there is a data.yaml, or an image has a label file."""
        if root.is_file():
            return root.suffix.lower() in (".yaml", ".yml")
        if find_yaml(root):
            return True
        labels = LabelFiles()
        return any(labels.of(path) for found in yolo_places(root).images.values() for path in found[:20])

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root = self.place(root)
        places = yolo_places(root)
        top = root if root.is_dir() else root.parent
        if not any(places.images.values()):
            raise UserError(f"data.root={root}: no images in it; it should be {self.expected}")
        splits, labels = Splits(notes=places.notes, whole=places.whole), LabelFiles()
        parts = {split: _read(found, places, labels, top, splits.problems) for split, found in places.images.items()}
        if self.units is None and not beyond_fractions(parts.values()):
            parts = {split: _without_pixels(raw, splits.problems) for split, raw in parts.items()}
        if not labels.used:
            raise UserError(f"data.root={root}: no label file belongs to any image; it should be {self.expected}")
        if labels.missing:
            splits.notes.append(f"{many(labels.missing, 'image')} without a label file: taken as without objects")
        if not places.listed:
            splits.problems += labels.unused()
        classes = _classes(places, parts, splits.notes)
        return make_splits(parts, splits, root=root, channels=channels, classes=classes, units=self.units)


def _classes(places: YoloPlaces, parts: dict[str, Raw], notes: list[str]) -> tuple[str, ...]:
    if places.names is not None:
        return places.names
    notes.append("no class names (data.yaml, classes.txt, obj.names): classes go by their numbers")
    most = max((int(name) for part in parts.values() for name in part.names), default=-1)
    return tuple(map(str, range(most + 1)))


def _read(found: list[bytes], places: YoloPlaces, labels: LabelFiles, top: Path, problems: list[Problem]) -> Raw:
    collector = Collector(places.names or ())
    for path in found:
        file = labels.of(path)
        if file is None:
            labels.missing += 1
            collector.image(path, (printable(path), 0))
            continue
        called = printable(os.path.relpath(file, os.fsencode(top)))
        image = collector.image(path, (called, 0))
        try:
            for row in read_yolo(file, keypoints=places.keypoints):
                where, names = f"{called}:{row.line}", places.names
                if row.fault:
                    problems.append(Problem(where, row.fault, "mend or remove the line", printable(path)))
                elif names is not None and row.label >= len(names):
                    what = f"class {row.label}, but there are names for 0 to {len(names) - 1}"
                    problems.append(Problem(where, what, "add its name or mend the number", printable(path)))
                else:
                    label = row.label if names is not None else collector.label(str(row.label))
                    collector.box(image, row.corners, label, (called, row.line))
        except OSError as error:
            problems.append(Problem(called, f"cannot be read ({error.strerror})", "mend or remove it", printable(path)))
    return collector.done(unit="fractions")


def _without_pixels(raw: Raw, problems: list[Problem]) -> Raw:
    """Without the boxes that are no fractions, among others that are; one problem for all of a file."""
    beyond = raw.corners.max(axis=1, initial=-np.inf) > FRACTIONS
    rows = np.flatnonzero(beyond)
    for owner in np.unique(raw.owner[rows]).tolist():
        mine = rows[raw.owner[rows] == owner]
        more = f", as in {many(len(mine) - 1, 'line')} more" if len(mine) > 1 else ""
        what = f"coordinates in pixels, not in fractions of the image (0 to 1){more}"
        fix = "divide x and width by the image's width, y and height by its height"
        left, top, right, bottom = raw.corners[mine[0]].tolist()
        shown = printable(raw.paths[owner])
        problems.append(Problem(raw.box_at(int(mine[0])), what, fix, shown, (left, top, right, bottom)))
    return raw.boxes(~beyond) if len(rows) else raw
