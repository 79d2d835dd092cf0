"""What annotation tools write beside plain boxes: several images a task, turned boxes, unfinished tasks, attributes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mobilevision.data.formats import Auto, CocoJson, Csv, ToolJson, VocXml, YoloTxt
from mobilevision.deploy.answers import Classes
from mobilevision.errors import UserError
from mobilevision.prediction.annotations import AnnotatedImage, write_annotations

from .box_files import coco, contents, image, messages, read

WIDTH, HEIGHT = 100, 80


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(4):
        image(tmp_path / f"{number}.jpg", WIDTH, HEIGHT)
    return tmp_path


def region(label: str = "cat", x: float = 10, y: float = 10, tag: str = "image", **more: Any) -> dict[str, Any]:
    """A rectangle of Label Studio, 20 by 20 percent."""
    size = {"original_width": WIDTH, "original_height": HEIGHT}
    value = {"x": x, "y": y, "width": 20, "height": 20, "rotation": 0, "rectanglelabels": [label]}
    return {"id": f"{label}{x}", "type": "rectanglelabels", "to_name": tag, **size, "value": value, **more}


def done(*result: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": 1, "was_cancelled": False, "result": list(result), **more}


def studio(root: Path, *tasks: dict[str, Any]) -> Path:
    (root / "export.json").write_text(json.dumps([{"id": i, **task} for i, task in enumerate(tasks, start=1)]))
    return root


def task(number: int, *annotations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"data": {"image": f"/data/upload/1/0a1b2c3d-{number}.jpg"}, "annotations": list(annotations), **more}


CAT, DOG = ("cat", [10.0, 8.0, 30.0, 24.0]), ("dog", [50.0, 40.0, 70.0, 56.0])


def test_regions_of_two_images_of_a_task_stay_apart(root: Path) -> None:
    def two(first: int, *result: dict[str, Any]) -> dict[str, Any]:
        return {"data": {"left": f"{first}.jpg", "right": f"{first + 1}.jpg"}, "annotations": [done(*result)]}

    tasks = two(0, region(tag="left"), region("dog", 50, 50, tag="right")), two(2, region(tag="right"))
    splits = read(Auto(), studio(root, *tasks))
    assert contents(splits)["train"] == {"0.jpg": [CAT], "1.jpg": [DOG], "2.jpg": [], "3.jpg": [CAT]}
    assert not splits.problems


@pytest.mark.parametrize("tags", [("picture", "picture"), ("left", "other")])
def test_a_region_whose_image_is_not_known_is_a_problem(root: Path, tags: tuple[str, str]) -> None:
    both = {"left": "0.jpg", "right": "1.jpg"}
    marked = [region(tag=tags[0]), region("dog", tag=tags[1])]
    sure = {"data": {"left": "2.jpg"}, "annotations": [done(region(tag="left"))]}
    splits = read(ToolJson(), studio(root, sure, {"data": both, "annotations": [done(*marked)]}))
    assert contents(splits)["train"]["2.jpg"] == [CAT]
    [line] = messages(splits)
    assert line.startswith(
        f"export.json: task 2: to_name of a region is {tags[1]!r}, which is none of its images left, right"
    )


def test_the_image_tag_may_be_called_otherwise_and_other_addresses_stand_beside_it(root: Path) -> None:
    data = {"thumbnail": "0.jpg", "image": "1.jpg"}
    splits = read(ToolJson(), studio(root, {"data": data, "annotations": [done(region(tag="img"))]}))
    assert contents(splits)["train"] == {"1.jpg": [CAT]}
    texts = done(region(tag="img"), {"type": "choices", "to_name": "text", "value": {"choices": ["x"]}})
    splits = read(ToolJson(), studio(root, {"data": {"photo": "1.jpg", "text": "hello"}, "annotations": [texts]}))
    assert contents(splits)["train"] == {"1.jpg": [CAT]}


def test_a_list_of_images_is_told_apart_by_its_index(root: Path) -> None:
    pages = {"data": {"pages": ["0.jpg", "1.jpg"]}}
    result = [region(tag="pages", item_index=0), region("dog", 50, 50, tag="pages", item_index=1)]
    splits = read(ToolJson(), studio(root, {**pages, "annotations": [done(*result)]}))
    assert contents(splits)["train"] == {"0.jpg": [CAT], "1.jpg": [DOG]}
    lost = {**pages, "annotations": [done(region(tag="pages"))]}
    assert "which image of the list pages" in messages(read(ToolJson(), studio(root, task(2, done(region())), lost)))[0]


def test_of_several_annotations_the_ground_truth_is_taken(root: Path) -> None:
    truth = done(region("dog", 50, 50), ground_truth=True)
    splits = read(
        ToolJson(), studio(root, task(0, done(region()), truth), task(1, done(region()), done(region("dog"))))
    )
    assert contents(splits)["train"] == {"0.jpg": [DOG], "1.jpg": [CAT]}
    assert "1 task with several annotations, of which the one marked as ground truth is taken" in splits.notes
    assert "1 task with several annotations, of which the first one is taken" in splits.notes


def test_tasks_that_are_left_out_are_counted(root: Path) -> None:
    guessed = task(2, predictions=[{"result": [region()]}])
    skipped = task(3, done(region(), was_cancelled=True))
    splits = read(ToolJson(), studio(root, task(0, done(region())), task(1), guessed, skipped))
    assert list(contents(splits)["train"]) == ["0.jpg"]
    assert "left out: 1 task without annotations" in splits.notes
    assert "left out: 1 task with predictions only" in splits.notes
    assert "left out: 1 task skipped by the annotator" in splits.notes


@pytest.mark.parametrize("form", [Auto(), ToolJson()])
def test_predictions_are_no_ground_truth(root: Path, form: Auto | ToolJson) -> None:
    alone = {"data": {"image": "0.jpg"}, "predictions": [{"result": [region()]}]}
    with pytest.raises(UserError, match=r"export\.json .*predictions.*no ground truth"):
        read(form, studio(root, alone))
    with pytest.raises(UserError, match=r"export\.json: none of its 1 task is annotated.*predictions alone"):
        read(form, studio(root, {**alone, "annotations": []}))


def test_a_relation_is_no_region(root: Path) -> None:
    arrow = {"from_id": "cat10", "to_id": "dog50", "type": "relation", "direction": "right"}
    splits = read(ToolJson(), studio(root, task(0, done(region(), region("dog", 50, 50), arrow))))
    assert contents(splits)["train"] == {"0.jpg": [CAT, DOG]}
    assert not splits.problems


def ellipse(rotation: float) -> dict[str, Any]:
    value = {"x": 50, "y": 50, "radiusX": 30, "radiusY": 5, "rotation": rotation, "ellipselabels": ["cat"]}
    return {**region(), "type": "ellipselabels", "value": value}


def rectangle(rotation: float, x: float = 50) -> dict[str, Any]:
    value = {"x": x, "y": 50, "width": 20, "height": 10, "rotation": rotation, "rectanglelabels": ["cat"]}
    return {**region(), "value": value}


@pytest.mark.parametrize(
    ("marked", "box"),
    [
        (ellipse(0), [20, 36, 80, 44]),
        (ellipse(90), [46, 10, 54, 70]),
        # Radii of 30 and 4 pixels: the halves are both the root of (30² + 4²) / 2.
        (ellipse(45), [28.6, 18.6, 71.4, 61.4]),
        (rectangle(90), [42, 40, 50, 60]),  # 20 by 8 pixels about (50, 40)
        (rectangle(90, x=4), [0, 40, 4, 60]),  # cut to the image
    ],
)
def test_turned_regions_of_label_studio(root: Path, marked: dict[str, Any], box: list[float]) -> None:
    splits = read(ToolJson(), studio(root, task(0, done(marked))))
    [(_, found)] = contents(splits)["train"]["0.jpg"]
    assert found == pytest.approx(box, abs=0.01)
    assert not splits.problems


def test_regions_of_a_turned_image_and_turned_ones_without_a_size_are_problems(root: Path) -> None:
    turned = region("dog", image_rotation=90)
    unsized = {key: value for key, value in rectangle(30).items() if not key.startswith("original")}
    splits = read(ToolJson(), studio(root, task(0, done(region(), turned)), task(1, done(unsized))))
    assert contents(splits)["train"] == {"0.jpg": [CAT], "1.jpg": []}
    first, second = messages(splits)
    assert "image turned by 90 degrees" in first
    assert "without original_width" in second


TURNED = [12.322, 0, 47.678, 32.678]  # (10, 10, 50, 20) by 45 degrees about (30, 15), cut to the image


def test_cvat_turns_boxes_of_coco(root: Path) -> None:
    around = [0.0, 0.0, 30.0, 30.0]
    outline = [[0, 15, 15, 0, 30, 15, 15, 30]]
    turned = {"occluded": False, "rotation": 45.0}
    rows = [
        {"image_id": 1, "category_id": 3, "bbox": [10, 10, 40, 10], "segmentation": [], "attributes": turned},
        {"image_id": 1, "category_id": 7, "bbox": [10, 10, 40, 10], "segmentation": [[]], "attributes": turned},
        {"image_id": 2, "category_id": 3, "bbox": around, "segmentation": outline, "attributes": turned},
        {"image_id": 3, "category_id": 3, "bbox": [10, 10, 40, 10], "attributes": {"rotation": "left"}, "angle": "n/a"},
        {"image_id": 4, "category_id": 3, "bbox": [10, 10, 40, 10], "angle": 30},
    ]
    coco(root / "c.json", [f"{i}.jpg" for i in range(4)], rows, width=WIDTH, height=HEIGHT)
    splits = read(CocoJson(), root)
    found = {name: boxes[0][1] for name, boxes in contents(splits)["train"].items()}
    assert found["0.jpg"] == pytest.approx(TURNED, abs=0.01)
    assert contents(splits)["train"]["0.jpg"][1][1] == pytest.approx(TURNED, abs=0.01)
    assert found["1.jpg"] == around  # the box around the outline already
    assert found["2.jpg"] == found["3.jpg"] == [10, 10, 50, 20]
    assert any("2 boxes turned by the attribute rotation" in note for note in splits.notes)
    assert any("1 box with a rotation, angle or theta of their own" in note for note in splits.notes)


def xml(path: Path, inner: str = "", side: str = "") -> None:
    box = f"<bndbox><xmin>10</xmin><ymin>10</ymin><xmax>50</xmax><ymax>20</ymax>{side}</bndbox>"
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
    path.write_text(f"<annotation>{size}<object><name>cat</name>{inner}{box}</object></annotation>")


def attribute(name: str, value: str) -> str:
    return f"<attributes><attribute><name>{name}</name><value>{value}</value></attribute></attributes>"


def test_cvat_turns_boxes_of_voc(root: Path) -> None:
    for number, inner in enumerate([attribute("rotation", "45.0"), attribute("rotation", "0.0"), "", ""]):
        xml(root / f"{number}.xml", inner, "<angle>0.5</angle>" if number == 3 else "")
    splits = read(VocXml(), root)
    found = contents(splits)["train"]
    assert found["0.jpg"][0][1] == pytest.approx(TURNED, abs=0.01)
    assert found["1.jpg"] == found["2.jpg"] == [("cat", [10, 10, 50, 20])]
    assert found["3.jpg"] == []
    assert any(note.startswith("boxes turned by the attribute rotation") for note in splits.notes)
    [line] = messages(splits)
    assert line.startswith("3.xml:1: the object 'cat' has angle")


def test_via_prefers_an_attribute_that_means_a_class(root: Path) -> None:
    shape = {"name": "rect", "x": 10, "y": 10, "width": 40, "height": 10}
    regions = [{"shape_attributes": shape, "region_attributes": {"name": "bob", "type": "cat"}}]
    rows = {f"{i}.jpg1": {"filename": f"{i}.jpg", "size": 1, "regions": regions} for i in range(2)}
    (root / "via.json").write_text(json.dumps(rows))
    splits = read(ToolJson(), root)
    assert splits.classes == ("cat",)
    assert any("its attribute type (it also has name)" in note for note in splits.notes)
    assert read(ToolJson(label="name"), root).classes == ("bob",)


def test_several_ticked_classes_of_via_are_said(root: Path) -> None:
    shape = {"name": "rect", "x": 10, "y": 10, "width": 40, "height": 10}
    ticked = [{"cat": True, "dog": True}, {"cat": False, "dog": True}, {"cat": False}]
    regions = [{"shape_attributes": shape, "region_attributes": {"animal": each}} for each in ticked]
    rows = {"0.jpg1": {"filename": "0.jpg", "size": 1, "regions": regions}}
    (root / "via.json").write_text(json.dumps(rows))
    splits = read(ToolJson(), root)
    assert contents(splits)["train"]["0.jpg"] == [("dog", [10, 10, 50, 20])]
    assert [line.partition(" (")[0] for line in messages(splits)] == [
        "via.json: 0.jpg, region 1: it has 2 classes, cat, dog, and a box has one",
        "via.json: 0.jpg, region 3: it has no class",
    ]


def test_shapes_of_one_group_in_labelme_are_one_object(root: Path) -> None:
    def shape(label: str, left: int, top: int, group: int | None) -> dict[str, Any]:
        points = [[left, top], [left + 10, top], [left + 10, top + 10]]
        return {"label": label, "points": points, "group_id": group, "shape_type": "polygon", "flags": {}}

    shapes = [
        shape("cat", 0, 0, None),
        shape("cat", 40, 40, 1),
        shape("dog", 10, 10, 1),
        shape("cat", 60, 20, 1),
        shape("cat", 80, 0, 0),
        shape("cat", 20, 0, None),
    ]
    size = {"imageHeight": HEIGHT, "imageWidth": WIDTH}
    document = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": "0.jpg", "imageData": None, **size}
    (root / "0.json").write_text(json.dumps(document))
    splits = read(ToolJson(), root)
    assert contents(splits)["train"]["0.jpg"] == [
        ("cat", [0, 0, 10, 10]),
        ("cat", [40, 20, 70, 50]),
        ("dog", [10, 10, 20, 20]),
        ("cat", [80, 0, 90, 10]),
        ("cat", [20, 0, 30, 10]),
    ]
    assert "1 object drawn in several shapes of one group_id: the box around all of them is taken" in splits.notes


def test_vott_says_which_images_have_no_region(root: Path) -> None:
    box = {"left": 10, "top": 10, "width": 40, "height": 10}
    assets = {}
    for number, state in enumerate([2, 1, 0]):
        regions = [{"id": "r", "type": "RECTANGLE", "tags": ["cat"], "boundingBox": box}] if state == 2 else []
        assets[str(number)] = {"asset": {"name": f"{number}.jpg", "state": state}, "regions": regions}
    (root / "vott.json").write_text(json.dumps({"name": "set", "tags": [], "assets": assets}))
    splits = read(ToolJson(), root)
    assert contents(splits)["train"] == {"0.jpg": [("cat", [10, 10, 50, 20])], "1.jpg": []}
    assert "1 image looked at in VoTT, without a region: taken as without objects" in splits.notes
    assert "left out: 1 image that nobody has looked at in VoTT" in splits.notes


def test_labels_of_fiftyone_that_name_no_class_are_problems(root: Path) -> None:
    box = [0.1, 0.1, 0.4, 0.4]
    labels = {str(i): [{"label": each, "bounding_box": box}] for i, each in enumerate([1, -1, 7, True])}
    (root / "labels.json").write_text(json.dumps({"classes": ["cat", "dog"], "labels": labels}))
    splits = read(ToolJson(), root)
    assert splits.classes == ("dog",)
    assert contents(splits)["train"]["0.jpg"] == [("dog", [10, 8, 50, 40])]
    assert [line.split(": ", 2)[2] for line in messages(splits)] == [
        "its label is -1, but there are names for 0 to 1 (mend or remove it, or draw a box)",
        "its label is 7, but there are names for 0 to 1 (mend or remove it, or draw a box)",
        "its class is True, which is no name (mend or remove it, or draw a box)",
    ]


@pytest.mark.parametrize(
    ("categories", "said"),
    [
        ([{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}], r"two categories have the id 1, 'cat' and 'dog'"),
        ([{"id": 1, "name": None}], "the category with the id 1 has the name None"),
        ([{"id": 1, "name": True}], "the category with the id 1 has the name True"),
    ],
)
def test_categories_that_name_no_one_class_are_refused(root: Path, categories: Any, said: str) -> None:
    coco(root / "c.json", ["0.jpg"], [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]}], categories)
    with pytest.raises(UserError, match=said):
        read(CocoJson(), root)


def yolo(root: Path, *numbers: int) -> None:
    for name, number in enumerate(numbers):
        image(root / f"images/{name}.jpg", WIDTH, HEIGHT)
        (root / "labels").mkdir(exist_ok=True)
        (root / f"labels/{name}.txt").write_text(f"{number} .5 .5 .2 .2\n")


def test_an_empty_line_among_the_names_of_classes_is_refused(tmp_path: Path) -> None:
    yolo(tmp_path, 0, 2)
    (tmp_path / "classes.txt").write_text("cat\n\ndog\nbird\n")
    with pytest.raises(UserError, match=r"classes\.txt:2: an empty line before other names: is it class 1"):
        read(YoloTxt(), tmp_path)
    (tmp_path / "classes.txt").write_text("cat\ndog\nbird\n\n \n")
    assert contents(read(YoloTxt(), tmp_path))["train"]["1.jpg"][0][0] == "bird"
    (tmp_path / "classes.txt").write_text("cat\n\ndog\nbird\n")
    (tmp_path / "data.yaml").write_text("train: images\nnames: [cat, dog, bird]\n")
    assert contents(read(YoloTxt(), tmp_path))["train"]["1.jpg"][0][0] == "bird"


def test_names_in_a_yaml_are_the_texts_that_are_written(tmp_path: Path) -> None:
    yolo(tmp_path, *range(8))
    names = ("no", "yes", "on", "1.10", "007", "null", "12:30", "~")
    (tmp_path / "data.yaml").write_text(f"train: images\nnames: [{', '.join(names)}]\n")
    splits = read(YoloTxt(), tmp_path)
    assert splits.classes == names
    assert [boxes[0][0] for boxes in contents(splits)["train"].values()] == list(names)
    mapping = "".join(f"  {number}: {name}\n" for number, name in enumerate(names))
    (tmp_path / "data.yaml").write_text(f"train: images\nnames:\n{mapping}")
    assert read(YoloTxt(), tmp_path).classes == names


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("data.yaml", "train: images\nnames: [cat, dog, cat]\n", "classes 0 and 2 both have the name 'cat'"),
        ("classes.txt", "cat\ndog\ncat\n", "classes 0 and 2 both have the name 'cat'"),
        ("data.yaml", "train: images\nnames:\n- cat\n-\n- dog\n", "class 1 has no name"),
        ("data.yaml", "train: images\nnames: [cat, [dog]]\n", "the name of class 1 is a list"),
        ("data.yaml", "train: images\nnames: {0: cat, 00: dog}\n", "class 0 stands there twice"),
    ],
)
def test_names_of_classes_that_do_not_tell_them_apart_are_refused(
    tmp_path: Path, file: str, content: str, said: str
) -> None:
    yolo(tmp_path, 0, 1)
    (tmp_path / file).write_text(content)
    with pytest.raises(UserError, match=said):
        read(YoloTxt(), tmp_path)


def test_a_yaml_in_another_encoding_is_refused(tmp_path: Path) -> None:
    yolo(tmp_path, 0)
    (tmp_path / "data.yaml").write_text("train: images\nnames: [狗]\n", encoding="gb2312")
    with pytest.raises(UserError, match=r"data\.yaml: is not UTF-8"):
        read(YoloTxt(), tmp_path)


# Classes of whole images.


def choice(*labels: str, name: str = "label", tag: str = "image") -> dict[str, Any]:
    return {"id": "1", "type": "choices", "from_name": name, "to_name": tag, "value": {"choices": list(labels)}}


def classes_of(root: Path, form: Auto | ToolJson | Csv | None = None) -> dict[str, str]:
    splits = (form or Auto()).read(root=root, kind="class", channels=3, seed=0)
    assert splits.train is not None
    targets = splits.train.targets.tolist()
    return {Path(splits.train.name(at)).name: splits.classes[target] for at, target in enumerate(targets)}


PETS = {"0.jpg": "cat", "1.jpg": "dog", "2.jpg": "cat"}


def test_choices_of_label_studio_are_classes(root: Path) -> None:
    skipped, unseen = (
        task(3, done(choice("dog"), was_cancelled=True)),
        {**task(3), "predictions": [done(choice("cat"))]},
    )
    studio(root, *(task(at, done(choice(label))) for at, label in enumerate(PETS.values())), skipped, unseen)
    assert classes_of(root) == PETS
    notes = Auto().read(root=root, kind="class", channels=3, seed=0).notes
    assert notes[0] == "data=auto took the format tool_json, since export.json says what images show"
    assert "left out: 1 task skipped by the annotator" in notes
    assert "left out: 1 task with predictions only" in notes
    with pytest.raises(UserError, match=r"these are classes \(the json export\.json\): task=classification"):
        read(Auto(), root)


def test_an_image_with_several_choices_is_refused_and_one_with_none_a_problem(root: Path) -> None:
    studio(
        root, task(0, done(choice("cat"))), task(1, done()), task(2, done(choice("dog"))), task(3, done(choice("dog")))
    )
    splits = Auto().read(root=root, kind="class", channels=3, seed=0)
    assert messages(splits) == ["export.json: task 2: no class is chosen (choose one, or remove it)"]
    studio(root, task(0, done(choice("cat"))), task(1, done(choice("cat", "dog"))))
    with pytest.raises(UserError, match=r"export\.json: task 2: 2 classes are chosen, cat, dog; an image has one"):
        classes_of(root)


def test_of_several_choices_the_class_is_asked_for(root: Path) -> None:
    rows = [task(at, done(choice("good", name="quality"), choice(label))) for at, label in enumerate(PETS.values())]
    studio(root, *rows)
    with pytest.raises(UserError, match=r"which of its choices is the class\? It has quality, label: name one with"):
        classes_of(root)
    assert classes_of(root, ToolJson(label="label")) == PETS


def test_choices_beside_regions_are_read_where_they_are_asked_for(root: Path) -> None:
    studio(root, *(task(at, done(region(), choice(label))) for at, label in enumerate(PETS.values())))
    with pytest.raises(UserError, match=r"these are boxes .*: task=detection"):
        classes_of(root)
    assert classes_of(root, ToolJson()) == PETS


def test_other_exports_of_label_studio_with_choices(root: Path) -> None:
    paths = [f"/data/upload/1/0a1b2c3d-{at}.jpg" for at in range(3)]
    beside = {"annotator": 1, "annotation_id": 1, "created_at": "2024-01-01", "lead_time": 1.5}
    said = list(zip(paths, PETS.values(), strict=True))
    rows = [{"image": path, "id": at, "choice": label, **beside} for at, (path, label) in enumerate(said)]
    (root / "min.json").write_text(json.dumps(rows))
    assert classes_of(root) == PETS
    (root / "min.json").unlink()
    lines = [f"1,1,{label},2024,{at},{path}" for at, (path, label) in enumerate(said)]
    (root / "export.csv").write_text("\n".join(["annotation_id,annotator,choice,created_at,id,image", *lines, ""]))
    assert classes_of(root) == PETS
    assert classes_of(root, Csv()) == PETS


def test_classes_of_fiftyone(root: Path) -> None:
    labels = {"0": 0, "1": 1, "2": 0, "3": None}
    (root / "labels.json").write_text(json.dumps({"classes": ["cat", "dog"], "labels": labels}))
    assert classes_of(root) == PETS
    splits = Auto().read(root=root, kind="class", channels=3, seed=0)
    assert messages(splits) == ["labels.json: 3: it has no class (choose one, or remove it)"]
    with pytest.raises(UserError, match=r"these are classes \(the json labels\.json\): task=classification"):
        read(Auto(), root)


def test_a_corrected_prelabelling_of_classes_comes_back(root: Path) -> None:
    for at in range(3):  # in folders, which are no classes
        (root / "photos" / str(at)).mkdir(parents=True)
        (root / f"{at}.jpg").rename(root / "photos" / str(at) / f"{at}.jpg")
    images = [AnnotatedImage(f"{at}/{at}.jpg", (HEIGHT, WIDTH), {"label": "dog", "score": 0.6}, 0.6) for at in range(3)]
    answer = Classes(classes=("cat", "dog"), decision={}, facts={})
    file = write_annotations("label-studio", images, root, answer=answer, model="m", top=root / "photos")
    with pytest.raises(UserError, match=r"label_studio\.json is the json of Label Studio with predictions only"):
        ToolJson().read(root=root, kind="boxes", channels=3, seed=0)
    tasks = json.loads(file.read_text())
    for each in tasks:
        [predicted] = each["predictions"]
        name = each["data"]["image"].rpartition("/")[2]
        result = [{**predicted["result"][0], "value": {"choices": [PETS[name]]}}]
        each["annotations"] = [done(*result)]
    file.write_text(json.dumps(tasks))
    assert classes_of(root) == PETS
