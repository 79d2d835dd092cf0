"""Small annotated sets on disk, written the way people's tools write them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mobilevision.data import Splits
from mobilevision.data.boxes import Boxes
from mobilevision.data.formats import DataFormat
from mobilevision.data.records import Records

Rows = Sequence[Mapping[str, Any]]
WIDTH, HEIGHT = 64, 48


def image(path: Path, width: int = WIDTH, height: int = HEIGHT, **options: Any) -> Path:
    """A plain image of 64 x 48 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), "grey").save(path, **options)
    return path


def read(form: DataFormat, root: Path) -> Splits:
    """Read for boxes."""
    return form.read(root=root, kind="boxes", channels=3, seed=0)


def boxes(records: Records | None, index: int) -> Boxes:
    """The boxes of one image."""
    assert records is not None
    found = records.targets[index]
    assert isinstance(found, Boxes)
    return found


def contents(splits: Splits) -> dict[str, dict[str, list[tuple[str, list[float]]]]]:
    """split -> image name -> (class, box) of each box."""
    found: dict[str, dict[str, list[tuple[str, list[float]]]]] = {}
    for split, records in splits.items():
        for i in range(len(records)):
            one = boxes(records, i)
            rows = zip(one.labels.tolist(), np.round(one.boxes, 3).tolist(), strict=True)
            named = [(splits.classes[label], box) for label, box in rows]
            found.setdefault(split, {})[Path(records.name(i)).name] = named
    return found


def messages(splits: Splits) -> list[str]:
    """The problems as a user reads them."""
    return [str(problem) for problem in splits.problems]


def coco(path: Path, images: Sequence[str], annotations: Rows, categories: Rows | None = None, **image: Any) -> Path:
    """A COCO json with images 1, 2 ... of 64 x 48 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"id": i, "file_name": name, "width": WIDTH, "height": HEIGHT, **image}
        for i, name in enumerate(images, start=1)
    ]
    named = categories or [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]
    given = [{"id": i, "iscrowd": 0, **row} for i, row in enumerate(annotations, start=101)]
    path.write_text(json.dumps({"images": rows, "annotations": given, "categories": named}))
    return path


def voc(path: Path, *objects: str, size: tuple[int, int] | None = (WIDTH, HEIGHT), filename: str | None = None) -> Path:
    """A VOC xml; each object is ``name xmin ymin xmax ymax``, an object a line from line 3 on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"<filename>{filename or path.stem + '.jpg'}</filename>"]
    lines += [f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"] if size else [""]
    for each in objects:
        name, *sides = each.split()
        tags = zip(("xmin", "ymin", "xmax", "ymax"), sides, strict=False)
        box = "".join(f"<{tag}>{side}</{tag}>" for tag, side in tags)
        lines.append(f"<object><name>{name}</name><bndbox>{box}</bndbox></object>")
    path.write_text("\n".join(["<annotation>" + lines[0], *lines[1:], "</annotation>"]))
    return path
