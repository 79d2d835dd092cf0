"""Every export of an annotation tool that docs/data.md lists, written as the tool writes it, and what comes of it.

``MOBILEVISION_UPDATE_DOCS=1 pytest tests/data/test_tool_exports.py`` writes the table of docs/data.md anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mobilevision.data.formats import Auto
from mobilevision.errors import UserError

from .box_files import HEIGHT, WIDTH, coco, contents, image, read, voc

DOCS = Path(__file__).resolve().parents[2] / "docs" / "data.md"

# Two images of 64 x 48 pixels: a cat in the first, a dog and a cat in the second.
BOXES = {"1.jpg": [("cat", [16, 12, 32, 36])], "2.jpg": [("dog", [0, 6, 8, 30]), ("cat", [32, 24, 64, 48])]}
CATEGORIES = [{"id": 1, "name": "cat", "supercategory": ""}, {"id": 2, "name": "dog", "supercategory": ""}]
TWO = {"train": BOXES}
SPLIT = {"train": BOXES, "val": BOXES}


def images(folder: Path, ending: str = ".jpg", before: str = "") -> None:
    for name in BOXES:
        image(folder / (before + name.removesuffix(".jpg") + ending), format="JPEG")


def coco_rows(scale: tuple[float, float] = (1, 1), **more: Any) -> list[dict[str, Any]]:
    rows = []
    for number, found in enumerate(BOXES.values(), start=1):
        for name, (left, top, right, bottom) in found:
            box = [left / scale[0], top / scale[1], (right - left) / scale[0], (bottom - top) / scale[1]]
            category = 1 if name == "cat" else 2
            rows.append({"image_id": number, "category_id": category, "bbox": box, "area": box[2] * box[3], **more})
    return rows


def coco_file(path: Path, names: list[str] | None = None, **more: Any) -> Path:
    return coco(path, names or list(BOXES), coco_rows(**more), CATEGORIES)


def voc_files(folder: Path, filename: str = "{}") -> None:
    for name, found in BOXES.items():
        rows = [f"{label} {' '.join(map(str, box))}" for label, box in found]
        voc(folder / name.replace(".jpg", ".xml"), *rows, filename=filename.format(name))


def yolo_rows(name: str, first: int = 0) -> str:
    rows = []
    for label, (left, top, right, bottom) in BOXES[name]:
        x, y = (left + right) / 2 / WIDTH, (top + bottom) / 2 / HEIGHT
        number = first + ("cat", "dog").index(label)
        rows.append(f"{number} {x} {y} {(right - left) / WIDTH} {(bottom - top) / HEIGHT}\n")
    return "".join(rows)


def yolo_files(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in BOXES:
        (folder / name.replace(".jpg", ".txt")).write_text(yolo_rows(name))


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def document(path: Path, content: Any) -> None:
    text(path, json.dumps(content))


def cvat_coco(root: Path) -> None:
    attributes = {"occluded": False, "rotation": 0.0}
    coco_file(root / "annotations/instances_default.json", attributes=attributes, segmentation=[])
    images(root / "images/default")


def cvat_masks(root: Path) -> None:
    counts = {"counts": [10, 20, 3042], "size": [HEIGHT, WIDTH]}
    coco_file(
        root / "annotations/instances_default.json", attributes={"occluded": False}, segmentation=counts, iscrowd=1
    )
    images(root / "images")


def cvat_voc(root: Path) -> None:
    voc_files(root / "Annotations")
    images(root / "JPEGImages")
    text(root / "ImageSets/Main/default.txt", "1\n2\n")
    text(root / "labelmap.txt", "# label:color_rgb:parts:actions\ncat:128,0,0::\ndog:0,128,0::\n")


def cvat_yolo(root: Path) -> None:
    images(root / "obj_train_data")
    yolo_files(root / "obj_train_data")
    text(root / "obj.names", "cat\ndog\n")
    text(root / "obj.data", "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    text(root / "train.txt", "data/obj_train_data/1.jpg\ndata/obj_train_data/2.jpg\n")


def cvat_ultralytics(root: Path) -> None:
    images(root / "images/train")
    yolo_files(root / "labels/train")
    text(root / "data.yaml", "path: ./\ntrain: train.txt\nnames:\n  0: cat\n  1: dog\n")
    text(root / "train.txt", "data/images/train/1.jpg\ndata/images/train/2.jpg\n")


def cvat_xml(root: Path) -> None:
    images(root / "images")
    text(
        root / "annotations.xml",
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version></annotations>',
    )


def datumaro(root: Path) -> None:
    images(root / "images/default")
    items = [{"id": "1", "annotations": [], "image": {"path": "1.jpg"}}]
    document(root / "annotations/default.json", {"info": {}, "categories": {"label": {}}, "items": items})


def studio_coco(root: Path) -> None:
    coco_file(root / "result.json", ["images/1.jpg", "images/2.jpg"])
    images(root / "images")


def studio_coco_windows(root: Path) -> None:
    coco_file(root / "result.json", ["images\\1.jpg", "images\\2.jpg"])
    images(root / "images")


def studio_voc(root: Path) -> None:
    voc_files(root / "Annotations")
    images(root / "images")


def studio_yolo(root: Path) -> None:
    images(root / "images")
    yolo_files(root / "labels")
    text(root / "classes.txt", "cat\ndog\n")
    names = [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]
    document(root / "notes.json", {"categories": names, "info": {"year": 2024, "contributor": "Label Studio"}})


def _studio_value(label: str, box: list[int]) -> dict[str, Any]:
    left, top, right, bottom = (100 * side / whole for side, whole in zip(box, (WIDTH, HEIGHT) * 2, strict=True))
    return {
        "x": left,
        "y": top,
        "width": right - left,
        "height": bottom - top,
        "rotation": 0,
        "rectanglelabels": [label],
    }


def studio_json(root: Path) -> None:
    tasks = []
    for number, (name, found) in enumerate(BOXES.items(), start=1):
        size = {"original_width": WIDTH, "original_height": HEIGHT, "type": "rectanglelabels", "to_name": "image"}
        result = [{"id": f"r{i}", "value": _studio_value(*each), **size} for i, each in enumerate(found)]
        done = [{"id": 1, "was_cancelled": False, "result": result}]
        image = f"/data/upload/1/0a1b2c3d-{name}"
        tasks.append({"id": number, "annotations": done, "data": {"image": image}, "predictions": []})
    tasks.append({"id": 3, "annotations": [], "data": {"image": "/data/upload/1/0a1b2c3d-1.jpg"}})
    document(root / "project-1-at-2024-01-01.json", tasks)
    images(root / "images")


def studio_min(root: Path) -> None:
    tasks = []
    for number, (name, found) in enumerate(BOXES.items(), start=1):
        size = {"original_width": WIDTH, "original_height": HEIGHT}
        label = [{**_studio_value(*each), **size} for each in found]
        tasks.append({"image": f"/data/local-files/?d=set/images/{name}", "id": number, "label": label, "annotator": 1})
    document(root / "project-1-at-2024-01-01.json", tasks)
    images(root / "images")


def fiftyone_coco(root: Path) -> None:
    coco_file(root / "labels.json")
    images(root / "data")


def fiftyone_voc(root: Path) -> None:
    voc_files(root / "labels")
    images(root / "data")


def fiftyone_yolo5(root: Path) -> None:
    for split in ("train", "val"):
        images(root / "images" / split)
        yolo_files(root / "labels" / split)
    text(
        root / "dataset.yaml",
        "names:\n  0: cat\n  1: dog\npath: /content/set\ntrain: ./images/train/\nval: ./images/val/\n",
    )


def fiftyone_yolo4(root: Path) -> None:
    images(root / "data")
    yolo_files(root / "data")
    text(root / "obj.names", "cat\ndog\n")
    text(root / "images.txt", "data/1.jpg\ndata/2.jpg\n")


def fiftyone_json(root: Path) -> None:
    labels: dict[str, Any] = {}
    for name, found in BOXES.items():
        labels[name.removesuffix(".jpg")] = [
            {"label": label, "bounding_box": [a / WIDTH, b / HEIGHT, (c - a) / WIDTH, (d - b) / HEIGHT]}
            for label, (a, b, c, d) in found
        ]
    document(root / "labels.json", {"classes": ["cat", "dog"], "labels": labels})
    images(root / "data")


def roboflow(write: Callable[[Path], Any]) -> Callable[[Path], None]:
    def written(root: Path) -> None:
        text(root / "README.roboflow.txt", "set - v1\n")
        for split in ("train", "valid"):
            images(root / split)
            write(root / split)

    return written


def roboflow_yolo(root: Path) -> None:
    for split in ("train", "valid"):
        images(root / split / "images")
        yolo_files(root / split / "labels")
    names = "nc: 2\nnames: ['cat', 'dog']\nroboflow:\n  workspace: me\n"
    text(root / "data.yaml", f"train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\n{names}")


def darknet(folder: Path) -> None:
    yolo_files(folder)
    text(folder / "_darknet.labels", "cat\ndog\n")


def createml(path: Path) -> None:
    rows = []
    for name, found in BOXES.items():
        marks = [
            {"label": label, "coordinates": {"x": (a + c) / 2, "y": (b + d) / 2, "width": c - a, "height": d - b}}
            for label, (a, b, c, d) in found
        ]
        rows.append({"image": name, "annotations": marks})
    document(path, rows)


def tensorflow_csv(path: Path) -> None:
    rows = [
        f"{name},{WIDTH},{HEIGHT},{label},{','.join(map(str, box))}"
        for name, found in BOXES.items()
        for label, box in found
    ]
    text(path, "filename,width,height,class,xmin,ymin,xmax,ymax\n" + "\n".join(rows) + "\n")


def labelme(root: Path) -> None:
    images(root)
    for name, found in BOXES.items():
        shapes = []
        for label, (a, b, c, d) in found:
            # Drawn from the lower right corner; and as a polygon.
            points = [[c, d], [a, b]] if label == "cat" else [[a, b], [c, b], [(a + c) / 2, d]]
            kind = "rectangle" if label == "cat" else "polygon"
            shapes.append({"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}})
        size = {"imageHeight": HEIGHT, "imageWidth": WIDTH}
        content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": name, "imageData": None, **size}
        document(root / name.replace(".jpg", ".json"), content)


def labelimg_voc(root: Path) -> None:
    images(root)
    voc_files(root)


def labelimg_yolo(root: Path) -> None:
    images(root)
    yolo_files(root)
    text(root / "classes.txt", "cat\ndog\n")


def labelimg_createml(root: Path) -> None:
    images(root)
    createml(root / "all.json")


def vott(root: Path) -> None:
    assets = {}
    for name, found in BOXES.items():
        regions = [
            {
                "id": f"r{i}",
                "type": "RECTANGLE",
                "tags": [label],
                "boundingBox": {"height": d - b, "width": c - a, "left": a, "top": b},
            }
            for i, (label, (a, b, c, d)) in enumerate(found)
        ]
        asset = {"name": name, "path": f"file:C:/photos/My%20set/{name}", "state": 2, "type": 1}
        size = {"width": WIDTH, "height": HEIGHT}
        assets[f"id{name}"] = {"asset": {**asset, "size": size}, "regions": regions, "version": "2.2.0"}
    tags = [{"name": "cat", "color": "#5db300"}, {"name": "dog", "color": "#e81123"}]
    document(root / "vott-json-export/set-export.json", {"name": "set", "tags": tags, "assets": assets})
    images(root / "vott-json-export")


def vott_csv(root: Path) -> None:
    rows = [
        f'"{name}",{",".join(map(str, map(float, box)))},"{label}"'
        for name, found in BOXES.items()
        for label, box in found
    ]
    text(root / "vott-csv-export/set-export.csv", '"image","xmin","ymin","xmax","ymax","label"\n' + "\n".join(rows))
    images(root / "vott-csv-export")


def vott_voc(root: Path) -> None:
    top = root / "set-PascalVOC-export"
    voc_files(top / "Annotations")
    images(top / "JPEGImages")
    for label in ("cat", "dog"):
        text(top / f"ImageSets/Main/{label}_train.txt", "1.jpg 1\n2.jpg -1\n")
        text(top / f"ImageSets/Main/{label}_val.txt", "")
    text(top / "pascal_label_map.pbtxt", "item {\n id: 1\n name: 'cat'\n}\n")


def via_metadata() -> dict[str, Any]:
    found = {}
    for name, rows in BOXES.items():
        regions = [
            {
                "shape_attributes": {"name": "rect", "x": a, "y": b, "width": c - a, "height": d - b},
                "region_attributes": {"colour": "grey", "type": label},
            }
            for label, (a, b, c, d) in rows
        ]
        found[f"{name}123"] = {"filename": name, "size": 123, "regions": regions, "file_attributes": {}}
    return found


def via_project(root: Path) -> None:
    document(
        root / "via_project.json", {"_via_settings": {}, "_via_img_metadata": via_metadata(), "_via_attributes": {}}
    )
    images(root)


def via_json(root: Path) -> None:
    document(root / "via_region_data.json", via_metadata())
    images(root)


def via_csv(root: Path) -> None:
    head = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
    text(root / "via.csv", head + '1.jpg,123,"{}",1,0,"{""name"":""rect"",""x"":1}","{""type"":""cat""}"\n')
    images(root)


def azure_coco(root: Path) -> None:
    images(root / "images")
    names = [f"AmlDatastore://set/images/{name}" for name in BOXES]
    coco_file(root / "annotations.json", names, scale=(WIDTH, HEIGHT))


def azure_jsonl(root: Path) -> None:
    lines = []
    for name, found in BOXES.items():
        marks = [
            {
                "label": label,
                "topX": a / WIDTH,
                "topY": b / HEIGHT,
                "bottomX": c / WIDTH,
                "bottomY": d / HEIGHT,
                "isCrowd": 0,
            }
            for label, (a, b, c, d) in found
        ]
        details = {"format": "jpg", "width": f"{WIDTH}px", "height": f"{HEIGHT}px"}
        url = f"azureml://subscriptions/1/datastores/set/paths/images/{name}"
        lines.append(json.dumps({"image_url": url, "image_details": details, "label": marks}))
    for split in ("train", "validation"):
        text(root / f"{split}_annotations.jsonl", "\n".join(lines))
    for split in ("train", "validation"):
        images(root / split / "images")


def kaggle_cell(root: Path) -> None:
    rows = [
        f'{name.removesuffix(".jpg")},{WIDTH},{HEIGHT},"[{a}.0, {b}.0, {c - a}.0, {d - b}.0]",{label}'
        for name, found in BOXES.items()
        for label, (a, b, c, d) in found
    ]
    text(root / "train.csv", "image_id,width,height,bbox,class\n" + "\n".join(rows))
    images(root / "train")


def kaggle_sides(root: Path) -> None:
    rows = [f"{name},{label},{','.join(map(str, box))}" for name, found in BOXES.items() for label, box in found]
    text(root / "train.csv", "image_id,class_name,x_min,y_min,x_max,y_max\n" + "\n".join(rows))
    images(root / "train")


def supervisely(root: Path) -> None:
    document(root / "meta.json", {"classes": [{"title": "cat", "shape": "rectangle"}], "tags": []})
    for name, found in BOXES.items():
        objects = [
            {
                "id": i,
                "classTitle": label,
                "geometryType": "rectangle",
                "points": {"exterior": [[a, b], [c, d]], "interior": []},
            }
            for i, (label, (a, b, c, d)) in enumerate(found)
        ]
        size = {"height": HEIGHT, "width": WIDTH}
        document(root / f"ds/ann/{name}.json", {"description": "", "tags": [], "size": size, "objects": objects})
    images(root / "ds/img")


class Export(NamedTuple):
    """An export, what reads it (or what to export instead), who writes it here, and what must come."""

    tool: str
    export: str
    read_as: str
    write: Callable[[Path], Any]
    comes: dict[str, Any] | str  # a text: the refusal


EXPORTS = [
    Export("CVAT", "COCO 1.0", "coco_json", cvat_coco, TWO),
    Export("CVAT", "COCO 1.0 with masks, which CVAT marks as crowds", "coco_json", cvat_masks, TWO),
    Export("CVAT", "Pascal VOC 1.1", "voc_xml", cvat_voc, TWO),
    Export("CVAT", "YOLO 1.1", "yolo_txt", cvat_yolo, TWO),
    Export("CVAT", "Ultralytics YOLO Detection 1.0", "yolo_txt", cvat_ultralytics, TWO),
    Export("CVAT", "CVAT for images 1.1", "not read: export as COCO or Pascal VOC", cvat_xml, "is CVAT's own xml"),
    Export("CVAT", "Datumaro 1.0", "not read: export as COCO or Pascal VOC", datumaro, "is the json of Datumaro"),
    Export("Label Studio", "COCO", "coco_json", studio_coco, TWO),
    Export("Label Studio", "COCO, written under Windows", "coco_json", studio_coco_windows, TWO),
    Export("Label Studio", "Pascal VOC XML", "voc_xml", studio_voc, TWO),
    Export("Label Studio", "YOLO", "yolo_txt", studio_yolo, TWO),
    Export("Label Studio", "JSON", "tool_json", studio_json, TWO),
    Export("Label Studio", "JSON-MIN", "tool_json", studio_min, TWO),
    Export("FiftyOne", "COCODetectionDataset", "coco_json", fiftyone_coco, TWO),
    Export("FiftyOne", "VOCDetectionDataset", "voc_xml", fiftyone_voc, TWO),
    Export("FiftyOne", "YOLOv5Dataset", "yolo_txt", fiftyone_yolo5, SPLIT),
    Export("FiftyOne", "YOLOv4Dataset", "yolo_txt", fiftyone_yolo4, TWO),
    Export("FiftyOne", "FiftyOneImageDetectionDataset", "tool_json", fiftyone_json, TWO),
    Export("Roboflow", "COCO", "coco_json", roboflow(lambda at: coco_file(at / "_annotations.coco.json")), SPLIT),
    Export("Roboflow", "Pascal VOC", "voc_xml", roboflow(voc_files), SPLIT),
    Export("Roboflow", "YOLOv5 to v11", "yolo_txt", roboflow_yolo, SPLIT),
    Export("Roboflow", "YOLO Darknet", "yolo_txt", roboflow(darknet), SPLIT),
    Export(
        "Roboflow", "CreateML", "tool_json", roboflow(lambda at: createml(at / "_annotations.createml.json")), SPLIT
    ),
    Export(
        "Roboflow", "Tensorflow CSV", "boxes_csv", roboflow(lambda at: tensorflow_csv(at / "_annotations.csv")), SPLIT
    ),
    Export("LabelMe", "its json, a file an image", "tool_json", labelme, TWO),
    Export("labelImg", "Pascal VOC", "voc_xml", labelimg_voc, TWO),
    Export("labelImg", "YOLO", "yolo_txt", labelimg_yolo, TWO),
    Export("labelImg", "CreateML", "tool_json", labelimg_createml, TWO),
    Export("VoTT", "VoTT JSON", "tool_json", vott, TWO),
    Export("VoTT", "CSV", "boxes_csv", vott_csv, TWO),
    Export("VoTT", "Pascal VOC", "voc_xml", vott_voc, TWO),
    Export("VIA 2", "project", "tool_json", via_project, TWO),
    Export("VIA 2", "annotations as json", "tool_json", via_json, TWO),
    Export("VIA 2", "annotations as COCO", "coco_json", lambda root: (coco_file(root / "via.json"), images(root)), TWO),
    Export("VIA 2", "annotations as CSV", "not read: export as json or COCO", via_csv, "this is VIA's CSV"),
    Export("Azure ML", "COCO, boxes in fractions", "coco_json", azure_coco, TWO),
    Export("Azure AutoML", "jsonl", "tool_json", azure_jsonl, SPLIT),
    Export("Kaggle", "table with `bbox` as `[x, y, width, height]`", "boxes_csv", kaggle_cell, TWO),
    Export("Kaggle", "table with a column a side", "boxes_csv", kaggle_sides, TWO),
    Export("Supervisely", "json annotations with images", "tool_json", supervisely, TWO),
]


@pytest.mark.parametrize("export", EXPORTS, ids=lambda each: f"{each.tool}, {each.export}")
def test_exports(export: Export, tmp_path: Path) -> None:
    export.write(tmp_path)
    if isinstance(export.comes, str):
        with pytest.raises(UserError, match=export.comes) as caught:
            read(Auto(), tmp_path)
        assert "\n" not in str(caught.value)
        assert export.read_as.removeprefix("not read: ") in str(caught.value)
        return
    splits = read(Auto(), tmp_path)
    assert [str(problem) for problem in splits.problems] == []
    assert f"data=auto took the format {export.read_as}" in splits.notes
    # Of the polygon of LabelMe and the like the box is the same; the order within an image is the tool's.
    found = {split: {name: sorted(rows) for name, rows in part.items()} for split, part in contents(splits).items()}
    assert found == {split: {name: sorted(rows) for name, rows in part.items()} for split, part in export.comes.items()}
    assert set(splits.classes) == {"cat", "dog"}


def exports() -> str:
    """The table of docs/data.md."""
    rows = [f"| {each.tool} | {each.export} | {as_cell(each.read_as)} |" for each in EXPORTS]
    return "\n".join(["| tool | export | read as |", "|---|---|---|", *rows]) + "\n"


def as_cell(read_as: str) -> str:
    return read_as if " " in read_as else f"`{read_as}`"


def test_the_table_of_exports_is_that_of_the_docs() -> None:
    given = DOCS.read_text(encoding="utf-8")
    before, _, rest = given.partition("<!-- generated: exports -->\n")
    written = f"{before}<!-- generated: exports -->\n{exports()}<!-- end -->{rest.partition('<!-- end -->')[2]}"
    if os.environ.get("MOBILEVISION_UPDATE_DOCS"):
        DOCS.write_text(written, encoding="utf-8")
    assert written == DOCS.read_text(encoding="utf-8"), "run it with MOBILEVISION_UPDATE_DOCS=1"
