"""Where YOLO's pictures, labels and class names lie: data.yaml, lists, or folders."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from mobilevision.data.formats.annotated.places import is_picture, plain, split_of
from mobilevision.data.formats.scan import folders, pictures
from mobilevision.errors import UserError
from mobilevision.ops.plain_yaml import read_yaml

NAMES = ("classes.txt", "obj.names", "classes.names", "data.names", "coco.names")
LISTS = {"train": ("train.txt",), "val": ("val.txt", "valid.txt"), "test": ("test.txt",)}


@final
@dataclass
class YoloPlaces:
    """What is to be read.

    Attributes:
        pictures: split -> picture files.
        names: the class names; None where nothing lists them.
        notes: what was decided.
        whole: there is no split.
        keypoints: labels hold keypoints behind their boxes.
        listed: pictures were chosen by name, so that labels of others may lie about.
    """

    pictures: dict[str, list[bytes]] = field(default_factory=dict)
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
    if places.names is None:
        places.names = _names_beside(root if root.is_dir() else root.parent, places)
    return places


def find_yaml(root: Path) -> Path | None:
    """The yaml of a folder that names classes and splits, data.yaml first."""
    names = sorted((path for path in root.glob("*.y*ml")), key=lambda path: (path.stem != "data", path.name))
    for path in names:
        try:
            content = _load(path)
        except UserError:
            continue
        if "names" in content and ("train" in content or "val" in content):
            return path
    return None


def _load(file: Path) -> dict[str, Any]:
    content = read_yaml(file)
    return content if isinstance(content, dict) else {}


def _by_yaml(file: Path) -> YoloPlaces:
    content = _load(file)
    places = YoloPlaces(names=_class_names(content.get("names"), file), notes=[f"YOLO: {file.name}"])
    places.keypoints = bool(content.get("kpt_shape"))
    for split, keys in (("train", ("train",)), ("val", ("val", "valid")), ("test", ("test",))):
        given = next((content[key] for key in keys if content.get(key)), None)
        if given is None:
            continue
        entries_ = [str(each) for each in (given if isinstance(given, list) else [given])]
        if split != "train" and given == content.get("train"):
            places.notes.append(f"{file.name} names the same pictures for train and {split}: {split} is not used")
            continue
        for entry in entries_:
            path = _resolve(entry, file.parent, str(content.get("path") or ""))
            if path is not None:
                places.listed |= path.is_file()
                places.pictures.setdefault(split, []).extend(_pictures_of(path))
            elif split == "train":
                raise UserError(f"{file}: train is {entry}, which does not exist: mend it, or path in the same file")
            else:
                places.notes.append(f"{file.name} names {entry} for {split}, which does not exist: left out")
    if not places.pictures:
        raise UserError(f"{file}: names no pictures: train should be a folder or a list of them")
    return places


def _resolve(entry: str, beside: Path, base: str) -> Path | None:
    """A path of a data.yaml, from wherever it was meant: exporters begin it at ``../`` with nothing there."""
    inner = entry.replace("\\", "/")
    while inner.startswith(("../", "./")):
        inner = inner.split("/", 1)[1]
    tops = [Path(base), beside / base, beside, beside.parent]
    tried = [*(top / entry for top in tops), *(top / inner for top in tops[1:])]
    return next((path for path in tried if path.exists()), None)


def _pictures_of(path: Path) -> list[bytes]:
    """The pictures of a folder, or of a list of paths."""
    if path.is_dir():
        return list(pictures(os.fsencode(path), os.fsencode(path)))
    top, found = path.parent, []
    for line in path.read_bytes().splitlines():
        name = plain(line.strip())
        if name:
            near = [os.path.join(os.fsencode(above), name) for above in (top, top.parent, "")]
            found.append(os.path.normpath(next((each for each in near if os.path.isfile(each)), near[0])))
    return found


def _by_folders(root: Path) -> YoloPlaces:
    lists = {split: root / name for split, names in LISTS.items() for name in names if _lists_pictures(root / name)}
    if "train" in lists:
        found = {split: _pictures_of(file) for split, file in lists.items()}
        return YoloPlaces(found, notes=[f"YOLO: lists {', '.join(file.name for file in lists.values())}"], listed=True)
    by_split: dict[str | None, list[bytes]] = {}
    for path in pictures(os.fsencode(root), b""):
        above = os.fsdecode(os.path.dirname(path)).split(os.sep)
        split = next((split for split in map(split_of, above) if split), None)
        by_split.setdefault(split, []).append(os.path.join(os.fsencode(root), path))
    loose = by_split.pop(None, [])
    if not by_split:
        return YoloPlaces({"train": loose}, notes=["YOLO, no split"], whole=True)
    notes = ["YOLO, splits by folder"]
    notes += [f"not used, in the folder of no split: {len(loose)} pictures"] if loose else []
    return YoloPlaces({split: found for split, found in by_split.items() if split}, notes=notes)


def _lists_pictures(file: Path) -> bool:
    if not file.is_file():
        return False
    with open(file, "rb") as stream:
        return is_picture(stream.readline().strip())


def _class_names(given: Any, file: Path) -> tuple[str, ...] | None:
    """Names from a list, or from a mapping by number."""
    if isinstance(given, list):
        return tuple(map(str, given))
    if isinstance(given, dict) and all(str(key).isdecimal() for key in given):
        numbered = {int(key): str(name) for key, name in given.items()}
        return tuple(numbered.get(i, str(i)) for i in range(max(numbered, default=-1) + 1))
    if given is None:
        return None
    raise UserError(f"{file}: names should be a list, or a mapping from class number to name")


def _names_beside(root: Path, places: YoloPlaces) -> tuple[str, ...] | None:
    """The class names of a list beside the pictures or labels, a name a line."""
    for top in [root, *(root / os.fsdecode(name) for name in folders(root))]:
        for name in NAMES:
            if (top / name).is_file():
                places.notes.append(f"class names from {(top / name).relative_to(root)}")
                lines = (top / name).read_text(encoding="utf-8-sig", errors="replace").splitlines()
                return tuple(line.strip() for line in lines if line.strip())
    return None
