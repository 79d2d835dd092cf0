"""The json of annotation tools that is not COCO's."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import ClassVar, final

from mobilevision.data.data_format import DataFormat
from mobilevision.data.formats.annotations.image_lookup import is_image, split_of, unused_lists, with_paths
from mobilevision.data.formats.annotations.json_kind import INSTEAD, READ, kind_by, kind_of
from mobilevision.data.formats.annotations.raw import Collector, many
from mobilevision.data.formats.annotations.splits import make_splits
from mobilevision.data.formats.annotations.tool_records import READERS, ImageRecord, load
from mobilevision.data.formats.annotations.units import checked
from mobilevision.data.formats.scan import entries
from mobilevision.data.formats.text import decode
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError

SUFFIXES = (b".json", b".jsonl")
LOOKED_AT = 20  # files looked at to see whether the place is of this format


@final
class ToolJson(DataFormat):
    """Reads the json that annotation tools write, each in its own way.

    Label Studio (JSON and JSON-MIN, boxes in percent), CreateML, LabelMe (a file an image), VoTT, VIA 2, Supervisely,
    Azure AutoML (jsonl, boxes in fractions) and FiftyOne's FiftyOneImageDetectionDataset. The keys tell which it is.
    Of polygons and circles the box around them is taken. Splits are folders, or files, named for them.

    Args:
        label: for VIA, the attribute of a region with its class; None finds it.
        images: the folder of the images; None finds them near the files.
        units: ``pixels``, ``fractions`` or ``percent``; None takes what the tool writes.
    """

    kinds: ClassVar[tuple[str, ...]] = ("boxes",)
    expected: ClassVar[str] = f"a folder with images and the json of one of {', '.join(READ)}"

    def __init__(self, *, label: str | None = None, images: str | None = None, units: str | None = None) -> None:
        self.label, self.images, self.units = label, images, checked(units)

    def claims(self, root: Path) -> bool:
        """Whether one of the first json files is of a tool that is read."""
        return any(_kind(file) in READ for file in islice(_files(root), LOOKED_AT))

    def read(self, *, root: Path | None, kind: str, channels: int, seed: int) -> Splits:
        """See :class:`DataFormat`."""
        root = self.place(root)
        top, splits = root if root.is_dir() else root.parent, Splits()
        found, tool = _choose(root, top, splits)
        reader = READERS[tool]
        collectors: dict[str | None, Collector] = {}
        for file, text in found:
            called = os.path.relpath(file, top)
            split = _split(file, top, single=reader.single)
            collector = collectors.setdefault(split, Collector())
            try:
                for image in reader.read(load(text, tool), called, self.label):
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
        splits.notes.insert(0, f"json of {tool}, {many(len(found), 'file')}")
        return make_splits(parts, splits, root=root, channels=channels, units=self.units)


def told_apart(root: Path) -> str | None:
    """What a json that is not read is, and what to export instead; None where there is none."""
    for file in islice(_files(root), LOOKED_AT):
        tool = _kind(file)
        if tool in INSTEAD:
            return f"{file.name} is the json of {tool}, which is not read: export as {INSTEAD[tool]}"
    return None


def _choose(root: Path, top: Path, splits: Splits) -> tuple[list[tuple[Path, str]], str]:
    """The files of the tool that most are of, with their text."""
    by_tool: dict[str, list[tuple[Path, str]]] = {}
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
        elif tool is None and not text.strip().startswith(("{", "[")):
            splits.problems.append(Problem(os.path.relpath(file, top), "is no json", "mend or remove it"))
    if not by_tool:
        raise UserError(f"data.root={root}: no json of an annotation tool in it; it should be {ToolJson.expected}")
    tool = max(by_tool, key=lambda each: len(by_tool[each]))
    if len(by_tool) > 1:
        others = Counter({each: len(files) for each, files in by_tool.items() if each != tool})
        splits.notes.append("not used: json of " + ", ".join(f"{each} ({count})" for each, count in others.items()))
    chosen = by_tool[tool]
    exports = [each for each in chosen if '"assets"' in each[1]] if tool == "VoTT" else []
    return exports or chosen, tool


def _add(image: ImageRecord, name: str, collector: Collector, problems: list[Problem]) -> None:
    if not name:
        problems.append(Problem(image.at, "names no image", "export it again"))
        return
    number = collector.image(os.fsencode(name), (image.at, 0), image.size)
    for shape in image.shapes:
        if shape.fault:
            problems.append(Problem(shape.at, shape.fault, "mend or remove it, or draw a box"))
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
    same = [os.fsdecode(each.name) for each in entries(os.fsencode(file.parent)) if is_image(each.name)]
    same = [each for each in same if os.path.splitext(each)[0] == file.stem]
    return os.path.normpath(beside / (same[0] if same else name or file.stem))


def _split(file: Path, top: Path, *, single: bool) -> str | None:
    above = [split_of(name) for name in reversed(file.relative_to(top).parts[:-1])]
    own = None if single else split_of(file.stem)
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
