"""One COCO json file: pictures, categories with gaps in their ids, and boxes (x, y, width, height)."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.data.decode import printable
from mobilevision.data.formats.annotated.raw import Corners, Raw
from mobilevision.data.records import Problem
from mobilevision.errors import UserError

Row = dict[str, Any]


@final
@dataclass(frozen=True)
class CocoFile:
    """What a file holds.

    Attributes:
        raw: pictures and boxes.
        ids: the id of each picture.
    """

    raw: Raw
    ids: Sequence[Hashable]


def read_coco(file: Path, called: str, problems: list[Problem], find: Callable[[Raw], Raw]) -> CocoFile:
    """Read a file.

    Args:
        file: the json.
        called: what messages call it.
        problems: added to: boxes of unknown pictures or categories, boxes that are not four numbers.
        find: turns file names as written into paths.

    Raises:
        UserError: it is not json (names the line), or not COCO's.
    """
    with _no_collection():
        return _parsed(_load(file, called), called, problems, find)


def _parsed(document: Row, called: str, problems: list[Problem], find: Callable[[Raw], Raw]) -> CocoFile:
    images, annotations, categories = (_rows(document, key, called) for key in ("images", "annotations", "categories"))
    ids = [row.get("id") for row in images]
    try:
        names, number = _classes(categories, annotations, called)
        owner, labels = _links(ids, number, annotations, called)
    except TypeError as error:
        raise UserError(f"{called}: an id is neither a number nor a text ({error})") from None
    raw = Raw(
        paths=[os.fsencode(str(row.get("file_name", ""))) for row in images],
        sizes=_sizes(images),
        owner=owner,
        corners=_corners(annotations),
        labels=labels,
        crowd=np.array([bool(row.get("iscrowd")) for row in annotations], dtype=bool),
        difficult=np.zeros(len(annotations), dtype=bool),
        area=_numbers([row.get("area") for row in annotations]),
        names=names,
        picture_at=lambda i: f"{called}: image {ids[i]}",
        box_at=lambda i: f"{called}: annotation {annotation_ids[i]}",
    )
    annotation_ids = [row.get("id", f"number {at}") for at, row in enumerate(annotations)]
    return CocoFile(_known(find(raw), annotations, problems), ids)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Spare the collector the search through millions of small objects, none of them garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _load(file: Path, called: str) -> Row:
    try:
        content = file.read_bytes()
        document = json.loads(content)
    except json.JSONDecodeError as error:
        what = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise UserError(f"{called}:{error.lineno}: broken json ({what}): mend it or export the file again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{called}: cannot be read ({error})") from None
    if not isinstance(document, dict):
        raise UserError(f"{called}: is not COCO's json: an object with images, annotations and categories is expected")
    return document


def _rows(document: Row, key: str, called: str) -> list[Row]:
    rows = document.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        has = ", ".join(list(document)[:8])
        raise UserError(f"{called}: needs a list of objects {key!r} as in COCO's detection files; it has {has}")
    return rows


def _classes(categories: list[Row], annotations: list[Row], called: str) -> tuple[tuple[str, ...], dict[Any, int]]:
    """Class names in the order of their ids, and the class number of each id.

    Some exporters add a category above all others that no box has: it is no class.
    """
    if any(row.get("id") is None for row in categories):
        raise UserError(f"{called}: a category has no id")
    used = {row.get("category_id") for row in annotations}
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


def _links(
    ids: Sequence[Any], number: dict[Any, int], annotations: list[Row], called: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The picture and the class number of each annotation, -1 for one that does not exist."""
    place: dict[Any, int] = {}
    for at, each in enumerate(ids):
        if place.setdefault(each, at) != at or each is None:
            raise UserError(f"{called}: image id {each} is missing or stands twice: give every image an id of its own")
    owner = [place.get(row.get("image_id"), -1) for row in annotations]
    labels = [number.get(row.get("category_id"), -1) for row in annotations]
    return np.array(owner, dtype=np.int64), np.array(labels, dtype=np.int64)


def _sizes(images: list[Row]) -> NDArray[np.int64]:
    sizes = np.stack([_numbers([row.get(key) for row in images]) for key in ("height", "width")], axis=1)
    return np.where(np.isfinite(sizes), sizes, 0).astype(np.int64)


def _corners(annotations: list[Row]) -> Corners:
    """The boxes as corners; rows of NaN where there are not four numbers."""
    given = [row.get("bbox") for row in annotations]
    try:
        boxes = np.array(given, dtype=np.float64).reshape(len(given), 4)
    except (TypeError, ValueError):
        boxes = np.stack([_four(box) for box in given])
    boxes[:, 2:] += boxes[:, :2]
    return boxes


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


def _known(raw: Raw, annotations: list[Row], problems: list[Problem]) -> Raw:
    """Without the boxes that belong to no picture, have no class or are no four numbers."""
    bad: NDArray[np.bool_] = ~np.all(np.isfinite(raw.corners), axis=1)
    faults: list[tuple[NDArray[np.bool_], Callable[[Row], str], str]] = [
        (raw.owner < 0, lambda row: f"no image has the id {row.get('image_id')!r}", "add the image or remove it"),
        (raw.labels < 0, lambda row: f"no category has the id {row.get('category_id')!r}", "add it or mend the id"),
        (
            bad,
            lambda row: f"bbox is {row.get('bbox')!r}, not four finite numbers x, y, width, height",
            "mend or remove it",
        ),
    ]
    keep = np.ones(len(raw.owner), dtype=bool)
    for mask, what, fix in faults:
        for i in np.flatnonzero(mask & keep).tolist():
            picture = printable(raw.paths[raw.owner[i]]) if raw.owner[i] >= 0 else None
            left, top, right, bottom = raw.corners[i].tolist()
            box = None if bad[i] else (left, top, right, bottom)
            problems.append(Problem(raw.box_at(i), what(annotations[i]), fix, picture, box))
        keep &= ~mask
    return raw.boxes(keep)
