"""The images and boxes in the json of annotation tools, one reader a tool.

Formats as publicly documented: Label Studio (export formats JSON and JSON-MIN), Apple CreateML (training data of an
object detector), LabelMe (wkentaro/labelme), VoTT (microsoft/VoTT, VoTT JSON), VIA 2 (VGG Image Annotator), Supervisely
(annotation JSON), Azure AutoML (JSONL for object detection), FiftyOne (FiftyOneImageDetectionDataset).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mobilevision.data.formats.annotations.raw import flag
from mobilevision.errors import UserError
from mobilevision.images.files import IMAGE_SUFFIXES
from mobilevision.ops.boxes import xywh_to_xyxy

Corners = tuple[float, float, float, float]
CLASS_KEYS = ("label", "class", "name", "category", "type", "object", "class_name", "object_name", "species", "kind")


class Shape(NamedTuple):
    """A box: class, (left, top, right, bottom), where it stands, and what is wrong with it (nothing, as a rule)."""

    label: str
    corners: Corners
    at: str
    fault: str = ""
    crowd: bool = False


@dataclass
class ImageRecord:
    """An image as a tool names it: (height, width), 0 where nothing is said, and its boxes."""

    name: str
    at: str
    size: tuple[int, int] = (0, 0)
    shapes: list[Shape] = field(default_factory=list)


class Reader(NamedTuple):
    """How a tool's json is read.

    ``read`` takes the document, what messages call the file, and the attribute with the class where a user names it.
    ``single``: a file is one image, whose name is relative to the file.
    """

    read: Callable[[Any, str, str | None], Iterator[ImageRecord]]
    unit: str = "pixels"
    single: bool = False


def _label_studio(document: Any, called: str, _: str | None) -> Iterator[ImageRecord]:
    for at, task in enumerate(document):
        where = f"{called}: task {task.get('id', at)}"
        done = [
            each for each in task.get("annotations") or task.get("completions") or [] if not each.get("was_cancelled")
        ]
        if done:
            result = done[0].get("result") or []
            yield _of_label_studio(where, _named_image(task.get("data") or {}), result)


def _label_studio_min(document: Any, called: str, _: str | None) -> Iterator[ImageRecord]:
    for at, task in enumerate(document):
        regions = [value for value in task.values() if isinstance(value, list)]
        result = [
            {"value": each, **{key: each.get(key) for key in ("original_width", "original_height")}}
            for rows in regions
            for each in rows
            if isinstance(each, dict)
        ]
        yield _of_label_studio(f"{called}: task {task.get('id', at)}", _named_image(task), result)


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
        if item.get("type") in ("choices", "textarea", "labels", "rating", "taxonomy"):
            continue
        at = f"{where}, region {number}" if number else where
        labels = list(dict.fromkeys(_labels(value) or named.get(number, [])))
        corners = _percent_corners(value, width or 1, height or 1)
        fault = "" if corners else f"a region of the kind {item.get('type', 'unknown')}, around which there is no box"
        if not labels:
            image.shapes.append(Shape("", (0, 0, 0, 0), at, fault or "a region without a class"))
        image.shapes += [Shape(label, corners or (0, 0, 0, 0), at, fault) for label in labels]
    return image


def _labels(value: dict[str, Any]) -> list[str]:
    keys = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels", "keypointlabels", "labels")
    return [str(each) for key in keys for each in value.get(key) or []]


def _percent_corners(value: dict[str, Any], width: float, height: float) -> Corners | None:
    """The box around a region, in percent; one turned by ``rotation`` turns about its left upper corner, in pixels."""
    if "points" in value:
        return around(value["points"])
    if "radiusX" in value:
        x, y, a, b = (float(value[key]) for key in ("x", "y", "radiusX", "radiusY"))
        return x - a, y - b, x + a, y + b
    if not {"x", "y", "width", "height"} <= set(value):
        return None
    x, y, w, h = (float(value[key]) for key in ("x", "y", "width", "height"))
    angle = math.radians(float(value.get("rotation") or 0))
    cos, sin, ratio = math.cos(angle), math.sin(angle), height / width
    turned = [(x + a * cos - b * sin * ratio, y + a * sin / ratio + b * cos) for a in (0, w) for b in (0, h)]
    return around(turned) if angle else xywh_to_xyxy(x, y, w, h)


def _named_image(data: dict[str, Any]) -> str:
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    endings = tuple(suffix.decode() for suffix in IMAGE_SUFFIXES)
    images = [text for text in texts.values() if text.partition("?")[0].lower().endswith(endings)]
    images += [text for text in texts.values() if text.lower().endswith(endings)]
    return next(iter([*images, *(texts[key] for key in ("image", "img", "url") if key in texts)]), "")


def _createml(document: Any, called: str, _: str | None) -> Iterator[ImageRecord]:
    for at, row in enumerate(document):
        where = f"{called}: image {at + 1}"
        image = ImageRecord(str(row.get("image", row.get("imagefilename", ""))), where)
        for number, each in enumerate(row.get("annotations", row.get("annotation")) or [], start=1):
            inner = each.get("coordinates") or {}
            box = numbers(inner.get(key) for key in ("x", "y", "width", "height"))
            corners = box and (box[0] - box[2] / 2, box[1] - box[3] / 2, box[0] + box[2] / 2, box[1] + box[3] / 2)
            image.shapes.append(_shape(each.get("label"), corners, f"{where}, annotation {number}"))
        yield image


def _labelme(document: Any, called: str, _: str | None) -> Iterator[ImageRecord]:
    size = numbers(document.get(key) or 0 for key in ("imageHeight", "imageWidth"))
    image = ImageRecord(str(document.get("imagePath") or ""), called, (int(size[0]), int(size[1])) if size else (0, 0))
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
    yield image


def _vott(document: Any, called: str, _: str | None) -> Iterator[ImageRecord]:
    assets = document["assets"].values() if "assets" in document else [document]
    for each in assets:
        asset = each.get("asset") or {}
        if asset.get("state", 2) == 0:
            continue  # never looked at
        size = asset.get("size") or {}
        sides = numbers(size.get(key) or 0 for key in ("height", "width"))
        where = f"{called}: asset {asset.get('name', '')}"
        name = str(asset.get("path") or asset.get("name") or "")
        image = ImageRecord(name, where, (int(sides[0]), int(sides[1])) if sides else (0, 0))
        for number, region in enumerate(each.get("regions") or [], start=1):
            box = numbers((region.get("boundingBox") or {}).get(key) for key in ("left", "top", "width", "height"))
            corners = (box[0], box[1], box[0] + box[2], box[1] + box[3]) if box else None
            at = f"{where}, region {number}"
            image.shapes += [_shape(tag, corners, at) for tag in region.get("tags") or [None]]
        yield image


def _via(document: Any, called: str, label: str | None) -> Iterator[ImageRecord]:
    metadata = document.get("_via_img_metadata", document)
    rows = list(metadata.values() if isinstance(metadata, dict) else metadata)
    regions = {id(row): _rows(row.get("regions")) for row in rows}
    key = label or _class_key(
        [each.get("region_attributes") or {} for found in regions.values() for each in found], called
    )
    for row in rows:
        where = f"{called}: {row.get('filename', '')}"
        image = ImageRecord(str(row.get("filename", "")), where)
        for number, each in enumerate(regions[id(row)], start=1):
            value = (each.get("region_attributes") or {}).get(key) if key else "object"
            if isinstance(value, dict):  # check boxes
                chosen = [name for name, yes in value.items() if yes]
                value = chosen[0] if len(chosen) == 1 else None
            at = f"{where}, region {number}"
            image.shapes.append(_shape(value, _via_corners(each.get("shape_attributes") or {}), at))
        yield image


def _class_key(attributes: list[dict[str, Any]], called: str) -> str | None:
    keys = list(dict.fromkeys(key for each in attributes for key in each))
    usual = [key for key in keys if key.strip().lower() in CLASS_KEYS]
    usual.sort(key=lambda key: CLASS_KEYS.index(key.strip().lower()))
    if len(keys) > 1 and not usual:
        raise UserError(
            f"{called}: which attribute of a region is its class? It has {', '.join(keys)}: name one with"
            " data=tool_json data.format.label=NAME"
        )
    return next(iter([*usual, *keys]), None)


def _via_corners(shape: dict[str, Any]) -> Corners | None:
    match shape:
        case {"name": "rect", "x": x, "y": y, "width": w, "height": h}:
            box = numbers((x, y, w, h))
            return (box[0], box[1], box[0] + box[2], box[1] + box[3]) if box else None
        case {"all_points_x": xs, "all_points_y": ys, "name": "polygon"}:
            return around(zip(xs, ys, strict=False))
        case {"name": "circle", "cx": x, "cy": y, "r": r}:
            return x - r, y - r, x + r, y + r
        case {"name": "ellipse", "cx": x, "cy": y, "rx": a, "ry": b} if not shape.get("theta"):
            return x - a, y - b, x + a, y + b
    return None


def _supervisely(document: Any, called: str, _: str | None) -> Iterator[ImageRecord]:
    size = document.get("size") or {}
    sides = numbers(size.get(key) or 0 for key in ("height", "width"))
    image = ImageRecord("", called, (int(sides[0]), int(sides[1])) if sides else (0, 0))
    for number, each in enumerate(document.get("objects") or [], start=1):
        where, kind = f"{called}: object {each.get('id', number)}", each.get("geometryType", "")
        if kind in ("rectangle", "polygon"):
            corners = around((each.get("points") or {}).get("exterior") or [])
            image.shapes.append(_shape(each.get("classTitle"), corners, where))
        else:
            image.shapes.append(Shape("", (0, 0, 0, 0), where, f"a {kind}, of which no box is read"))
    yield image


def _azure(document: Any, called: str, _: str | None) -> Iterator[ImageRecord]:
    for line, row in document:
        where, details = f"{called}:{line}", row.get("image_details") or {}
        sides = numbers(re.sub(r"px$", "", str(details.get(key) or 0)) for key in ("height", "width"))
        image = ImageRecord(str(row.get("image_url", "")), where, (int(sides[0]), int(sides[1])) if sides else (0, 0))
        labels = row.get("label") or []
        for each in labels if isinstance(labels, list) else [{"label": labels}]:
            box = numbers(each.get(key) for key in ("topX", "topY", "bottomX", "bottomY"))
            if box is None and each.get("polygon"):
                points = [point for ring in each["polygon"] for point in zip(ring[::2], ring[1::2], strict=False)]
                box = around(points)
            image.shapes.append(_shape(each.get("label"), box, where, crowd=bool(flag(each.get("isCrowd")))))
        yield image


def _fiftyone(document: Any, called: str, _: str | None) -> Iterator[ImageRecord]:
    classes = document.get("classes") or []
    for name, rows in (document.get("labels") or {}).items():
        image = ImageRecord(str(name), f"{called}: {name}")
        for number, each in enumerate(rows or [], start=1):
            label = each.get("label")
            label = classes[label] if isinstance(label, int) and label < len(classes) else label
            box = numbers(each.get("bounding_box") or ())
            corners = (box[0], box[1], box[0] + box[2], box[1] + box[3]) if box and len(box) == 4 else None
            image.shapes.append(_shape(label, corners, f"{called}: {name}, box {number}"))
        yield image


def _rows(regions: Any) -> list[Any]:
    return list(regions.values() if isinstance(regions, dict) else regions or [])


def _shape(label: Any, corners: Any, at: str, *, crowd: bool = False) -> Shape:
    if corners is None:
        return Shape("", (0, 0, 0, 0), at, "no box of four numbers is written there")
    if label is None or not str(label).strip():
        return Shape("", tuple(corners), at, "it has no class")
    return Shape(str(label).strip(), tuple(corners), at, "", crowd)


def around(points: Iterable[Any]) -> Corners | None:
    """The box around some points; None where there are not two."""
    found = [numbers(point) for point in points]
    xs, ys = [point[0] for point in found if point], [point[1] for point in found if point]
    return (min(xs), min(ys), max(xs), max(ys)) if len(xs) > 1 else None


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
