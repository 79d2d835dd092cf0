"""Which annotation tool wrote a json, by its top-level keys."""

from __future__ import annotations

import re
from pathlib import Path

from mobilevision.data.formats.text import decode
from mobilevision.io.regular_files import open_regular

HEAD = 1 << 16  # bytes looked at
TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|[{}\[\]:]')
DEPTHS = 3  # of keys that tell anything

Signature = tuple[int, tuple[set[str], ...]]
"""At which depth keys stand that tell a tool, and sets of them of which one is complete."""

COCO = "COCO"
READ: dict[str, Signature] = {
    "Label Studio": (2, ({"annotations", "data"}, {"completions", "data"})),
    "Label Studio (JSON-MIN)": (4, ({"original_width", "x"}, {"original_width", "points"})),
    "CreateML": (2, ({"image", "annotations"}, {"imagefilename", "annotation"}, {"imagefilename", "annotations"})),
    "LabelMe": (1, ({"shapes", "imagePath"}, {"shapes", "version"})),
    "VoTT": (1, ({"assets", "tags"}, {"assets", "name"}, {"asset", "regions"})),
    "VIA": (1, ({"_via_img_metadata"},)),
    "VIA annotations": (2, ({"filename", "regions"},)),
    "Supervisely": (1, ({"objects", "size", "tags"},)),
    "Azure AutoML": (1, ({"image_url", "label"},)),
    "FiftyOne": (1, ({"classes", "labels"},)),
}
NOT_READ: dict[str, Signature] = {
    "Datumaro": (1, ({"items", "categories"},)),
    "VIA 3": (1, ({"project", "file", "metadata"},)),
    "V7 Darwin": (1, ({"item", "annotations"}, {"image", "annotations", "dataset"})),
    "Labelbox": (1, ({"data_row", "projects"},)),
    "SageMaker Ground Truth": (1, ({"source-ref"},)),
    "Google Vertex AI": (1, ({"imageGcsUri", "boundingBoxAnnotations"},)),
    "BDD100K (Scalabel)": (2, ({"name", "labels", "attributes"},)),
    "a FiftyOne dataset of its own": (1, ({"samples"}, {"sample_fields"})),
}
"""Tools whose json is not read."""
CLASSES: dict[str, Signature] = {
    "Label Studio (JSON-MIN) with choices": (2, ({"annotator", "annotation_id"},)),
}
"""Tools whose json holds classes of whole images and no boxes; others of ``READ`` may hold either."""
PREDICTIONS = {"Label Studio with predictions only": (2, ({"predictions", "data"},))}
"""Looked for last: an export of annotations has the predictions, too."""
INSTEAD = {
    "Label Studio (JSON-MIN) with choices": "JSON of a project with boxes; classes of whole images are for"
    " task=classification",
    "Label Studio with predictions only": "JSON with annotations, for predictions are no ground truth",
    "Datumaro": "COCO or Pascal VOC",
    "VIA 3": "COCO",
    "V7 Darwin": "COCO",
    "Labelbox": "COCO by its converter",
    "SageMaker Ground Truth": "COCO by its converter",
    "Google Vertex AI": "COCO, or a CSV of boxes",
    "BDD100K (Scalabel)": "COCO by its converter",
    "a FiftyOne dataset of its own": "COCODetectionDataset",
}
"""What to export from them instead."""


def kind_of(file: Path) -> str | None:
    """Whose json it is: ``COCO``, a tool of the other tables, or None.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(file) as stream:
        head = stream.read(HEAD)
    return kind_by(decode(head[: len(head) // 4 * 4]), whole=len(head) < HEAD)


def kind_by(text: str, *, whole: bool) -> str | None:
    """The same by the first letters of a json; ``whole``: they are all of it."""
    keys, is_list = _keys(text)
    for tool, (depth, sets) in {**NOT_READ, **READ, **CLASSES, **PREDICTIONS}.items():
        if not (depth == 1 and is_list) and any(each <= keys[depth] for each in sets):
            # An outline of COCO may be called anything below the top; its lists are not.
            if "images" in keys[1] and "annotations" in keys[1]:
                break
            return tool
    if "images" in keys[1 + is_list] or (not whole and keys[1] & {"annotations", "categories"}):
        return COCO
    return None


def _keys(text: str) -> tuple[dict[int, set[str]], bool]:
    """The keys by how many brackets are open around them, and whether the first bracket is that of a list."""
    keys: dict[int, set[str]] = {depth: set() for depth in range(1, DEPTHS + 2)}
    depth, last, is_list = 0, "", False
    for match in TOKEN.finditer(text):
        token = match[0]
        if token in "{[":
            is_list |= not depth and token == "["
            depth += 1
        elif token in "}]":
            depth -= 1
            if not depth:
                break
        elif token == ":":
            if depth in keys:
                keys[depth].add(last)
        else:
            last = match[1]
    return keys, is_list
