"""Data sets of the json of annotation tools that is not COCO's: boxes, and classes of whole images."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import ClassVar, final

import numpy as np

from mobilevision.data.data_format import DataFormat
from mobilevision.data.files import FileRecords
from mobilevision.data.formats.annotations.image_lookup import ANNOTATIONS, split_in_name, unused_lists, with_paths
from mobilevision.data.formats.annotations.json_kind import INSTEAD, READ, kind_by, kind_of
from mobilevision.data.formats.annotations.raw import Collector, many
from mobilevision.data.formats.annotations.splits import checked, make_splits, there_once
from mobilevision.data.formats.annotations.tool_boxes import READERS, ImageRecord, ReadContext, load
from mobilevision.data.formats.annotations.tool_classes import CLASS_READERS, ImageClass, holds_classes
from mobilevision.data.formats.scan import entries, folders, in_class_order
from mobilevision.data.formats.text import decode, is_text, read_text
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError
from mobilevision.images.files import has_image_suffix

SUFFIXES = (b".json", b".jsonl")
FILES_PROBED = 20  # files looked at to see whether the place is of this format


@final
class ToolJson(DataFormat):
    """Reads the json that annotation tools write, each in its own way.

    Label Studio (JSON and JSON-MIN, boxes in percent), CreateML, LabelMe (a file an image), VoTT, VIA 2, Supervisely,
    Azure AutoML (jsonl, boxes in fractions) and FiftyOne's FiftyOneImageDetectionDataset. The keys tell which it is.
    Of polygons and circles the box around them is taken. Splits are folders, or files, named for them. For
    ``kind=class``: Label Studio's choices and FiftyOne's FiftyOneImageClassificationDataset.

    Args:
        label: for VIA, the attribute of a region with its class, for classes from Label Studio, the choices (the
            ``name`` of the control) that are the class; None finds it.
        images: the folder of the images; None finds them near the files.
        units: ``pixels``, ``fractions`` or ``percent``; None takes what the tool writes.
    """

    kinds: ClassVar[tuple[str, ...]] = ("boxes", "class")
    expected: ClassVar[str] = f"a folder with images and the json of one of {', '.join(READ)}"

    def __init__(self, *, label: str | None = None, images: str | None = None, units: str | None = None) -> None:
        self.label, self.images, self.units = label, images, checked(units)

    def claims(self, root: Path) -> bool:
        """Whether one of the first json files is of a tool that is read."""
        return any(_kind(file) in READ for file in islice(_files(root), FILES_PROBED))

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root = self.place(root)
        top, splits = root if root.is_dir() else root.parent, Splits()
        if kind == "class":
            return self._read_classes(root, top, splits, channels)
        found, tool = _choose(root, top, splits)
        reader, context = READERS[tool], ReadContext(self.label)
        collectors: dict[str | None, Collector] = {}
        for file, text in found:
            called = os.path.relpath(file, top)
            split = _split(file, top, single=reader.single)
            collector = collectors.setdefault(split, Collector())
            try:
                for image in reader.read(load(text, tool), called, context):
                    _add(image, _name(image, file, top, tool, single=reader.single), collector, splits.problems)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                what = f"cannot be read as the json of {tool} ({type(error).__name__}: {error})"
                splits.problems.append(Problem(called, what, "mend it or export it again"))
        loose = collectors.pop(None, None)
        if loose is not None and not collectors:
            splits.whole, collectors = True, {"train": loose}
        elif loose is not None:
            splits.notes.append(f"not used, of no split: {many(len(loose.paths), 'image')}")
        parts = {}
        for split, collector in collectors.items():
            raw = collector.done(unit=reader.unit)
            owner = None if splits.whole else split
            parts[str(split)] = with_paths(raw, found[0][0], top, owner, self.images, "tool_json")
        splits.notes += unused_lists(top) if splits.whole else []
        splits.notes[:0] = [f"json of {tool}, {many(len(found), 'file')}", *context.all_notes()]
        return make_splits(parts, splits, root=root, channels=channels, units=self.units)

    def _read_classes(self, root: Path, top: Path, splits: Splits, channels: int) -> Splits:
        context, read = ReadContext(self.label), list[tuple[Path, str, list[ImageClass]]]()
        for file in _files(root):
            called = os.path.relpath(file, top)
            try:
                text = read_text(file)
                tool = kind_by(text, whole=True)
                if tool in CLASS_READERS:
                    read.append((file, str(tool), list(CLASS_READERS[str(tool)](json.loads(text), called, context))))
            except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                what = f"cannot be read as a json of classes ({type(error).__name__}: {error})"
                splits.problems.append(Problem(called, what, "mend it or export it again"))
        if not any(rows for _, _, rows in read):
            raise UserError(
                f"data.root={root}: no json with classes of whole images in it; it should be of Label Studio (JSON or"
                " JSON-MIN with choices) or FiftyOne (FiftyOneImageClassificationDataset)"
            )
        by_split: dict[str | None, list[ImageClass]] = {}
        for file, _, rows in read:
            by_split.setdefault(_split(file, top, single=False), []).extend(rows)
        splits.whole = list(by_split) == [None]
        loose = [] if splits.whole else by_split.pop(None, [])
        classes = in_class_order({row.label for rows in by_split.values() for row in rows if not row.fault})
        splits.classes, seen = tuple(classes), dict[bytes, str]()
        tools = ", ".join(dict.fromkeys(tool for _, tool, _ in read))
        splits.notes = [f"json of {tools}, {many(len(read), 'file')}", *context.all_notes()]
        splits.notes += [f"not used, of no split: {many(len(loose), 'image')}"] if loose else []
        for split, rows in by_split.items():
            collector = Collector(classes)
            splits.problems += [Problem(row.at, row.fault, "choose one, or remove it") for row in rows if row.fault]
            used = [row for row in rows if not row.fault]
            for row in used:
                collector.image(os.fsencode(row.name), (row.at, 0))
            raw = with_paths(collector.done(), read[0][0], top, split, self.images, "tool_json")
            there = np.flatnonzero(there_once(raw, seen, splits.problems)).tolist()
            targets = np.array([classes.index(used[at].label) for at in there], dtype=np.int64)
            records = FileRecords(paths=[raw.paths[at] for at in there], targets=targets, channels=channels)
            setattr(splits, split or "train", records)
            splits.notes += [*raw.notes, f"{split or 'train'}: {many(len(records), 'image')}"]
        return splits


def class_json(root: Path) -> Path | None:
    """A json with classes of whole images, in the root or its folder of annotations; None where there is none."""
    tops = [root, *(root / os.fsdecode(name) for name in folders(root))] if root.is_dir() else []
    tops = [top for top in tops if top == root or top.name.lower() in ANNOTATIONS]
    found = [root] if root.is_file() else [Path(os.fsdecode(e.path)) for top in tops for e in entries(os.fsencode(top))]
    for file in islice((file for file in found if file.suffix.lower() == ".json"), FILES_PROBED):
        if _kind(file) in CLASS_READERS and holds_classes(read_text(file)):
            return file
    return None


def unsupported_json(root: Path, tools: Collection[str] = tuple(INSTEAD)) -> str | None:
    """What a json that is not read is, and what to export instead; None where there is none of these tools."""
    for file in islice(_files(root), FILES_PROBED):
        tool = _kind(file)
        if tool in tools:
            return _instead(file.name, str(tool))
    return None


def _instead(file: str, tool: str) -> str:
    return f"{file} is the json of {tool}, which is not read: export as {INSTEAD[tool]}"


def _choose(root: Path, top: Path, splits: Splits) -> tuple[list[tuple[Path, str]], str]:
    """The files of the tool that most are of, with their text."""
    by_tool: dict[str, list[tuple[Path, str]]] = {}
    others: dict[str, str] = {}
    for file in _files(root):
        try:
            text = decode(file.read_bytes())
        except (OSError, UnicodeDecodeError) as error:
            splits.problems.append(
                Problem(os.path.relpath(file, top), f"cannot be read ({error})", "mend or remove it")
            )
            continue
        tool = kind_by(text[:65_536], whole=len(text) <= 65_536)
        if tool in READ:
            by_tool.setdefault(tool, []).append((file, text))
        elif tool in INSTEAD:
            others.setdefault(tool, os.path.relpath(file, top))
        elif tool is None and not text.strip().startswith(("{", "[")):
            splits.problems.append(Problem(os.path.relpath(file, top), "is no json", "mend or remove it"))
    if not by_tool and others:
        raise UserError(f"data.root={root}: {'; '.join(_instead(file, tool) for tool, file in others.items())}")
    if not by_tool:
        raise UserError(f"data.root={root}: no json of an annotation tool in it; it should be {ToolJson.expected}")
    tool = max(by_tool, key=lambda each: len(by_tool[each]))
    if len(by_tool) > 1:
        unused = Counter({each: len(files) for each, files in by_tool.items() if each != tool})
        splits.notes.append("not used: json of " + ", ".join(f"{each} ({count})" for each, count in unused.items()))
    chosen = by_tool[tool]
    exports = [each for each in chosen if '"assets"' in each[1]] if tool == "VoTT" else []
    return exports or chosen, tool


def _add(image: ImageRecord, name: str, collector: Collector, problems: list[Problem]) -> None:
    if image.fault or not name:
        problems.append(Problem(image.at, image.fault or "names no image", "export it again"))
        return
    number = collector.image(os.fsencode(name), (image.at, 0), image.size)
    for shape in image.shapes:
        if shape.fault:
            problems.append(Problem(shape.at, shape.fault, "mend or remove it, or draw a box"))
        elif not is_text(shape.label):
            problems.append(Problem(shape.at, "its class is not text in UTF-8", "save the file as UTF-8"))
        else:
            collector.box(number, shape.corners, collector.label(shape.label), (shape.at, 0), crowd=shape.crowd)


def _name(image: ImageRecord, file: Path, top: Path, tool: str, *, single: bool) -> str:
    """The image's name, for a file an image relative to the root."""
    if not single:
        return image.name
    beside = file.parent.relative_to(top)
    if tool == "Supervisely":  # ann/1.jpg.json is of img/1.jpg
        return str(beside.parent / "img" / file.stem)
    name = image.name.replace("\\", "/")
    if name and (file.parent / name).is_file():
        return os.path.normpath(beside / name)
    # Files that were renamed after they were annotated.
    same = [os.fsdecode(each.name) for each in entries(os.fsencode(file.parent)) if has_image_suffix(each.name)]
    same = [each for each in same if os.path.splitext(each)[0] == file.stem]
    return os.path.normpath(beside / (same[0] if same else name or file.stem))


def _split(file: Path, top: Path, *, single: bool) -> str | None:
    above = [split_in_name(name) for name in reversed(file.relative_to(top).parts[:-1])]
    own = None if single else split_in_name(file.stem)
    return own or next(filter(None, above), None)


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield from [root] if root.suffix.lower().encode() in SUFFIXES else []
        return
    below = []
    for entry in entries(os.fsencode(root)):
        if entry.name.lower().endswith(SUFFIXES) and entry.is_file():
            yield Path(os.fsdecode(entry.path))
        elif entry.is_dir() and not entry.is_symlink():
            below.append(Path(os.fsdecode(entry.path)))
    for folder in below:
        yield from _files(folder)


def _kind(file: Path) -> str | None:
    try:
        return kind_of(file)
    except (OSError, UnicodeDecodeError):
        return None
