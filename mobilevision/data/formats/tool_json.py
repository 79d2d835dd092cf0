"""The json of annotation tools that is not COCO's."""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, final

import numpy as np

from mobilevision.data.data_format import DataFormat
from mobilevision.data.files import FileRecords
from mobilevision.data.formats.annotations.image_lookup import ANNOTATIONS, split_in_name, unused_lists, with_paths
from mobilevision.data.formats.annotations.json_kind import INSTEAD, READ, kind_by, kind_of
from mobilevision.data.formats.annotations.raw import Collector, flag, many
from mobilevision.data.formats.annotations.splits import checked, make_splits, there_once
from mobilevision.data.formats.scan import entries, folders, in_class_order
from mobilevision.data.formats.text import decode, is_text, read_text
from mobilevision.data.records import Problem, Splits
from mobilevision.errors import UserError
from mobilevision.images.files import has_image_suffix
from mobilevision.ops.boxes import around_ellipse, around_turned, cxcywh_to_xyxy, xywh_to_xyxy

# One reader a tool. Formats as publicly documented: Label Studio (export formats JSON and JSON-MIN), Apple CreateML
# (training data of an object detector), LabelMe (wkentaro/labelme), VoTT (microsoft/VoTT, VoTT JSON), VIA 2 (VGG Image
# Annotator), Supervisely (annotation JSON), Azure AutoML (JSONL for object detection), FiftyOne
# (FiftyOneImageDetectionDataset).

Corners = tuple[float, float, float, float]
CLASS_KEYS = ("label", "class", "category", "type", "class_name", "object", "object_name", "species", "kind", "name")


class Shape(NamedTuple):
    """A box: class, (left, top, right, bottom), where it stands, and what is wrong with it (nothing, as a rule)."""

    label: str
    corners: Corners
    at: str
    fault: str = ""
    crowd: bool = False


@dataclass
class ImageRecord:
    """An image as a tool names it: (height, width), 0 where nothing is said, its boxes, and why it cannot be used."""

    name: str
    at: str
    size: tuple[int, int] = (0, 0)
    shapes: list[Shape] = field(default_factory=list)
    fault: str = ""


@dataclass
class ReadContext:
    """What a reader is given beside the document, and what it has to say.

    Attributes:
        label: the attribute with the class, where a user names it.
        notes: what was decided.
        counts: how many were treated so, by what is counted and a text with ``{}`` for them.
    """

    label: str | None = None
    notes: list[str] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def count(self, one: str, text: str) -> None:
        """Count one, such as a ``task``; of ``text`` a note is made, with the number in place of ``{}``."""
        self.counts[one, text] += 1

    def all_notes(self) -> list[str]:
        """The notes, each once, and the counts."""
        counted = [text.format(many(count, one)) for (one, text), count in self.counts.items()]
        return [*dict.fromkeys(self.notes), *counted]


class Reader(NamedTuple):
    """How a tool's json is read.

    ``read`` takes the document, what messages call the file, and :class:`ReadContext`, to which it adds notes.
    ``single``: a file is one image, whose name is relative to the file.
    """

    read: Callable[[Any, str, ReadContext], Iterator[ImageRecord]]
    unit: str = "pixels"
    single: bool = False


# What stands in a result of Label Studio and is no region of an image.
NO_REGION = (
    "choices",
    "textarea",
    "labels",
    "rating",
    "taxonomy",
    "relation",
    "number",
    "datetime",
    "pairwise",
    "ranker",
)
IMAGE_KEYS = ("image", "img", "url")  # usual names of the image in a task's data


def _label_studio(document: Any, called: str, context: ReadContext) -> Iterator[ImageRecord]:
    chosen = {at: _annotation(task, context) for at, task in enumerate(document)}
    results = {at: each.get("result") or [] for at, each in chosen.items() if each is not None}
    if not results:
        guessed = any(task.get("predictions") for task in document)
        only = ": they hold predictions alone, which are no ground truth" if guessed else ""
        raise UserError(
            f"{called}: none of its {many(len(document), 'task')} is annotated{only}; export annotated tasks"
        )
    items = (item for result in results.values() for item in result if item.get("to_name") and _is_region(item))
    tags = {str(item["to_name"]) for item in items}
    for at, result in results.items():
        task = document[at]
        yield from _images_of_task(f"{called}: task {task.get('id', at)}", task.get("data") or {}, result, tags)


def _annotation(task: dict[str, Any], context: ReadContext) -> dict[str, Any] | None:
    """The annotation of a task that is read: the one marked as ground truth, else the first; None without any."""
    given = task.get("annotations") or task.get("completions") or []
    done: list[dict[str, Any]] = [each for each in given if not each.get("was_cancelled")]
    if not done:
        why = "skipped by the annotator" if given else "with predictions only" if task.get("predictions") else ""
        context.count("task", "left out: {} " + (why or "without annotations"))
        return None
    truth = next((each for each in done if each.get("ground_truth")), None)
    if len(done) > 1:
        which = "the first one is" if truth is None else "the one marked as ground truth is"
        context.count("task", "{} with several annotations, of which " + which + " taken")
    return truth or done[0]


def _images_of_task(where: str, data: dict[str, Any], result: list[Any], tags: set[str]) -> Iterator[ImageRecord]:
    """The images of a task, each with its regions.

    ``to_name`` of a region is the name of an image tag in the project's labelling set-up, mostly the key of the image
    in ``data``. ``tags`` are those of all regions of the export.
    """
    images = _named_images(data)
    keys = list(images) if len(images) < 2 else [key for key in images if key in tags]
    by_tag = bool(keys) and len(images) > 1
    if not keys and len(tags) < 2:  # one tag, called otherwise than its image: the image that is called so usually
        keys = [key for key in images if key in IMAGE_KEYS][:1]
    if not keys:
        listed, named = ", ".join(images), ", ".join(sorted(tags))
        fault = f"which of its images {listed} the regions are of is not said (to_name: {named})" if images else ""
        yield ImageRecord("", where, fault=fault)
        return
    of_key: dict[str, list[Any]] = {key: [] for key in keys}
    for item in result:
        of_key.setdefault(str(item.get("to_name")) if by_tag else keys[0], []).append(item)
    for key, items in of_key.items():
        names = images.get(key, []) if key in keys else []
        regions = [each for each in items if _is_region(each)]
        if not names and regions:
            fault = f"to_name of a region is {key!r}, which is none of its images {', '.join(images)}"
            yield ImageRecord("", where, fault=fault)
        elif len(names) == 1:
            yield _of_label_studio(where, names[0], items)
        elif any(each.get("item_index") not in range(len(names)) for each in regions):
            yield ImageRecord("", where, fault=f"which image of the list {key} a region is of is not said")
        else:
            for number, name in enumerate(names):
                yield _of_label_studio(where, name, [each for each in items if each.get("item_index") == number])


def _is_region(item: dict[str, Any]) -> bool:
    return item.get("type") not in NO_REGION


def _label_studio_min(document: Any, called: str, context: ReadContext) -> Iterator[ImageRecord]:
    for at, task in enumerate(document):
        where = f"{called}: task {task.get('id', at)}"
        regions = [value for value in task.values() if isinstance(value, list)]
        sizes = ("original_width", "original_height", "image_rotation")
        result = [
            {"value": each, **{key: each.get(key) for key in sizes}}
            for rows in regions
            for each in rows
            if isinstance(each, dict)
        ]
        images = _named_images(task)
        names = [name for key in images if key in IMAGE_KEYS for name in images[key]]
        names = names or [name for several in images.values() for name in several]
        record = _of_label_studio(where, names[0] if names else "", result)
        if len(names) > 1:
            record.fault = (
                f"JSON-MIN does not say which of the images {', '.join(images)} a region is of: export as JSON"
            )
        yield record


def _of_label_studio(where: str, name: str, result: list[Any]) -> ImageRecord:
    image = ImageRecord(name, where)
    named: dict[Any, list[str]] = {}
    for item in result:
        if labels := _labels(item.get("value") or {}):
            named.setdefault(item.get("id"), []).extend(labels)
    for item in result:
        value, number = item.get("value") or {}, item.get("id")
        width, height = item.get("original_width") or 0, item.get("original_height") or 0
        image.size = (int(height), int(width)) if width and height else image.size
        if not _is_region(item):
            continue
        at = f"{where}, region {number}" if number else where
        labels = list(dict.fromkeys(_labels(value) or named.get(number, [])))
        corners = _percent_corners(value, float(width), float(height))
        fault = "" if corners else f"a region of the kind {item.get('type', 'unknown')}, around which there is no box"
        if value.get("rotation") and not (width and height):
            fault = "a turned region without original_width and original_height, so that its box is not known"
        if item.get("image_rotation"):
            fault = f"a region on an image turned by {item['image_rotation']} degrees in Label Studio: turn it back"
        if not labels:
            image.shapes.append(Shape("", (0, 0, 0, 0), at, fault or "a region without a class"))
        image.shapes += [Shape(label, corners or (0, 0, 0, 0), at, fault) for label in labels]
    return image


def _labels(value: dict[str, Any]) -> list[str]:
    keys = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels", "keypointlabels", "labels")
    return [str(each) for key in keys for each in value.get(key) or []]


def _percent_corners(value: dict[str, Any], width: float, height: float) -> Corners | None:
    """The box around a region, in percent, of an image of ``width`` by ``height`` pixels.

    ``rotation`` turns clockwise, in pixels, a rectangle about its left upper corner and an ellipse about its centre.
    """
    if "points" in value:
        return around(value["points"])
    angle, across, down = float(value.get("rotation") or 0), (width or 1) / 100, (height or 1) / 100
    if "radiusX" in value:
        x, y, a, b = (float(value[key]) for key in ("x", "y", "radiusX", "radiusY"))
        found = around_ellipse((x * across, y * down), (a * across, b * down), angle)
    elif {"x", "y", "width", "height"} <= set(value):
        x, y, w, h = (float(value[key]) for key in ("x", "y", "width", "height"))
        if not angle:
            return xywh_to_xyxy(x, y, w, h)
        flat = xywh_to_xyxy(x * across, y * down, w * across, h * down)
        found = around_turned(flat, angle, flat[:2])
    else:
        return None
    left, top, right, bottom = (side / (across, down)[at % 2] for at, side in enumerate(found))
    # Corners of a turned rectangle may well lie beyond the image: what is drawn does not.
    return (max(left, 0), max(top, 0), min(right, 100), min(bottom, 100)) if angle else (left, top, right, bottom)


def _named_images(data: dict[str, Any]) -> dict[str, list[str]]:
    """The images that a task's data name, by key; of a key with a list, all of it."""
    found: dict[str, list[str]] = {}
    for key, value in data.items():
        texts = value if isinstance(value, list) else [value]
        names = [each for each in texts if isinstance(each, str)]
        if names and len(names) == len(texts) and all(map(_is_image_name, names)):
            found[key] = names
    if found:
        return found
    return {key: [data[key]] for key in IMAGE_KEYS if isinstance(data.get(key), str) and data[key]}


def _is_image_name(text: str) -> bool:
    return has_image_suffix(text.partition("?")[0]) or has_image_suffix(text)


def _createml(document: Any, called: str, _: ReadContext) -> Iterator[ImageRecord]:
    for at, row in enumerate(document):
        where = f"{called}: image {at + 1}"
        image = ImageRecord(str(row.get("image", row.get("imagefilename", ""))), where)
        for number, each in enumerate(row.get("annotations", row.get("annotation")) or [], start=1):
            inner = each.get("coordinates") or {}
            box = numbers(inner.get(key) for key in ("x", "y", "width", "height"))
            corners = box and cxcywh_to_xyxy(*box)
            image.shapes.append(_shape(each.get("label"), corners, f"{where}, annotation {number}"))
        yield image


def _labelme(document: Any, called: str, context: ReadContext) -> Iterator[ImageRecord]:
    """Shapes of one label and ``group_id`` are one object, as in labelme2coco and labelme2voc of LabelMe itself."""
    size = _size(document, "imageHeight", "imageWidth")
    image = ImageRecord(str(document.get("imagePath") or ""), called, size)
    groups: dict[tuple[str, str], list[int]] = {}
    for number, each in enumerate(document.get("shapes") or [], start=1):
        kind, points = each.get("shape_type") or "polygon", each.get("points") or []
        corners = around(points)
        if kind == "circle" and len(points) == 2:
            (x, y), (a, b) = points
            radius = math.hypot(a - x, b - y)
            corners = (x - radius, y - radius, x + radius, y + radius)
        where = f"{called}: shape {number}"
        if kind in ("point", "points", "line", "linestrip"):
            image.shapes.append(Shape("", (0, 0, 0, 0), where, f"a {kind}, around which there is no box"))
        else:
            image.shapes.append(_shape(each.get("label"), corners, where))
            if each.get("group_id") is not None and not image.shapes[-1].fault:
                key = image.shapes[-1].label, str(each["group_id"])
                groups.setdefault(key, []).append(len(image.shapes) - 1)
    for places in groups.values():
        left, top, right, bottom = zip(*(image.shapes[at].corners for at in places), strict=True)
        whole = min(left), min(top), max(right), max(bottom)
        image.shapes[places[0]] = image.shapes[places[0]]._replace(corners=whole)
        if len(places) > 1:
            context.count("object", "{} drawn in several shapes of one group_id: the box around all of them is taken")
    again = {at for places in groups.values() for at in places[1:]}
    image.shapes = [shape for at, shape in enumerate(image.shapes) if at not in again]
    yield image


def _vott(document: Any, called: str, context: ReadContext) -> Iterator[ImageRecord]:
    assets = document["assets"].values() if "assets" in document else [document]
    for each in assets:
        asset = each.get("asset") or {}
        if asset.get("state", 2) == 0:
            context.count("image", "left out: {} that nobody has looked at in VoTT")
            continue
        if asset.get("state") == 1 and not each.get("regions"):
            context.count("image", "{} looked at in VoTT, without a region: taken as without objects")
        where = f"{called}: asset {asset.get('name', '')}"
        name = str(asset.get("path") or asset.get("name") or "")
        image = ImageRecord(name, where, _size(asset.get("size") or {}))
        for number, region in enumerate(each.get("regions") or [], start=1):
            box = region.get("boundingBox") or {}
            corners = _from_size(box.get(key) for key in ("left", "top", "width", "height"))
            at = f"{where}, region {number}"
            image.shapes += [_shape(tag, corners, at) for tag in region.get("tags") or [None]]
        yield image


def _via(document: Any, called: str, context: ReadContext) -> Iterator[ImageRecord]:
    metadata = document.get("_via_img_metadata", document)
    rows = list(metadata.values() if isinstance(metadata, dict) else metadata)
    regions = {id(row): _rows(row.get("regions")) for row in rows}
    attributes = [each.get("region_attributes") or {} for found in regions.values() for each in found]
    key = context.label or _class_key(attributes, called, context.notes)
    for row in rows:
        where = f"{called}: {row.get('filename', '')}"
        image = ImageRecord(str(row.get("filename", "")), where)
        for number, each in enumerate(regions[id(row)], start=1):
            value = (each.get("region_attributes") or {}).get(key) if key else "object"
            at = f"{where}, region {number}"
            if isinstance(value, dict):  # check boxes
                chosen = [name for name, yes in value.items() if yes]
                value = chosen[0] if chosen else None
                if len(chosen) > 1:
                    fault = f"it has {len(chosen)} classes, {', '.join(chosen)}, and a box has one"
                    image.shapes.append(Shape("", (0, 0, 0, 0), at, fault))
                    continue
            image.shapes.append(_shape(value, _via_corners(each.get("shape_attributes") or {}), at))
        yield image


def _class_key(attributes: list[dict[str, Any]], called: str, notes: list[str]) -> str | None:
    keys = list(dict.fromkeys(key for each in attributes for key in each))
    usual = [key for key in keys if key.strip().lower() in CLASS_KEYS]
    usual.sort(key=lambda key: CLASS_KEYS.index(key.strip().lower()))
    if len(keys) > 1 and not usual:
        raise UserError(
            f"{called}: which attribute of a region is its class? It has {', '.join(keys)}: name one with"
            " data=tool_json data.format.label=NAME"
        )
    key = next(iter([*usual, *keys]), None)
    if len(keys) > 1:
        others = ", ".join(each for each in keys if each != key)
        notes.append(
            f"the class of a region is its attribute {key} (it also has {others}): data.format.label=NAME else"
        )
    return key


def _via_corners(shape: dict[str, Any]) -> Corners | None:
    match shape:
        case {"name": "rect", "x": x, "y": y, "width": w, "height": h}:
            return _from_size((x, y, w, h))
        case {"all_points_x": xs, "all_points_y": ys, "name": "polygon"}:
            return around(zip(xs, ys, strict=False))
        case {"name": "circle", "cx": x, "cy": y, "r": r}:
            return x - r, y - r, x + r, y + r
        case {"name": "ellipse", "cx": x, "cy": y, "rx": a, "ry": b} if not shape.get("theta"):
            return x - a, y - b, x + a, y + b
    return None


def _supervisely(document: Any, called: str, _: ReadContext) -> Iterator[ImageRecord]:
    image = ImageRecord("", called, _size(document.get("size") or {}))
    for number, each in enumerate(document.get("objects") or [], start=1):
        where, kind = f"{called}: object {each.get('id', number)}", each.get("geometryType", "")
        if kind in ("rectangle", "polygon"):
            corners = around((each.get("points") or {}).get("exterior") or [])
            image.shapes.append(_shape(each.get("classTitle"), corners, where))
        else:
            image.shapes.append(Shape("", (0, 0, 0, 0), where, f"a {kind}, of which no box is read"))
    yield image


def _azure(document: Any, called: str, _: ReadContext) -> Iterator[ImageRecord]:
    for line, row in document:
        where, details = f"{called}:{line}", row.get("image_details") or {}
        image = ImageRecord(str(row.get("image_url", "")), where, _size(details))
        labels = row.get("label") or []
        for each in labels if isinstance(labels, list) else [{"label": labels}]:
            box = numbers(each.get(key) for key in ("topX", "topY", "bottomX", "bottomY"))
            if box is None and each.get("polygon"):
                points = [point for ring in each["polygon"] for point in zip(ring[::2], ring[1::2], strict=False)]
                box = around(points)
            image.shapes.append(_shape(each.get("label"), box, where, crowd=bool(flag(each.get("isCrowd")))))
        yield image


def _fiftyone(document: Any, called: str, _: ReadContext) -> Iterator[ImageRecord]:
    classes = document.get("classes") or []
    for name, rows in (document.get("labels") or {}).items():
        image = ImageRecord(str(name), f"{called}: {name}")
        for number, each in enumerate(rows or [], start=1):
            label, where = each.get("label"), f"{called}: {name}, box {number}"
            if isinstance(label, int) and not isinstance(label, bool) and (classes or label < 0):
                if not 0 <= label < len(classes):
                    fault = f"its label is {label}, but there are names for 0 to {len(classes) - 1}"
                    image.shapes.append(Shape("", (0, 0, 0, 0), where, fault))
                    continue
                label = classes[label]
            corners = _from_size(each.get("bounding_box") or ())
            image.shapes.append(_shape(label, corners, where))
        yield image


def _rows(regions: Any) -> list[Any]:
    return list(regions.values() if isinstance(regions, dict) else regions or [])


def _shape(label: Any, corners: Any, at: str, *, crowd: bool = False) -> Shape:
    if corners is None:
        return Shape("", (0, 0, 0, 0), at, "no box of four numbers is written there")
    if label is None or not str(label).strip():
        return Shape("", tuple(corners), at, "it has no class")
    if isinstance(label, bool | list | dict):
        return Shape("", tuple(corners), at, f"its class is {label!r}, which is no name")
    return Shape(str(label).strip(), tuple(corners), at, "", crowd)


def around(points: Iterable[Any]) -> Corners | None:
    """The box around some points; None where there are not two."""
    found = [numbers(point) for point in points]
    xs, ys = [point[0] for point in found if point], [point[1] for point in found if point]
    return (min(xs), min(ys), max(xs), max(ys)) if len(xs) > 1 else None


def _size(given: dict[str, Any], height: str = "height", width: str = "width") -> tuple[int, int]:
    """(height, width) in pixels, also of texts such as ``640px``; 0 where nothing is said."""
    sides = numbers(str(given.get(key) or 0).removesuffix("px") for key in (height, width))
    return (int(sides[0]), int(sides[1])) if sides else (0, 0)


def _from_size(values: Iterable[Any]) -> Corners | None:
    """The box of left, top, width and height; None where these are not four numbers."""
    box = numbers(values)
    return xywh_to_xyxy(*box) if box and len(box) == 4 else None


def numbers(values: Iterable[Any]) -> tuple[float, ...] | Any:
    """The values as numbers; None where one is none."""
    try:
        return tuple(float(value) for value in values)
    except (TypeError, ValueError):
        return None


READERS = {
    "Label Studio": Reader(_label_studio, "percent"),
    "Label Studio (JSON-MIN)": Reader(_label_studio_min, "percent"),
    "CreateML": Reader(_createml),
    "LabelMe": Reader(_labelme, single=True),
    "VoTT": Reader(_vott),
    "VIA": Reader(_via),
    "VIA annotations": Reader(_via),
    "Supervisely": Reader(_supervisely, single=True),
    "Azure AutoML": Reader(_azure, "fractions"),
    "FiftyOne": Reader(_fiftyone, "fractions"),
}


def load(text: str, tool: str) -> Any:
    """The document; of a file with one a line, (line, document) of each.

    Raises:
        ValueError: it is no json.
    """
    if tool != "Azure AutoML":
        return json.loads(text)
    return [(number, json.loads(line)) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


# Classes of whole images: Label Studio's choices (JSON and JSON-MIN), FiftyOne's FiftyOneImageClassificationDataset.

MULTI = "an image has one class here: choose one an image, or take task=face_attributes with a CSV of 0 and 1"


class ImageClass(NamedTuple):
    """An image as a tool names it, its class, where it stands, and what is wrong with it (nothing, as a rule)."""

    name: str
    label: str
    at: str
    fault: str = ""


def _choices(document: Any, called: str, context: ReadContext) -> Iterator[ImageClass]:
    chosen = [(task, annotation) for task in document if (annotation := _annotation(task, context)) is not None]
    if not chosen:
        raise UserError(f"{called}: none of its {many(len(document), 'task')} is annotated; export annotated tasks")
    results = [[each for each in annotation.get("result") or [] if _is_choice(each)] for _, annotation in chosen]
    control = _control([str(each.get("from_name")) for result in results for each in result], called, context)
    for number, ((task, _), result) in enumerate(zip(chosen, results, strict=True)):
        where = f"{called}: task {task.get('id', number + 1)}"
        mine = [each for each in result if str(each.get("from_name")) == control]
        images = _named_images(task.get("data") or {})
        tags = {str(each.get("to_name")) for each in mine}
        names = [name for key, several in images.items() for name in several if len(images) == 1 or key in tags]
        labels = [str(label) for each in mine for label in (each.get("value") or {}).get("choices") or []]
        yield _image_class(names, list(dict.fromkeys(labels)), where)


def _choices_min(document: Any, called: str, context: ReadContext) -> Iterator[ImageClass]:
    beside = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time")
    images = [_named_images(task) for task in document]
    given = [
        key
        for task, named in zip(document, images, strict=True)
        for key, said in task.items()
        if key not in (*beside, *named) and isinstance(said, str | dict)
    ]
    control = _control(given, called, context)
    for number, (task, named) in enumerate(zip(document, images, strict=True), start=1):
        value = task.get(control)
        several = value.get("choices") if isinstance(value, dict) else [value] if value else []
        names = [name for each in named.values() for name in each]
        yield _image_class(names, list(map(str, several or [])), f"{called}: task {task.get('id', number)}")


def _is_choice(item: dict[str, Any]) -> bool:
    """Whether it is a choice for the whole image, not for a region of it."""
    return item.get("type") == "choices" and not {"x", "points", "rle"} & set(item.get("value") or {})


def _control(names: Sequence[str], called: str, context: ReadContext) -> str:
    """The name of the choices that are the class."""
    there = list(dict.fromkeys(names))
    if context.label is not None or len(there) > 1:
        if context.label in there:
            return str(context.label)
        raise UserError(
            f"{called}: which of its choices is the class? It has {', '.join(there)}: name one with data=tool_json"
            " data.format.label=NAME"
        )
    if not there:
        raise UserError(f"{called}: no choices for whole images in it")
    return there[0]


def _image_class(names: list[str], labels: list[str], where: str) -> ImageClass:
    if len(labels) > 1:
        raise UserError(f"{where}: {len(labels)} classes are chosen, {', '.join(labels[:4])}; {MULTI}")
    fault = "" if labels else "no class is chosen"
    if len(names) != 1:
        fault = f"which of its images {', '.join(names)} the class is of is not said" if names else "names no image"
    return ImageClass(names[0] if names else "", labels[0].strip() if labels else "", where, fault)


def _fiftyone_classes(document: Any, called: str, _: ReadContext) -> Iterator[ImageClass]:
    classes = document.get("classes") or []
    for name, label in (document.get("labels") or {}).items():
        where, fault = f"{called}: {name}", ""
        if isinstance(label, dict):
            label = label.get("label")
        if isinstance(label, int) and not isinstance(label, bool) and classes:
            if 0 <= label < len(classes):
                label = classes[label]
            else:
                fault = f"its label is {label}, but there are names for 0 to {len(classes) - 1}"
        if label is None or isinstance(label, bool | list) or not str(label).strip():
            fault = f"its class is {label!r}, which is no name" if label else "it has no class"
        yield ImageClass(str(name), str(label).strip(), where, fault)


CLASS_READERS = {
    "Label Studio": _choices,
    "Label Studio (JSON-MIN) with choices": _choices_min,
    "FiftyOne": _fiftyone_classes,
}
_CHOICES = re.compile(r'"type"\s*:\s*"choices"')
_REGIONS = re.compile(r'"(rectangle|polygon|ellipse|brush|keypoint|bitmask)labels"|"bounding_box"')


def _holds_classes(text: str) -> bool:
    """Whether a json of a tool with classes of whole images holds such, and no boxes."""
    tool = kind_by(text, whole=True)
    if tool == "Label Studio" and not _CHOICES.search(text):
        return False
    return tool == "Label Studio (JSON-MIN) with choices" or not _REGIONS.search(text)


def class_json(root: Path) -> Path | None:
    """A json with classes of whole images, in the root or its folder of annotations; None where there is none."""
    tops = [root, *(root / os.fsdecode(name) for name in folders(root))] if root.is_dir() else []
    tops = [top for top in tops if top == root or top.name.lower() in ANNOTATIONS]
    found = [root] if root.is_file() else [Path(os.fsdecode(e.path)) for top in tops for e in entries(os.fsencode(top))]
    for file in islice((file for file in found if file.suffix.lower() == ".json"), FILES_PROBED):
        if _kind(file) in CLASS_READERS and _holds_classes(read_text(file)):
            return file
    return None


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
