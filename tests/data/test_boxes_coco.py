from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilevision.data.formats import Auto, Coco, CocoJson
from mobilevision.data.records import Splits
from mobilevision.errors import UserError

from .box_files import boxes, coco, contents, image, messages, read

CAT = {"image_id": 1, "category_id": 3, "bbox": [1, 2, 10, 20]}
DOG = {"image_id": 2, "category_id": 7, "bbox": [4, 5, 6, 7]}
READ = {"1.jpg": [("cat", [1, 2, 11, 22])], "2.jpg": [("dog", [4, 5, 10, 12])]}


def official(root: Path) -> None:
    for split in ("train2017", "val2017"):
        coco(root / f"annotations/instances_{split}.json", ["1.jpg", "2.jpg"], [CAT, DOG])
        coco(root / f"annotations/person_keypoints_{split}.json", ["1.jpg", "2.jpg"], [CAT])
        for name in ("1.jpg", "2.jpg"):
            image(root / split / name)


def official_with_images(root: Path) -> None:
    official(root)
    (root / "images").mkdir()
    for split in ("train2017", "val2017"):
        (root / split).rename(root / "images" / split)


def exported(root: Path) -> None:
    for split in ("train", "valid"):
        coco(root / split / "_annotations.coco.json", ["1.jpg", "2.jpg"], [CAT, DOG])
        for name in ("1.jpg", "2.jpg"):
            image(root / split / name)


def paths_of_another_machine(root: Path) -> None:
    for split in ("train", "val"):
        names = [f"C:\\photos\\{split}\\{i}.jpg" for i in (1, 2)]
        coco(root / f"{split}.json", names, [CAT, DOG])
        for name in ("1.jpg", "2.jpg"):
            image(root / "images" / split / name)


@pytest.mark.parametrize("layout", [official, official_with_images, exported, paths_of_another_machine])
def test_layouts_with_splits(layout: object, tmp_path: Path) -> None:
    layout(tmp_path)  # type: ignore[operator]
    for form in (CocoJson(), Auto()):
        splits = read(form, tmp_path)
        assert contents(splits) == {"train": READ, "val": READ}
        assert not splits.whole
        assert not splits.problems
    assert "data=auto took the format coco_json" in splits.notes


@pytest.mark.parametrize("where", ["", "images", "../images"])
def test_one_json_is_one_split(where: str, tmp_path: Path) -> None:
    root = tmp_path / "labels"
    file = coco(root / "export.json", ["1.jpg", "2.jpg"], [CAT, DOG])
    for name in ("1.jpg", "2.jpg"):
        image(root / where / name)
    for place in (root, file):
        splits = read(CocoJson(), place)
        assert contents(splits) == {"train": READ}
        assert splits.whole


def test_files_and_images_named_by_hand(tmp_path: Path) -> None:
    coco(tmp_path / "a.json", ["1.jpg", "2.jpg"], [CAT, DOG])
    coco(tmp_path / "b.json", ["3.jpg", "4.jpg"], [CAT, DOG])
    with pytest.raises(UserError, match=r"train may be any of a\.json, b\.json: choose with data\.format\.train=FILE"):
        read(CocoJson(), tmp_path)
    with pytest.raises(UserError, match=r"none of its images is found \(1\.jpg, for one.*data\.format\.images=FOLDER"):
        read(CocoJson(train="a.json", test="b.json"), tmp_path)
    with pytest.raises(UserError, match=r"data\.format\.train=c\.json: no such file"):
        read(CocoJson(train="c.json"), tmp_path)
    for i in range(1, 5):
        image(tmp_path / "photos of mine" / f"{i}.jpg")
    for images in ("photos of mine", str(tmp_path / "photos of mine")):
        splits = read(CocoJson(train="a.json", test="b.json", images=images), tmp_path)
        assert list(contents(splits)) == ["train", "test"]


def test_classes_are_all_of_the_file_whatever_their_ids(tmp_path: Path) -> None:
    names = [{"id": 90, "name": "owl"}, {"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]
    for split, ids in (("train", (3, 7, 90)), ("val", (12, 30, 31))):
        categories = [{"id": i, "name": name} for i, name in zip(ids, ("cat", "dog", "owl"), strict=True)]
        rows = [{"image_id": 1, "category_id": ids[2], "bbox": [0, 0, 9, 9]}]
        coco(tmp_path / split / "a.json", ["1.jpg"], rows, names if split == "train" else categories)
        image(tmp_path / split / "1.jpg")
    splits = read(CocoJson(), tmp_path)
    assert splits.classes == ("cat", "dog", "owl")
    assert contents(splits) == {split: {"1.jpg": [("owl", [0, 0, 9, 9])]} for split in ("train", "val")}


def test_an_exporters_category_above_all_is_no_class(tmp_path: Path) -> None:
    categories = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 1, "name": "cat", "supercategory": "pets"},
        {"id": 2, "name": "dog", "supercategory": "pets"},
    ]
    coco(tmp_path / "a.json", ["1.jpg"], [{**CAT, "category_id": 2}], categories)
    image(tmp_path / "1.jpg")
    assert read(CocoJson(), tmp_path).classes == ("cat", "dog")


def test_crowds_areas_and_negatives(tmp_path: Path) -> None:
    rows = [{**CAT, "iscrowd": 1, "area": 55.5}, {**CAT, "bbox": [0, 0, 3, 4]}]
    coco(tmp_path / "a.json", ["1.jpg", "empty.jpg"], rows)
    for name in ("1.jpg", "empty.jpg"):
        image(tmp_path / name)
    splits = read(CocoJson(), tmp_path)
    first = boxes(splits.train, 0)
    assert first.crowd.tolist() == [True, False]
    assert first.area.tolist() == [55.5, 12]
    assert len(boxes(splits.train, 1)) == 0
    assert splits.notes[-1] == "train: 2 images, 2 boxes, 1 of them crowd, 1 image without any"


def test_what_is_wrong_is_named_by_file_and_annotation(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        CAT,
        {**CAT, "bbox": [5, 5, 0, 9]},
        {**CAT, "bbox": [9, 9, -4, -4]},
        {**CAT, "bbox": [70, 5, 9, 9]},
        {**CAT, "bbox": [60, 40, 10, 4]},
        {**CAT, "bbox": [float("nan"), 5, 9, 9]},
        {**CAT, "bbox": [1, 2, 3]},
        {**CAT, "bbox": ["a", 2, 3, 4]},
        {**CAT, "category_id": 4},
        {**CAT, "image_id": 99},
        CAT,
        {**DOG, "bbox": [60, 40, 4.9, 8]},
        {**CAT, "image_id": 3},
    ]
    coco(tmp_path / "a.json", ["1.jpg", "2.jpg", "gone.jpg"], rows)
    for name in ("1.jpg", "2.jpg"):
        image(tmp_path / name)
    splits = read(CocoJson(), tmp_path)
    by_id = {problem.where.removeprefix("a.json: annotation "): problem for problem in splits.problems}
    says = {where: f"{problem.what} ({problem.fix})" for where, problem in by_id.items()}
    assert says == {
        "102": "box (5, 5, 5, 14) has no area (draw it anew or remove it)",
        "103": "box (9, 9, 5, 5) has its corners swapped, or a negative size (write left < right and top < bottom)",
        "104": "box (70, 5, 79, 14) lies outside the image of 64 x 48 pixels (mend its numbers or remove it)",
        "105": "box (60, 40, 70, 44) reaches 6 pixels beyond the image of 64 x 48 pixels"
        " (mend its numbers; skipping clips it)",
        "106": "bbox is [nan, 5, 9, 9], not four finite numbers x, y, width, height (mend or remove it)",
        "107": "bbox is [1, 2, 3], not four finite numbers x, y, width, height (mend or remove it)",
        "108": "bbox is ['a', 2, 3, 4], not four finite numbers x, y, width, height (mend or remove it)",
        "109": "no category has the id 4 (add it or mend the id)",
        "110": "no image has the id 99 (add the image or remove it)",
        "111": "box (1, 2, 11, 22) of class 'cat' repeats a.json: annotation 101 (keep one of them)",
        "a.json: image 3": f"no image {tmp_path / 'gone.jpg'}, of 1 box (mend the name or remove the annotation)",
    }
    assert by_id["105"].box == (60, 40, 70, 44)
    assert by_id["109"].box == (1, 2, 11, 22)
    assert by_id["106"].box is None
    assert all(by_id[each].image == str(tmp_path / "1.jpg") for each in ("102", "105", "108", "109", "111"))
    left = contents(splits)["train"]
    assert left == {
        "1.jpg": [("cat", [1, 2, 11, 22]), ("cat", [60, 40, 64, 44])],
        "2.jpg": [("dog", [60, 40, 64, 48])],
    }
    assert any(note.startswith("1 box reached up to a pixel beyond") for note in splits.notes)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"images": [],\n"annotations": [{"id": 1,}]}', r"a\.json:2: broken json \(line 2, column 26: .*\): mend it"),
        ('{"images": [{"id": 1, "file', r"a\.json:1: broken json"),
        ('{"images": [], "categories": []}', r"needs a list of objects 'annotations'.*it has images, categories"),
        ('[{"images": 1, "annotations": 2}]', r"a\.json: is not COCO's json"),
        ('{"images": [{"id": 1}, {"id": 1}], "annotations": [], "categories": []}', "image id 1 .* stands twice"),
        ('{"images": [{"id": [1]}], "annotations": [], "categories": []}', "an id is neither a number nor a text"),
        ('{"images": [], "annotations": [], "categories": []}', "no usable box"),
    ],
)
def test_a_json_that_cannot_be_read(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=says) as caught:
        read(CocoJson(), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_json_of_something_else_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"name": "x"}')
    image(tmp_path / "1.jpg")
    assert not CocoJson().claims(tmp_path)
    with pytest.raises(UserError, match=r"no json of COCO's format in it; it should be a folder with annotations/"):
        read(CocoJson(), tmp_path)


def named_set(root: Path) -> None:
    coco(root / "annotations/instances_train2017.json", ["1.jpg", "2.jpg"], [CAT, DOG, CAT])
    path = coco(root / "annotations/instances_val2017.json", ["3.jpg", "4.jpg"], [CAT, DOG])
    document = json.loads(path.read_text())
    for row in (*document["images"], *document["annotations"]):
        key = "image_id" if "image_id" in row else "id"
        row[key] += 2
    path.write_text(json.dumps(document))
    for split, names in (("train2017", "12"), ("val2017", "34")):
        for name in names:
            image(root / split / f"{name}.jpg")


def test_coco_plain_and_by_a_list_of_ids(tmp_path: Path) -> None:
    named_set(tmp_path)
    plain = contents(read(Coco(), tmp_path))
    assert {split: list(found) for split, found in plain.items()} == {
        "train": ["1.jpg", "2.jpg"],
        "val": ["3.jpg", "4.jpg"],
    }
    assert len(plain["train"]["1.jpg"]) == 2, "a repeated box of the published files stays"
    (tmp_path / "ids.txt").write_text("2\n\n3\n77\n")
    splits = read(Coco(minival=str(tmp_path / "ids.txt")), tmp_path)
    assert {split: list(found) for split, found in contents(splits).items()} == {
        "train": ["1.jpg", "4.jpg"],
        "val": ["2.jpg", "3.jpg"],
        "test": ["2.jpg", "3.jpg"],
    }
    assert contents(splits)["val"] == {"2.jpg": READ["2.jpg"], "3.jpg": READ["1.jpg"]}
    assert [problem.where for problem in splits.problems] == ["ids.txt:4"]
    assert "data=auto took the format coco_json" in read(Auto(), tmp_path).notes


def test_coco_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"no file annotations/instances_train2017\.json.*annotations_trainval2017\.zip"
    ):
        read(Coco(), tmp_path)
    named_set(tmp_path)
    for text, says in (("99\n", "lists 0 of the 4 images"), ("1\n2\n3\n4\n", "lists 4 of the 4")):
        (tmp_path / "ids.txt").write_text(text)
        with pytest.raises(UserError, match=says):
            read(Coco(minival=str(tmp_path / "ids.txt")), tmp_path)
    with pytest.raises(UserError, match="no such file; it should hold image ids"):
        read(Coco(minival="gone.txt"), tmp_path)


def test_boxes_equal_those_of_pycocotools(shared_data: Path) -> None:
    pycocotools = pytest.importorskip("pycocotools.coco")
    splits = read(CocoJson(), shared_data / "tinycoco")
    assert not splits.problems
    assert len(splits.classes) == 80
    for split, records in splits.items():
        truth = pycocotools.COCO(str(shared_data / f"tinycoco/annotations/instances_{split}2017.json"))
        names = [each["name"] for each in truth.loadCats(sorted(truth.getCatIds()))]
        assert tuple(names) == splits.classes
        assert len(records) == len(truth.imgs)
        for i in range(len(records)):
            rows = truth.loadAnns(truth.getAnnIds(int(Path(records.name(i)).stem)))
            mine = boxes(records, i)
            corners = np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4)
            corners[:, 2:] += corners[:, :2]
            np.testing.assert_allclose(mine.boxes, corners, atol=1e-9)
            assert [splits.classes[label] for label in mine.labels] == [
                truth.cats[row["category_id"]]["name"] for row in rows
            ]
            assert mine.crowd.tolist() == [bool(row["iscrowd"]) for row in rows]
            assert mine.area.tolist() == [row["area"] for row in rows]


def test_tinycoco_has_what_its_readme_says(shared_data: Path) -> None:
    splits = read(Auto(), shared_data / "tinycoco")
    held = [records.targets for _, records in splits.items()]
    assert [len(each) for each in held] == [32, 6]
    assert [len(each.all) for each in held] == [288, 136]
    assert sum(int(each.all.crowd.sum()) for each in held) == 5
    assert sum(int((np.diff(each.offsets) == 0).sum()) for each in held) == 2
    sides = np.concatenate([each.all.boxes[:, 2:] - each.all.boxes[:, :2] for each in held])
    assert int((sides.min(axis=1) < 4).sum()) == 9
    assert not messages(splits)


def test_objects_need_no_boxes(tmp_path: Path) -> None:
    """Annotations as they stand, whose images are there and lie as they were annotated."""
    rows = [
        {"image_id": 1, "category_id": 3, "keypoints": [1, 2, 2], "segmentation": [[1, 2, 3, 4, 5, 6]]},
        {"image_id": 2, "category_id": 3, "keypoints": [3, 4, 2]},
        {"image_id": 9, "category_id": 3, "keypoints": [5, 6, 2]},
        {"image_id": 1, "category_id": 3},
        {"image_id": 3, "category_id": 3, "keypoints": [7, 8, 2]},
    ]
    for name in ("instances_train.json", "person_keypoints_train.json"):
        coco(tmp_path / "annotations" / name, ["1.jpg", "2.jpg", "3.jpg"], rows if "key" in name else [CAT])
    exif = Image.Exif()
    exif[0x0112] = 6
    image(tmp_path / "train" / "1.jpg")
    image(tmp_path / "train" / "2.jpg", exif=exif)
    splits = Splits()
    found = CocoJson().objects(tmp_path, lambda row, _: row.get("keypoints"), splits, named=("person_keypoints",))
    (objects,) = found.values()
    assert (objects.called, objects.objects, objects.owner.tolist()) == (
        "annotations/person_keypoints_train.json",
        [[1, 2, 2]],
        [0],
    )
    assert objects.sizes.tolist() == [[48, 64]]
    said = " ".join(messages(splits))
    assert "annotation 103: no image has the id 9" in said
    assert "image 2: annotated without the rotation that its EXIF data asks for (save the image upright)" in said
    assert "no image" in said
    assert splits.whole is False
