"""One COCO json file: images, categories with gaps in their ids, and boxes (x, y, width, height)."""

from __future__ import annotations

import codecs
import gc
import json
import os
import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.formats.annotations.raw import ROTATIONS, Corners, Raw, degrees_of, flag
from mobilevision.data.formats.text import HEAD, encoding_by
from mobilevision.data.records import Problem
from mobilevision.errors import UserError
from mobilevision.images.decode import printable
from mobilevision.io.regular_files import open_regular
from mobilevision.ops.boxes import around_turned, xywh_to_xyxy

# Reading the long lists of a large json a piece at a time, so that it never lies in memory as objects: COCO's training
# annotations are 450 MB of text, nine tenths of them outlines, and take several gigabytes as Python objects. Here the
# outlines are cut out of the text first, and what is left is parsed some thousand rows at a time.

Rows = list[dict[str, Any]]

BLOCK = 1 << 22  # bytes read at once
WINDOW = 1 << 20  # letters parsed at once
ROWS = 4096  # rows parsed one by one where they cannot be parsed at once
# A polygon is a list of lists of numbers. The key is one only where its quotation mark is not escaped in a text.
OUTLINE = re.compile(rb'(?<!\\)"segmentation"\s*+:\s*+\[(?:\s*+\[[^][{}"]++\]\s*+,?)++\s*+\]')
KEY = b'"segmentation"'
BEGIN = re.compile(rb'"segmentation"\s*+:\s*+\[\s*+\[')
CUT = ""  # the key that stands in place of polygons that were cut out
SHORT = b'"%s":0' % CUT.encode()
BETWEEN = re.compile(r"\}[ \t\r\n]*,[ \t\r\n]*(?=\{)")  # two rows, or what looks like them
SPACE = re.compile(r"[ \t\n\r]*")
DECODER = json.JSONDecoder()


def read_lists(file: Path, called: str, keys: Sequence[str], take: Callable[[str, Rows], None]) -> list[str]:
    """Hand on the rows of the lists of a json's object.

    Args:
        file: the json, in UTF-8, 16 or 32.
        called: what messages call it.
        keys: the lists; what else the object holds is passed over.
        take: called with a key and some of its rows, in their order; at least once for a list. A row's
            ``segmentation`` is lost where it is made of polygons.

    Returns:
        The keys of the object.

    Raises:
        UserError: it cannot be read, is no json (naming the line), or a list holds anything but objects.
    """
    try:
        with open_regular(file) as stream:
            return _Scanner(_slim(stream), called, keys, take).members()
    except (_BrokenError, ValueError):
        raise _what_is_broken(file, called) from None
    except OSError as error:
        raise UserError(f"{called}: cannot be read ({error.strerror or error})") from None


class _BrokenError(Exception):
    """The text is not json; where exactly is found by reading it anew as a whole."""


def _slim(stream: BinaryIO) -> Iterator[str]:
    """The text without its polygons, in pieces."""
    encoding = encoding_by(stream.read(HEAD))
    stream.seek(0)
    if encoding != "utf-8":
        yield _cut(stream.read().decode(encoding).encode()).decode()
        return
    decoder, rest = codecs.getincrementaldecoder("utf-8")(), b""
    while block := stream.read(BLOCK):
        text = _cut(rest + block)
        # An outline, or its key, may go on in the next block; a byte more tells whether its quotation mark is escaped.
        last = text.rfind(KEY, len(text) - BLOCK // 4)
        cut = max(0, last - 1 if last >= 0 else len(text) - len(KEY))
        rest = text[cut:]
        yield decoder.decode(text[:cut])
    yield decoder.decode(_cut(rest), True)


def _cut(text: bytes) -> bytes:
    """The text without the polygons that end in it.

    Most are one list in another and end with the first two brackets: looking for these is quicker than a pattern.
    """
    pieces, at, last = [], 0, 0
    while (at := text.find(KEY, at)) >= 0:
        begin = BEGIN.match(text, at)
        end = text.find(b"]]", at) if begin else -1
        inner = text[begin.end() : end] if begin and end >= 0 else b'"'
        if (
            not inner
            or b'"' in inner
            or b"{" in inner
            or inner.count(b"[") != inner.count(b"]")
            or text[at - 1 : at] == b"\\"
        ):
            match = OUTLINE.match(text, at)
            if match is None:
                at += len(KEY)
                continue
            end = match.end() - 2
        pieces += [text[last:at], SHORT]
        at = last = end + 2
    return b"".join([*pieces, text[last:]])


@final
class _Scanner:
    """Goes through the text of an object whose pieces come one by one."""

    def __init__(
        self, pieces: Iterator[str], called: str, keys: Sequence[str], take: Callable[[str, Rows], None]
    ) -> None:
        self.pieces, self.called, self.keys, self.take = pieces, called, keys, take
        self.text, self.at = "", 0

    def members(self) -> list[str]:
        found: list[str] = []
        if self.next() != "{":
            self.value()
            raise UserError(
                f"{self.called}: is not COCO's json: an object with images, annotations and categories is expected"
            )
        self.at += 1
        while self.next() != "}":
            if self.text[self.at] != '"':
                raise _BrokenError
            found.append(self.value())
            if self.next() != ":":
                raise _BrokenError
            self.at += 1
            if found[-1] not in self.keys:
                self.value()
            elif self.next() == "[":
                self.at += 1
                self.rows(found[-1])
            else:
                self.value()
                raise self.no_list(found[-1])
            self.behind_comma("}")
        self.at += 1
        if self.next():
            raise _BrokenError
        return found

    def rows(self, key: str) -> None:
        while self.next() != "]":
            self.take(key, self.many(key) or self.one_by_one(key))
        self.take(key, [])
        self.at += 1

    def one_by_one(self, key: str) -> Rows:
        rows: Rows = []
        while len(rows) < ROWS and self.next() != "]":
            rows.append(self.row(self.value(), key))
            self.behind_comma("]")
        return rows

    def many(self, key: str) -> Rows:
        """The rows of a window at once; none where that is not possible, as near the end of the list."""
        while len(self.text) - self.at < WINDOW and self.more():
            pass
        if len(self.text) - self.at < WINDOW:
            return []
        end = self.at + WINDOW
        ends = list(BETWEEN.finditer(self.text, end - WINDOW // 8, end))
        if not ends:
            return []
        try:
            rows = json.loads(f"[{self.text[self.at : ends[-1].start() + 1]}]")
        except ValueError:
            return []
        self.at = ends[-1].end()
        return [self.row(each, key) for each in rows]

    def row(self, value: Any, key: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.no_list(key)
        return value

    def no_list(self, key: str) -> UserError:
        return UserError(f"{self.called}: needs a list of objects {key!r} as in COCO's detection files")

    def value(self) -> Any:
        """The value here; the place is behind it then."""
        self.next()
        while True:
            try:
                value, end = DECODER.raw_decode(self.text, self.at)
            except ValueError:
                if not self.more():
                    raise _BrokenError from None
                continue
            if end < len(self.text) or not self.more():  # a number at the end may go on
                self.at = end
                return value

    def behind_comma(self, end: str) -> None:
        """Behind the comma, or at the end."""
        if self.next() == ",":
            self.at += 1
            if self.next() == end:
                raise _BrokenError
        elif self.next() != end:
            raise _BrokenError

    def next(self) -> str:
        """The next letter that is no space, where the place is then; empty at the end of the text."""
        while True:
            match = SPACE.match(self.text, self.at)
            assert match is not None
            self.at = match.end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def more(self) -> bool:
        """Add a piece and drop what was read; False at the end of the text."""
        for piece in self.pieces:
            if piece:
                self.text, self.at = self.text[self.at :] + piece, 0
                return True
        return False


def _what_is_broken(file: Path, called: str) -> UserError:
    """What a plain reading says."""
    try:
        json.loads(file.read_bytes())
    except json.JSONDecodeError as error:
        what = f"line {error.lineno}, column {error.colno}: {error.msg}"
        return UserError(f"{called}:{error.lineno}: broken json ({what}): mend it or export the file again")
    except UnicodeDecodeError as error:
        return UserError(f"{called}: is not UTF-8 (byte {error.start}): save it as UTF-8, or export it again")
    except (OSError, ValueError, RecursionError) as error:
        return UserError(f"{called}: cannot be read ({error})")
    return UserError(f"{called}: broken json: export the file again")


Row = dict[str, Any]


@final
@dataclass(frozen=True)
class CocoFile:
    """What a file holds.

    Attributes:
        raw: images and boxes.
        ids: the id of each image.
        masks: how many boxes are marked as crowds only because CVAT marks every mask so.
        turned: how many boxes were turned by an attribute ``rotation``, of which the box around is taken.
        unknown_rotations: how many have a rotation of their own that is not CVAT's, which is not applied.
    """

    raw: Raw
    ids: Sequence[Hashable]
    masks: int = 0
    turned: int = 0
    unknown_rotations: int = 0


def read_coco(file: Path, called: str, problems: list[Problem], find: Callable[[Raw], Raw]) -> CocoFile:
    """Read a file.

    Args:
        file: the json.
        called: what messages call it.
        problems: added to: boxes of unknown images or categories, boxes that are not four numbers.
        find: turns file names as written into paths.

    Raises:
        UserError: it is not json (names the line), or not COCO's.
    """
    images, annotations, categories = _Images(), _Annotations(), list[Row]()
    take = {"images": images.add, "annotations": annotations.add, "categories": categories.extend}
    with _no_collection():
        _read_all(file, called, take)
    ids, category_ids = images.ids, annotations.category_ids.done()
    try:
        names, number = _classes(categories, category_ids, called)
        owner = _linked(annotations.image_ids.done(), _places(ids, called))
        labels = _linked(category_ids, number)
    except TypeError as error:
        raise UserError(f"{called}: an id is neither a number nor a text ({error})") from None
    own_ids, sizes = annotations.ids.done(), images.sizes()
    raw = Raw(
        paths=images.names,
        sizes=sizes,
        owner=owner,
        corners=_turned(annotations.corners(), annotations.rotations, owner, sizes),
        labels=labels,
        crowd=_joined(annotations.crowds, np.bool_),
        difficult=np.zeros(len(owner), dtype=bool),
        area=_joined(annotations.areas, np.float64),
        names=names,
        image_at=lambda i: f"{called}: image {ids[i]}",
        box_at=lambda i: f"{called}: annotation {own_ids[i]}",
    )
    known = _known(find(raw), annotations, problems)
    return CocoFile(known, ids, annotations.masks, len(annotations.rotations), annotations.unknown_rotations)


def _read_all(file: Path, called: str, take: dict[str, Callable[[list[Row]], None]]) -> None:
    """Hand on the rows of all three lists.

    Raises:
        UserError: one is missing.
    """
    has = read_lists(file, called, tuple(take), lambda key, rows: take[key](rows))
    for key in take:
        if key not in has:
            listed = ", ".join(has[:8])
            raise UserError(f"{called}: needs a list of objects {key!r} as in COCO's detection files; it has {listed}")


T = TypeVar("T")


@final
@dataclass(frozen=True)
class CocoObjects(Generic[T]):
    """What a file says of objects, boxes or none.

    Attributes:
        called: what messages call the file.
        categories: as they stand.
        paths: of the images that are there.
        sizes: int64 [n, 2], (height, width) of each in upright pixels.
        owner: int64 [m], the image of each object.
        objects: what was kept of each annotation.
    """

    called: str
    categories: list[Row]
    paths: Sequence[bytes]
    sizes: NDArray[np.int64]
    owner: NDArray[np.int64]
    objects: list[T]


def read_objects(
    file: Path,
    called: str,
    problems: list[Problem],
    find: Callable[[Raw], Raw],
    check: Callable[[Raw], Raw],
    take: Callable[[Row, str], T | None],
) -> CocoObjects[T]:
    """Read what a file says of objects, whether they have boxes or not.

    Args:
        file: the json.
        called: what messages call it.
        problems: added to: objects of unknown images, and images that were annotated as they lie on their side.
        find: turns file names as written into paths.
        check: leaves out images that cannot be used, and finds the sizes of the others.
        take: what to keep of an annotation, given it and what messages call it; None leaves it out.

    Raises:
        UserError: it is not json (names the line), or not COCO's.
    """
    images, categories = _Images(), list[Row]()
    kept: list[tuple[T, Any, str]] = []

    def add(rows: list[Row]) -> None:
        for row in rows:
            where = f"{called}: annotation {row.get('id', '')}".rstrip()
            if (value := take(row, where)) is not None:
                kept.append((value, row.get("image_id"), where))

    with _no_collection():
        _read_all(file, called, {"images": images.add, "annotations": add, "categories": categories.extend})
    try:
        places = _places(images.ids, called)
        owner = np.array([places.get(image, -1) for _, image, _ in kept], dtype=np.int64)
    except TypeError as error:
        raise UserError(f"{called}: an id is neither a number nor a text ({error})") from None
    for row in np.flatnonzero(owner < 0).tolist():
        problems.append(Problem(kept[row][2], f"no image has the id {kept[row][1]!r}", "mend the id or remove it"))
    known, none = np.flatnonzero(owner >= 0), np.zeros(len(kept), dtype=bool)
    raw = Raw(
        paths=images.names,
        sizes=images.sizes(),
        owner=owner[known],
        corners=np.zeros((len(known), 4)),
        labels=known,  # the annotation of each, while images are left out
        crowd=none[known],
        difficult=none[known],
        area=np.zeros(len(known)),
        names=(),
        image_at=lambda i: f"{called}: image {images.ids[i]}",
        box_at=lambda i: kept[i][2],
    )
    raw = find(raw)
    stated = dict(zip(raw.paths, raw.sizes.tolist(), strict=True))
    raw = check(raw)
    upright = np.ones(len(raw.paths), dtype=bool)
    for i, (path, size) in enumerate(zip(raw.paths, raw.sizes.tolist(), strict=True)):
        if min(stated[path]) > 0 and np.abs(np.subtract(stated[path], size)).max() > 1:
            upright[i] = False
            what = "annotated without the rotation that its EXIF data asks for"
            problems.append(Problem(raw.image_at(i), what, "save the image upright", printable(path)))
    raw = raw.images(upright)
    objects = [kept[row][0] for row in raw.labels.tolist()]
    return CocoObjects(called, categories, raw.paths, raw.sizes, raw.owner, objects)


def _turned(
    corners: Corners, rotations: dict[int, float], owner: NDArray[np.int64], sizes: NDArray[np.int64]
) -> Corners:
    """The boxes, of those that are turned about their centre the box around, cut to the image."""
    for row, degrees in rotations.items():
        left, top, right, bottom = corners[row].tolist()
        corners[row] = around_turned((left, top, right, bottom), degrees, ((left + right) / 2, (top + bottom) / 2))
        height, width = sizes[owner[row]].tolist() if owner[row] >= 0 else (0, 0)
        if height and width:  # corners beyond the image are those of the rectangle, not of the object
            corners[row] = np.clip(corners[row], 0, (width, height, width, height))
    return corners


@contextmanager
def _no_collection() -> Iterator[None]:
    """Spare the collector the search through millions of small objects, none of which is garbage in a circle."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@final
class _Ids:
    """Ids of many rows: an array of numbers, or of objects where one of them is none."""

    def __init__(self) -> None:
        self.parts: list[NDArray[Any]] = []

    def add(self, ids: list[Any]) -> None:
        part: NDArray[Any] = np.zeros(0)
        with suppress(ValueError):  # lists of several lengths among them
            part = np.array(ids)
        if part.dtype != np.int64 or part.ndim != 1:
            part = np.empty(len(ids), dtype=object)
            part[:] = ids
        self.parts.append(part)

    def done(self) -> NDArray[Any]:
        self.parts = [np.concatenate(self.parts)] if self.parts else [np.zeros(0, dtype=np.int64)]
        return self.parts[0]


@final
class _Images:
    """What is kept of the images."""

    def __init__(self) -> None:
        self.ids: list[Any] = []
        self.names: list[bytes] = []
        self._sizes: list[NDArray[np.float64]] = []

    def add(self, rows: list[Row]) -> None:
        self.ids += [row.get("id") for row in rows]
        self.names += [os.fsencode(str(row.get("file_name", ""))) for row in rows]
        self._sizes.append(np.stack([_numbers([row.get(key) for row in rows]) for key in ("height", "width")], axis=1))

    def sizes(self) -> NDArray[np.int64]:
        sizes = np.concatenate([np.zeros((0, 2)), *self._sizes])
        # An exporter that does not know the size writes that of a unit square, or none.
        return np.where(np.isfinite(sizes) & (sizes.min(axis=1, keepdims=True, initial=2) > 1), sizes, 0).astype(
            np.int64
        )


@final
class _Annotations:
    """What is kept of the annotations: flat arrays, and the odd values that messages repeat."""

    def __init__(self) -> None:
        self.ids, self.image_ids, self.category_ids = _Ids(), _Ids(), _Ids()
        self.crowds: list[NDArray[np.bool_]] = []
        self.areas: list[NDArray[np.float64]] = []
        self.odd_boxes: dict[int, str] = {}
        self.odd_crowds: dict[int, str] = {}
        self._boxes: list[Corners] = []
        self.masks = self.unknown_rotations = 0
        self.rotations: dict[int, float] = {}
        self._count = 0

    def add(self, rows: list[Row]) -> None:
        first, self._count = self._count, self._count + len(rows)
        self.ids.add([row.get("id", f"number {first + at}") for at, row in enumerate(rows)])
        self.image_ids.add([row.get("image_id") for row in rows])
        self.category_ids.add([row.get("category_id") for row in rows])
        self.areas.append(_numbers([row.get("area") for row in rows]))
        crowds = [False if (value := row.get("iscrowd")) == 0 else flag(value) for row in rows]
        for i, row in enumerate(rows):
            if crowds[i] and _is_mask_of_cvat(row):
                crowds[i], self.masks = False, self.masks + 1
        self.odd_crowds |= {first + i: repr(rows[i]["iscrowd"]) for i, crowd in enumerate(crowds) if crowd is None}
        self.crowds.append(np.array([bool(crowd) for crowd in crowds], dtype=bool))
        for i, row in enumerate(rows):
            if "attributes" in row and (degrees := _rotation_of_cvat(row)):
                self.rotations[first + i] = degrees
            if not ROTATIONS.isdisjoint(row):
                self.unknown_rotations += any(degrees_of(row.get(key)) for key in ROTATIONS)
        given = [row.get("bbox") for row in rows]
        boxes = _boxes(given)
        for i in np.flatnonzero(~np.isfinite(boxes).all(axis=1)).tolist():
            self.odd_boxes[first + i] = repr(given[i])
        self._boxes.append(boxes)

    def corners(self) -> Corners:
        boxes = np.concatenate([np.zeros((0, 4)), *self._boxes])
        self._boxes = []
        return np.stack(xywh_to_xyxy(*boxes.T), axis=1)


def _is_mask_of_cvat(row: Row) -> bool:
    """Whether it is a mask as CVAT exports it: with run lengths, marked as a crowd, with CVAT's own attributes."""
    attributes = row.get("attributes")
    return isinstance(row.get("segmentation"), dict) and isinstance(attributes, dict) and "occluded" in attributes


def _rotation_of_cvat(row: Row) -> float:
    """The degrees by which CVAT (and Datumaro) turn a box about its centre, which ``bbox`` leaves out; 0 for none.

    Where an outline is given it is that of the turned shape, and ``bbox`` is the box around it.
    """
    attributes = row.get("attributes")
    if not isinstance(attributes, dict) or _has_outline(row):
        return 0.0
    return degrees_of(attributes.get("rotation"))


def _has_outline(row: Row) -> bool:
    return CUT in row or row.get("segmentation") not in (None, [], [[]])


def _joined(parts: list[NDArray[Any]], kind: Any) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype=kind), *parts])


def _classes(categories: list[Row], category_ids: NDArray[Any], called: str) -> tuple[tuple[str, ...], dict[Any, int]]:
    """Class names in the order of their ids, and the class number of each id.

    Some exporters add a category above all others that no box has: it is no class.
    """
    if any(row.get("id") is None for row in categories):
        raise UserError(f"{called}: a category has no id")
    names_by_id: dict[Any, Any] = {}
    for row in categories:
        name = row.get("name", row["id"])
        if isinstance(name, bool | list | dict) or name is None or not str(name).strip():
            raise UserError(f"{called}: the category with the id {row['id']!r} has the name {name!r}: write a text")
        first = names_by_id.setdefault(row["id"], name)
        if first != name:
            raise UserError(
                f"{called}: two categories have the id {row['id']!r}, {first!r} and {name!r}: give each its own id"
            )
    used = set(category_ids.tolist())
    above = {row.get("supercategory") for row in categories}
    top = ("none", "", None)
    kept = [
        row
        for row in categories
        if row["id"] in used or row.get("name") not in above or row.get("supercategory") not in top
    ]
    kept = sorted(kept, key=lambda row: (isinstance(row["id"], str), row["id"]))
    named = {row["id"]: str(row.get("name", row["id"])) for row in kept}
    names = tuple(dict.fromkeys(named.values()))
    return names, {each: names.index(name) for each, name in named.items()}


def _places(ids: Sequence[Any], called: str) -> dict[Any, int]:
    """The place of each image by its id."""
    found: dict[Any, int] = {}
    for at, each in enumerate(ids):
        if found.setdefault(each, at) != at or each is None:
            raise UserError(f"{called}: image id {each} is missing or stands twice: give every image an id of its own")
    return found


def _linked(ids: NDArray[Any], places: dict[Any, int]) -> NDArray[np.int64]:
    """The place of each id, -1 for one that does not exist."""
    return np.array([places.get(each, -1) for each in ids.tolist()], dtype=np.int64)


def _boxes(given: list[Any]) -> Corners:
    """The boxes; rows of NaN where there are not four numbers."""
    try:
        return np.array(given, dtype=np.float64).reshape(len(given), 4)
    except (TypeError, ValueError):
        return np.stack([_four(box) for box in given])


def _four(box: Any) -> NDArray[np.float64]:
    try:
        return np.array(box, dtype=np.float64).reshape(4)
    except (TypeError, ValueError):
        return np.full(4, np.nan)


def _numbers(values: list[Any]) -> NDArray[np.float64]:
    """Numbers, NaN for what is none."""
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        return np.array([_one(value) for value in values], dtype=np.float64)


def _one(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _known(raw: Raw, annotations: _Annotations, problems: list[Problem]) -> Raw:
    """Without the boxes that belong to no image, have no class, are no four numbers, or are no one knows what."""
    images, categories = annotations.image_ids.done(), annotations.category_ids.done()
    faults: list[tuple[NDArray[Any], Callable[[int], str], str]] = [
        (
            np.flatnonzero(raw.owner < 0),
            lambda i: f"no image has the id {_at(images, i)}",
            "add the image or remove it",
        ),
        (
            np.flatnonzero(raw.labels < 0),
            lambda i: f"no category has the id {_at(categories, i)}",
            "add it or mend the id",
        ),
        (
            np.array(list(annotations.odd_boxes), dtype=np.int64),
            lambda i: f"bbox is {annotations.odd_boxes[i]}, not four finite numbers x, y, width, height",
            "mend or remove it",
        ),
        (
            np.array(list(annotations.odd_crowds), dtype=np.int64),
            lambda i: f"iscrowd is {annotations.odd_crowds[i]}, neither 0 nor 1",
            "mend it",
        ),
    ]
    keep = np.ones(len(raw.owner), dtype=bool)
    for rows, what, fix in faults:
        for i in rows[keep[rows]].tolist():
            image = printable(raw.paths[raw.owner[i]]) if raw.owner[i] >= 0 else None
            left, top, right, bottom = raw.corners[i].tolist()
            box = None if i in annotations.odd_boxes else (left, top, right, bottom)
            problems.append(Problem(raw.box_at(i), what(i), fix, image, box))
        keep[rows] = False
    return raw if keep.all() else raw.boxes(keep)


def _at(ids: NDArray[Any], i: int) -> str:
    return repr(ids[i : i + 1].tolist()[0])
