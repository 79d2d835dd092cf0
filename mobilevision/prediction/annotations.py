"""Predictions as files that labelling tools import, so that people check what the model is least sure of first."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import quote

from mobilevision.deploy.answers import Answer, Attributes, Classes, Detections
from mobilevision.errors import UserError
from mobilevision.images.files import printable
from mobilevision.io.atomic_files import write_csv, write_json, write_text
from mobilevision.version import __version__

_BOX_DIGITS = 2  # of coordinates in pixels
_FRACTION_DIGITS = 6  # of coordinates in fractions of the image
_NO_CLASS = ("", "nan", "na", "n/a", "none", "null", "#n/a", "<na>")  # cells that readers of tables take for empty


@dataclass(frozen=True)
class AnnotatedImage:
    """An image and what the model says of it.

    Attributes:
        path: the file, relative to the folder that all of them lie in.
        shape: (height, width) of the upright image in pixels.
        row: as :meth:`mobilevision.deploy.answers.Answer.describe` gives it; boxes are in pixels of that image.
        certainty: how sure the model is (:meth:`mobilevision.deploy.answers.Answer.certainty`).
    """

    path: str
    shape: tuple[int, int]
    row: Mapping[str, Any]
    certainty: float


def write_annotations(
    form: str, images: Sequence[AnnotatedImage], folder: Path, *, answer: Answer, model: str, top: Path
) -> Path:
    """Write annotations, those of the images that the model is least sure of first.

    Args:
        form: a name of :data:`FORMS`.
        images: in any order.
        folder: made where it is missing.
        answer: what the model predicts.
        model: its name, for formats that keep it.
        top: the folder that the images lie in.

    Returns:
        The file, or the folder, to import.

    Raises:
        UserError: it is there already.
    """
    require_absent(form, folder)
    folder.mkdir(parents=True, exist_ok=True)
    ordered = sorted(map(_inside, images), key=lambda image: (image.certainty, image.path))
    if form == "label-studio":  # whose storage is a folder below its root
        ordered = [replace(image, path=f"{top.name}/{image.path}") for image in ordered]
    target = folder / FORMS[form].name
    FORMS[form].write(ordered, target, answer, model)
    return target


def check_form(form: str, answer: Answer) -> None:
    """Refuse a format that cannot hold what a model predicts.

    Raises:
        UserError: with the formats that can.
    """
    able = forms_of(answer)
    if form not in able:
        can = f"there are {', '.join(able)}" if able else "there is no format for it"
        raise UserError(f"--annotations {form}: it does not hold what this model predicts ({answer.name}): {can}")
    for name in answer.classes:
        lost = (printable(name) != name and form == "yolo") or (name != name.strip() and form in ("csv", "yolo"))
        if lost or (name.lower() in _NO_CLASS and form == "csv"):
            raise UserError(f"--annotations {form}: a class is called {printable(name)!r}, which is lost in its files")


def require_absent(form: str, folder: Path) -> None:
    """Refuse to write where annotations, or images for them, are: people may have corrected them.

    Raises:
        UserError: something is there.
    """
    target = folder / FORMS[form].name
    if target.exists() or target.is_symlink():
        raise UserError(
            f"--annotations {form}: {target} is there already, perhaps with corrections: move it away, or name another"
            " folder with --out"
        )


def forms_of(answer: Answer) -> tuple[str, ...]:
    """The formats that hold what a model predicts."""
    if isinstance(answer, Detections):
        return tuple(FORMS)
    return ("csv", "label-studio") if isinstance(answer, Classes | Attributes) else ()


def paths_below_one_folder(files: Sequence[bytes], form: str) -> tuple[Path, list[str]]:
    """The deepest folder that all files lie in, absolute, and the path of each below it, with ``/``.

    Raises:
        UserError: files of two drives, or names that annotations of this format cannot hold.
    """
    paths = [os.path.abspath(os.fsdecode(file)) for file in files]
    try:
        top = Path(os.path.commonpath([os.path.dirname(path) for path in paths]))
    except ValueError as error:
        raise UserError("--annotations: the images lie on several drives: predict for one at a time") from error
    below = [Path(path).relative_to(top).as_posix() for path in paths]
    labels: dict[str, str] = {}
    for name in below:
        if printable(name) != name or "\\" in name or name != name.strip():
            raise UserError(f"--annotations: {printable(name)!r}: annotations cannot hold this name: rename the file")
        if form != "yolo":
            continue
        if "images" in PurePosixPath(name).parts[:-1]:
            why = "YOLO takes a folder called images for its own: give that folder alone as the images"
            raise UserError(f"--annotations yolo: {name}: {why}")
        if (other := labels.setdefault(str(PurePosixPath(name).with_suffix("")).lower(), name)) != name:
            raise UserError(f"--annotations yolo: {other} and {name} would share one label file: rename one")
    return top, below


def _inside(image: AnnotatedImage) -> AnnotatedImage:
    """Boxes clipped to the image, without those that have no area: a letterboxed model sees what is beside it, too."""
    if "detections" not in image.row:
        return image
    height, width = image.shape
    kept = []
    for found in image.row["detections"]:
        left, top, right, bottom = found["box"]
        box = [max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))]
        if box[0] < box[2] and box[1] < box[3]:
            kept.append({**found, "box": box})
    return replace(image, row={**image.row, "detections": kept})


def _coco(images: Sequence[AnnotatedImage], target: Path, answer: Answer, model: str) -> None:
    """COCO's json: boxes as [left, top, width, height] in pixels, with the score beside each."""
    ids = {name: number for number, name in enumerate(answer.classes, start=1)}
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(images, start=1):
        for found in image.row["detections"]:
            left, top, right, bottom = found["box"]
            size = round(right - left, _BOX_DIGITS), round(bottom - top, _BOX_DIGITS)
            place = {"bbox": [left, top, *size], "area": round(size[0] * size[1], _BOX_DIGITS), "segmentation": []}
            known = {"id": len(annotations) + 1, "image_id": number, "category_id": ids[found["label"]], "iscrowd": 0}
            annotations.append({**known, **place, "score": found["score"]})
    document = {
        "info": {"description": f"predicted by {model} (mobilevision {__version__}); the least certain images first"},
        "licenses": [],
        "categories": [{"id": number, "name": name, "supercategory": ""} for name, number in ids.items()],
        "images": [
            {"id": number, "file_name": image.path, "height": image.shape[0], "width": image.shape[1]}
            for number, image in enumerate(images, start=1)
        ],
        "annotations": annotations,
    }
    write_json(target, document)


def _yolo(images: Sequence[AnnotatedImage], target: Path, answer: Answer, model: str) -> None:
    """Ultralytics' layout: ``data.yaml``, ``train.txt`` and a file of class and box in fractions an image."""
    for image in images:
        height, width = image.shape
        lines = []
        for found in image.row["detections"]:
            left, above, right, below = found["box"]
            numbers = (
                (left + right) / 2 / width,
                (above + below) / 2 / height,
                (right - left) / width,
                (below - above) / height,
            )
            values = " ".join(f"{value:.{_FRACTION_DIGITS}f}" for value in numbers)
            lines.append(f"{answer.classes.index(found['label'])} {values}\n")
        file = target / "labels" / "train" / PurePosixPath(image.path).with_suffix(".txt")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, "".join(lines))
    write_text(target / "train.txt", "".join(f"images/train/{image.path}\n" for image in images))
    write_text(target / "classes.txt", "".join(f"{name}\n" for name in answer.classes))
    names = "".join(
        f"  {number}: {json.dumps(name, ensure_ascii=False)}\n" for number, name in enumerate(answer.classes)
    )
    write_text(target / "data.yaml", f"train: train.txt\nnames:\n{names}")


def _csv(images: Sequence[AnnotatedImage], target: Path, answer: Answer, model: str) -> None:
    """A row a box, an image without any as one of empty cells; or a row an image with its class, or its attributes."""
    rows: list[dict[str, Any]] = []
    for image in images:
        if isinstance(answer, Classes):
            rows.append({"path": image.path, "label": image.row["label"], "score": image.row["score"]})
        elif isinstance(answer, Attributes):
            there = set(image.row["attributes"])
            rows.append({"path": image.path, **{name: int(name in there) for name in answer.classes}})
        else:
            sides = ("left", "top", "right", "bottom")
            for found in image.row["detections"] or [{"label": "", "score": "", "box": ("",) * 4}]:
                box = dict(zip(sides, found["box"], strict=True))
                rows.append({"path": image.path, "label": found["label"], **box, "score": found["score"]})
    write_csv(target, rows, escape=False)  # names as they are: they are read again


def _label_studio(images: Sequence[AnnotatedImage], target: Path, answer: Answer, model: str) -> None:
    """Label Studio's tasks with predictions; images are looked for in its local storage, by ``?d=`` and their path."""
    tasks = []
    for image in images:
        height, width = image.shape
        shared = {"from_name": "label", "to_name": "image", "original_width": width, "original_height": height}
        results: list[dict[str, Any]] = []
        if isinstance(answer, Detections):
            for found in image.row["detections"]:
                left, top, right, bottom = found["box"]
                place = {"x": left / width, "y": top / height, "width": (right - left) / width}
                place["height"] = (bottom - top) / height
                percent = {name: round(100 * value, _FRACTION_DIGITS - 2) for name, value in place.items()}
                value = {**percent, "rotation": 0, "rectanglelabels": [found["label"]]}
                region = {"id": f"box{len(results) + 1}", "type": "rectanglelabels", "score": found["score"]}
                results.append({**shared, **region, "value": value})
        else:
            several = image.row["attributes"] if isinstance(answer, Attributes) else [image.row["label"]]
            results.append({**shared, "id": "choice1", "type": "choices", "value": {"choices": several}})
        predicted = {"model_version": model, "score": round(image.certainty, 4), "result": results}
        address = f"/data/local-files/?d={quote(image.path)}"
        tasks.append({"data": {"image": address}, "predictions": [predicted]})
    write_json(target, tasks)


class Form(NamedTuple):
    """A format of annotations.

    Attributes:
        name: of the file, or the folder, that it is.
        write: writes it there: images (the least certain first), the place, the answer, the model's name.
    """

    name: str
    write: Callable[[Sequence[AnnotatedImage], Path, Answer, str], None]


FORMS: Mapping[str, Form] = {
    "coco": Form("coco.json", _coco),
    "yolo": Form("yolo", _yolo),
    "csv": Form("labels.csv", _csv),
    "label-studio": Form("label_studio.json", _label_studio),
}
