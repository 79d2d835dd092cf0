"""Classes of whole images in the json of annotation tools.

Label Studio's choices (JSON and JSON-MIN) and FiftyOne's FiftyOneImageClassificationDataset.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from mobilevision.data.formats.annotations.json_kind import kind_by
from mobilevision.data.formats.annotations.raw import many
from mobilevision.data.formats.annotations.tool_boxes import ReadContext, annotation_of, named_images
from mobilevision.errors import UserError

MULTI = "an image has one class here: choose one an image, or take task=face_attributes with a CSV of 0 and 1"


class ImageClass(NamedTuple):
    """An image as a tool names it, its class, where it stands, and what is wrong with it (nothing, as a rule)."""

    name: str
    label: str
    at: str
    fault: str = ""


def _choices(document: Any, called: str, context: ReadContext) -> Iterator[ImageClass]:
    chosen = [(task, annotation) for task in document if (annotation := annotation_of(task, context)) is not None]
    if not chosen:
        raise UserError(f"{called}: none of its {many(len(document), 'task')} is annotated; export annotated tasks")
    results = [[each for each in annotation.get("result") or [] if _is_choice(each)] for _, annotation in chosen]
    control = _control([str(each.get("from_name")) for result in results for each in result], called, context)
    for number, ((task, _), result) in enumerate(zip(chosen, results, strict=True)):
        where = f"{called}: task {task.get('id', number + 1)}"
        mine = [each for each in result if str(each.get("from_name")) == control]
        images = named_images(task.get("data") or {})
        tags = {str(each.get("to_name")) for each in mine}
        names = [name for key, several in images.items() for name in several if len(images) == 1 or key in tags]
        labels = [str(label) for each in mine for label in (each.get("value") or {}).get("choices") or []]
        yield _image_class(names, list(dict.fromkeys(labels)), where)


def _choices_min(document: Any, called: str, context: ReadContext) -> Iterator[ImageClass]:
    beside = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time")
    images = [named_images(task) for task in document]
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


def holds_classes(text: str) -> bool:
    """Whether a json of a tool with classes of whole images holds such, and no boxes."""
    tool = kind_by(text, whole=True)
    if tool == "Label Studio" and not _CHOICES.search(text):
        return False
    return tool == "Label Studio (JSON-MIN) with choices" or not _REGIONS.search(text)
