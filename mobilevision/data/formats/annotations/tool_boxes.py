"""Boxes in the json of annotation tools that is not COCO's: one reader a tool.

Formats as publicly documented: Label Studio (export formats JSON and JSON-MIN), Apple CreateML
(training data of an object detector), LabelMe (wkentaro/labelme), VoTT (microsoft/VoTT, VoTT JSON), VIA 2 (VGG Image
Annotator), Supervisely (annotation JSON), Azure AutoML (JSONL for object detection), FiftyOne
(FiftyOneImageDetectionDataset).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mobilevision.data.formats.annotations.raw import flag, many
from mobilevision.errors import UserError
from mobilevision.images.files import has_image_suffix
from mobilevision.ops.boxes import around_ellipse, around_turned, cxcywh_to_xyxy, xywh_to_xyxy

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
    chosen = {at: annotation_of(task, context) for at, task in enumerate(document)}
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


def annotation_of(task: dict[str, Any], context: ReadContext) -> dict[str, Any] | None:
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
    images = named_images(data)
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
        images = named_images(task)
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


def named_images(data: dict[str, Any]) -> dict[str, list[str]]:
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
