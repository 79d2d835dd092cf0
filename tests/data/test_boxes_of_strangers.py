"""Boxes as strangers have them: odd flags, units, encodings, paths, lists; read right, or refused with the reason."""

from __future__ import annotations

import codecs
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilevision.data import DataModule
from mobilevision.data.formats import Auto, BoxesCsv, CocoJson, VocXml, YoloTxt
from mobilevision.data.formats.annotations import coco_file
from mobilevision.data.formats.annotations.image_lookup import ImageIndex, local
from mobilevision.data.formats.annotations.raw import flag
from mobilevision.errors import UserError

from .box_files import HEIGHT, WIDTH, boxes, coco, contents, image, messages, read, voc

CAT = {"image_id": 1, "category_id": 3, "bbox": [1, 2, 10, 20]}
DOG = {"image_id": 2, "category_id": 7, "bbox": [4, 5, 6, 7]}
READ = {"1.jpg": [("cat", [1, 2, 11, 22])], "2.jpg": [("dog", [4, 5, 10, 12])]}
HEAD = "filename,class,xmin,ymin,xmax,ymax\n"


def two(root: Path) -> None:
    for name in ("1.jpg", "2.jpg"):
        image(root / name)


@pytest.mark.parametrize("value", [0, 0.0, "0", "false", "False", [0], False, None, "", "no"])
def test_iscrowd_that_says_no(value: Any, tmp_path: Path) -> None:
    coco(tmp_path / "a.json", ["1.jpg", "2.jpg"], [{**CAT, "iscrowd": value}, DOG])
    two(tmp_path)
    splits = read(Auto(), tmp_path)
    assert contents(splits) == {"train": READ}
    assert boxes(splits.train, 0).crowd.tolist() == [False]
    assert not splits.problems


@pytest.mark.parametrize("value", [1, 1.0, "1", "true", [1], True, "yes"])
def test_iscrowd_that_says_yes(value: Any, tmp_path: Path) -> None:
    coco(tmp_path / "a.json", ["1.jpg", "2.jpg"], [{**CAT, "iscrowd": value}, DOG])
    two(tmp_path)
    assert boxes(read(Auto(), tmp_path).train, 0).crowd.tolist() == [True]


def test_iscrowd_that_says_neither_is_a_problem(tmp_path: Path) -> None:
    coco(tmp_path / "a.json", ["1.jpg", "2.jpg"], [{**CAT, "iscrowd": "maybe"}, DOG])
    two(tmp_path)
    assert messages(read(Auto(), tmp_path)) == ["a.json: annotation 101: iscrowd is 'maybe', neither 0 nor 1 (mend it)"]
    assert flag("maybe") is None


def test_a_set_of_crowds_alone_stops(tmp_path: Path) -> None:
    coco(tmp_path / "a.json", ["1.jpg", "2.jpg"], [{**CAT, "iscrowd": 1}, {**DOG, "iscrowd": "1"}])
    two(tmp_path)
    with pytest.raises(UserError, match=r"nothing can be learnt: all .* training boxes are marked as crowds"):
        DataModule(format=Auto(), kind="boxes", root=str(tmp_path), workers=0, val_fraction=0.5).setup_data()


def spread(n: int = 24) -> list[list[float]]:
    """Boxes all over images of 640 x 480 pixels, (left, top, right, bottom)."""
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 0.7, (n, 2))
    corners = np.concatenate([start, start + rng.uniform(0.1, 0.3, (n, 2))], axis=1)
    return np.round(corners * [640, 480, 640, 480], 3).tolist()


def scaled(box: list[float], side: float) -> list[float]:
    return [each * side / whole for each, whole in zip(box, (640, 480) * 2, strict=True)]


@pytest.mark.parametrize(("unit", "side"), [("fractions", 1), ("percent", 100), ("pixels", 0)])
@pytest.mark.parametrize("kind", ["coco", "voc", "csv", "yolo"])
def test_units_are_recognised_for_the_whole_set(kind: str, unit: str, side: int, tmp_path: Path) -> None:
    for i in range(4):
        image(tmp_path / f"{i}.jpg", 640, 480)
    rows = [(i % 4, scaled(box, side) if side else box) for i, box in enumerate(spread())]
    if kind == "coco":
        given = [{"image_id": i + 1, "category_id": 3, "bbox": [a, b, c - a, d - b]} for i, (a, b, c, d) in rows]
        coco(tmp_path / "a.json", [f"{i}.jpg" for i in range(4)], given, width=640, height=480)
    elif kind == "voc":
        for i in range(4):
            own = ["cat " + " ".join(map(repr, box)) for j, box in rows if j == i]
            voc(tmp_path / f"{i}.xml", *own, size=(640, 480))
    elif kind == "csv":
        text = "".join(f"{i}.jpg,cat,{','.join(map(repr, box))}\n" for i, box in rows)
        (tmp_path / "a.csv").write_text(HEAD + text)
    else:
        (tmp_path / "classes.txt").write_text("cat\n")
        for i in range(4):
            own = [(a + c, b + d, c - a, d - b) for j, (a, b, c, d) in rows if j == i]
            (tmp_path / f"{i}.txt").write_text("".join(f"0 {x / 2} {y / 2} {w} {h}\n" for x, y, w, h in own))
    splits = read(Auto(), tmp_path)
    assert not splits.problems
    found = [boxes(splits.train, i).boxes for i in range(4)]
    wanted = [np.array([box for j, box in enumerate(spread()) if j % 4 == i]) for i in range(4)]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    usual = "fractions" if kind == "yolo" else "pixels"
    notes = [note for note in splits.notes if note.startswith("the boxes are in")]
    said_ = "the boxes are in pixels" if unit == "pixels" else f"the boxes are in {unit} of the images"
    assert notes == ([] if unit == usual else [said_])


def test_small_boxes_of_one_image_do_not_make_fractions(tmp_path: Path) -> None:
    rows = [{**CAT, "bbox": [0, 0, 1, 1]}, DOG]
    coco(tmp_path / "a.json", ["1.jpg", "2.jpg"], rows)
    two(tmp_path)
    assert contents(read(Auto(), tmp_path))["train"] == {**READ, "1.jpg": [("cat", [0, 0, 1, 1])]}


def test_units_that_a_user_names_are_taken(tmp_path: Path) -> None:
    coco(tmp_path / "a.json", ["1.jpg"], [{**CAT, "bbox": [0.5, 0.5, 0.5, 0.5]}])
    two(tmp_path)
    assert contents(read(CocoJson(units="pixels"), tmp_path))["train"] == {"1.jpg": [("cat", [0.5, 0.5, 1, 1])]}
    whole = contents(read(CocoJson(units="percent"), tmp_path))["train"]["1.jpg"]
    assert whole == [("cat", [0.32, 0.24, 0.64, 0.48])]
    with pytest.raises(UserError, match=r"data\.format\.units=inches: null or one of pixels, fractions, percent"):
        YoloTxt(units="inches")


def test_several_boxes_of_one_object(tmp_path: Path) -> None:
    image(tmp_path / "1.jpg")
    path = voc(tmp_path / "1.xml", "cat 1 2 11 22")
    second = "<bndbox><xmin>30</xmin><ymin>3</ymin><xmax>40</xmax><ymax>9</ymax></bndbox></object>"
    path.write_text(path.read_text().replace("</object>", second))
    assert contents(read(VocXml(), tmp_path))["train"]["1.jpg"] == [("cat", [1, 2, 11, 22]), ("cat", [30, 3, 40, 9])]


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("gb2312", "GB2312"),
        ("gb18030", "gbk"),
        ("shift_jis", "Shift_JIS"),
        ("utf-16", "UTF-16"),
        ("utf-8-sig", "utf-8"),
    ],
)
def test_an_xml_in_the_encoding_that_it_declares(encoding: str, declared: str, tmp_path: Path) -> None:
    image(tmp_path / "1.jpg")
    image(tmp_path / "2.jpg")
    voc(tmp_path / "2.xml", "cat 1 2 11 22")
    path = voc(tmp_path / "1.xml", "犬 1 2 11 22")
    path.write_bytes(f'<?xml version="1.0" encoding="{declared}"?>{path.read_text()}'.encode(encoding))
    splits = read(VocXml(), tmp_path)
    assert contents(splits)["train"]["1.jpg"] == [("犬", [1, 2, 11, 22])]
    assert not splits.problems


@pytest.mark.parametrize(
    "head", ["", '<?xml version="1.0" encoding="utf-8"?>', '<?xml version="1.0" encoding="klingon"?>']
)
def test_an_xml_that_cannot_be_read_is_named_and_stops_no_other(head: str, tmp_path: Path) -> None:
    two(tmp_path)
    voc(tmp_path / "2.xml", "cat 1 2 11 22")
    path = voc(tmp_path / "1.xml", "方块 1 2 11 22")
    path.write_bytes((head + path.read_text()).encode("gb2312"))
    splits = read(VocXml(), tmp_path)
    assert contents(splits)["train"] == {"2.jpg": [("cat", [1, 2, 11, 22])]}
    (problem,) = messages(splits)
    assert problem.startswith("1.xml:1: " if "klingon" in head else "1.xml:3: ")
    assert "encoding" in problem


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_json_csv_and_txt_in_utf16_and_with_a_mark(encoding: str, tmp_path: Path) -> None:
    path = coco(tmp_path / "coco/a.json", ["1.jpg", "2.jpg"], [CAT, DOG])
    path.write_bytes(path.read_text().encode(encoding))
    (tmp_path / "csv").mkdir()
    rows = "1.jpg;cat;1;2;11;22\r\n2.jpg;dog;4;5;10;12\r\n"
    (tmp_path / "csv/a.csv").write_bytes((HEAD.replace(",", ";") + rows).encode(encoding))
    (tmp_path / "yolo").mkdir()
    (tmp_path / "yolo/classes.txt").write_bytes("cat\ndog\n".encode(encoding))
    (tmp_path / "yolo/1.txt").write_bytes(f"0 {6 / WIDTH} {12 / HEIGHT} {10 / WIDTH} {20 / HEIGHT}\n".encode(encoding))
    (tmp_path / "yolo/2.txt").write_bytes(f"1 {7 / WIDTH} {8.5 / HEIGHT} {6 / WIDTH} {7 / HEIGHT}\n".encode(encoding))
    for name in ("coco", "csv", "yolo"):
        two(tmp_path / name)
        splits = read(Auto(), tmp_path / name)
        assert contents(splits) == {"train": READ}
        assert not splits.problems


def test_class_names_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    two(tmp_path)
    (tmp_path / "a.csv").write_bytes((HEAD + "1.jpg,方块,1,2,11,22\n2.jpg,dog,4,5,10,12\n").encode("gb2312"))
    assert messages(read(BoxesCsv(), tmp_path)) == ["a.csv:2: the class is not text in UTF-8 (save the table as UTF-8)"]
    os.remove(tmp_path / "a.csv")
    (tmp_path / "1.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (tmp_path / "classes.txt").write_bytes("方块\n".encode("gb2312"))
    with pytest.raises(UserError, match=r"classes\.txt: is not UTF-8, so that names in it cannot be read: save it as"):
        read(YoloTxt(), tmp_path)


@pytest.mark.parametrize("column", ["cell_type", "kind", "tag", "object", "species", "Object Class"])
def test_a_class_column_by_another_usual_name(column: str, tmp_path: Path) -> None:
    two(tmp_path)
    (tmp_path / "a.csv").write_text(HEAD.replace("class", column) + "1.jpg,cat,1,2,11,22\n2.jpg,dog,4,5,10,12\n")
    assert contents(read(Auto(), tmp_path)) == {"train": READ}


def test_a_class_column_by_an_unknown_name_is_asked_for(tmp_path: Path) -> None:
    two(tmp_path)
    (tmp_path / "a.csv").write_text(
        "filename,what,who,xmin,ymin,xmax,ymax\n1.jpg,cat,me,1,2,11,22\n2.jpg,dog,me,4,5,10,12\n"
    )
    with pytest.raises(
        UserError, match=r"which of the columns what, who is the class\? Name it with data=boxes_csv data"
    ):
        read(Auto(), tmp_path)
    assert contents(read(BoxesCsv(label="what"), tmp_path)) == {"train": READ}
    splits = read(BoxesCsv(label="none"), tmp_path)
    assert splits.classes == ("object",)
    assert "a.csv has no column of classes: all boxes are of the class object" in splits.notes


def test_class_names_that_differ_in_case_or_blanks_only_are_said(tmp_path: Path) -> None:
    two(tmp_path)
    (tmp_path / "a.csv").write_text(HEAD + "1.jpg,Traffic Light,1,2,11,22\n2.jpg,traffic light,4,5,10,12\n")
    data = DataModule(format=Auto(), root=str(tmp_path), kind="boxes", workers=0, val_fraction=0.0)
    data.setup_data()
    assert any("classes 'Traffic Light' and 'traffic light' differ in case" in note for note in data.splits.notes)


def test_class_lists_of_two_folders_in_another_order_are_refused(tmp_path: Path) -> None:
    for split, names in (("train", "cat\ndog\n"), ("valid", "dog\ncat\n")):
        two(tmp_path / split)
        (tmp_path / split / "classes.txt").write_text(names)
        for name in ("1", "2"):
            (tmp_path / split / f"{name}.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(
        UserError, match=r"valid/classes\.txt names the classes dog, cat, but train/classes\.txt cat, dog"
    ):
        read(Auto(), tmp_path)
    (tmp_path / "data.yaml").write_text("train: train\nval: valid\nnames: [cat, dog]\n")
    assert "not used, as they name the classes otherwise: valid/classes.txt" in read(Auto(), tmp_path).notes
    (tmp_path / "data.yaml").write_text("train: [train\nnames: [cat, dog]\n")
    with pytest.raises(UserError, match=r"data\.yaml"):
        read(Auto(), tmp_path)


@pytest.mark.parametrize("top", ["", "SET", "a/SET"])
@pytest.mark.parametrize("at", [".", ".."])
def test_split_lists_beside_below_and_above_the_annotations(top: str, at: str, tmp_path: Path) -> None:
    folder = tmp_path / top
    two(folder / "JPEGImages")
    voc(folder / "Annotations/1.xml", "cat 1 2 11 22")
    voc(folder / "Annotations/2.xml", "cat 4 5 10 12")
    lists = (folder if at == "." or not top else folder / at) / "ImageSets/Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("1\n")
    (lists / "val.txt").write_bytes(codecs.BOM_UTF8 + b"2\r\n")
    splits = read(Auto(), tmp_path)
    assert {split: list(rows) for split, rows in contents(splits).items()} == {"train": ["1.jpg"], "val": ["2.jpg"]}


def test_lists_beside_the_root_are_said_to_be_unused(tmp_path: Path) -> None:
    root = tmp_path / "set"
    two(root)
    voc(root / "1.xml", "cat 1 2 11 22")
    voc(root / "2.xml", "cat 1 2 11 22")
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    (tmp_path / "ImageSets/Main/train.txt").write_text("1\n")
    assert any("not used" in note and "ImageSets/Main/train.txt" in note for note in read(Auto(), root).notes)


def test_a_root_that_is_too_high(tmp_path: Path) -> None:
    coco(tmp_path / "coco/a/b/labels.json", ["1.jpg", "2.jpg"], [CAT, DOG])
    two(tmp_path / "coco/a/b/data")
    assert contents(read(Auto(), tmp_path / "coco")) == {"train": READ}
    two(tmp_path / "yolo/a/b")
    (tmp_path / "yolo/a/b/1.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    (tmp_path / "yolo/a/b/classes.txt").write_text("cat\ndog\n")
    assert read(Auto(), tmp_path / "yolo").classes == ("cat", "dog")


def test_a_broken_json_of_val_is_a_problem_of_its_own(tmp_path: Path) -> None:
    coco(tmp_path / "train.json", ["1.jpg", "2.jpg"], [CAT, DOG])
    two(tmp_path)
    (tmp_path / "val.json").write_text('{"images": [')
    splits = read(Auto(), tmp_path)
    assert contents(splits) == {"train": READ}
    (problem,) = messages(splits)
    assert problem.startswith("val.json: 1: broken json (line 1")


def test_lists_beside_a_json_of_no_split_are_said_to_be_unused(tmp_path: Path) -> None:
    coco(tmp_path / "a.json", ["1.jpg", "2.jpg"], [CAT, DOG])
    two(tmp_path)
    (tmp_path / "train.txt").write_text("1.jpg\n")
    splits = read(Auto(), tmp_path)
    assert contents(splits) == {"train": READ}
    assert "lists seen and not used: train.txt" in splits.notes


def test_a_data_yaml_in_the_only_folder_of_the_root_is_seen(tmp_path: Path) -> None:
    two(tmp_path / "set/images")
    for name in ("1", "2"):
        (tmp_path / "set/labels").mkdir(exist_ok=True)
        (tmp_path / f"set/labels/{name}.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    (tmp_path / "set/data.yaml").write_text("train: images\nnames: [cat, dog]\n")
    splits = read(Auto(), tmp_path)
    assert splits.classes == ("cat", "dog")
    assert contents(splits)["train"]["1.jpg"] == [("dog", [16, 12, 48, 36])]


@pytest.mark.parametrize(
    "name",
    [
        "/mnt/me/set/images/{}/0.jpg",
        "D:\\set\\images\\{}\\0.jpg",
        "file:///mnt/set/images/{}/0.jpg",
        "https://host.example/set/images/{}/0.jpg?key=1",
        "images/{}/0.JPG",
        "s3://bucket/IMAGES/{}/0.jpg",
    ],
)
def test_paths_of_another_machine_match_by_their_longest_end(name: str, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        image(tmp_path / "images" / folder / "0.jpg")
    coco(tmp_path / "a.json", [name.format("a"), name.format("b")], [CAT, DOG])
    splits = read(Auto(), tmp_path)
    assert splits.train is not None
    names = {Path(splits.train.name(i)).relative_to(tmp_path).as_posix(): boxes(splits.train, i).labels for i in (0, 1)}
    assert {path: labels.tolist() for path, labels in names.items()} == {"images/a/0.jpg": [0], "images/b/0.jpg": [1]}


def test_a_name_that_may_be_two_images_is_an_error(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        image(tmp_path / "photos" / folder / "0.jpg")
    coco(tmp_path / "a.json", ["/mnt/0.jpg"], [CAT])
    with pytest.raises(UserError, match=r"/mnt/0\.jpg may be .*photos/a/0\.jpg or .*photos/b/0\.jpg"):
        read(Auto(), tmp_path)


def test_a_missing_image_is_not_taken_from_another_folder(tmp_path: Path) -> None:
    for i in range(5):
        image(tmp_path / f"images/{i}.jpg")
    image(tmp_path / "other/gone.jpg")
    coco(tmp_path / "a.json", [*(f"{i}.jpg" for i in range(5)), "gone.jpg"], [CAT, DOG])
    splits = read(Auto(), tmp_path)
    assert len(splits.train or ()) == 5
    assert "no image" in messages(splits)[0]


def test_addresses_and_tails() -> None:
    assert local(b"file:C:/a%20b/1.jpg") == b"C:/a b/1.jpg" or local(b"file:/a%20b/1.jpg") == b"/a b/1.jpg"
    assert local(b"/data/local-files/?d=set/1.jpg") == b"set/1.jpg"
    index = ImageIndex([b"a/1.jpg", b"b/1.jpg", b"b/2.png"])
    assert index.find(b"x/B/1.JPG") == [b"b/1.jpg"]
    assert index.find(b"1.jpg") == [b"a/1.jpg", b"b/1.jpg"]
    assert index.find(b"2") == [b"b/2.png"]
    assert index.find(b"0a1b2c3d-2.png") == [b"b/2.png"]
    assert index.find(b"3.png") == []


def test_one_broken_json_of_many_stops_no_other(tmp_path: Path) -> None:
    shape = {"label": "cat", "points": [[1, 2], [11, 22]], "shape_type": "rectangle"}
    for i in range(3):
        image(tmp_path / f"{i}.jpg")
        content = {
            "version": "5",
            "shapes": [shape],
            "imagePath": f"{i}.jpg",
            "imageHeight": HEIGHT,
            "imageWidth": WIDTH,
        }
        (tmp_path / f"{i}.json").write_text(json.dumps(content)[: 60 if i == 1 else None])
    splits = read(Auto(), tmp_path)
    assert list(contents(splits)["train"]) == ["0.jpg", "2.jpg"]
    assert len(splits.problems) == 1
    assert splits.problems[0].where == "1.json"


@pytest.mark.parametrize("block", [64, 200, 1 << 22])
def test_a_json_read_in_pieces_is_the_same(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Polygons, run lengths, texts that look like keys, and rows within rows, cut anywhere."""
    monkeypatch.setattr(coco_file, "BLOCK", block)
    monkeypatch.setattr(coco_file, "WINDOW", 3 * block)
    rows: list[dict[str, Any]] = []
    for i in range(60):
        polygon = [1.5 * j for j in range(i % 9 + 6)]
        kinds: list[Any] = [
            {"counts": [1, 2, i], "size": [9, 9]},
            [polygon],
            [polygon, polygon],
            [],
            [[]],
            [[polygon]],
            "]]",
        ]
        outline = kinds[i % len(kinds)]
        odd = {"note": 'a "segmentation": [[1, 2]] in é a text', "parts": [{"a": 1}, {"b": [{}, {}]}]}
        rows.append({"id": i, "segmentation": outline, "bbox": [i, 1, 2.5, 3], **(odd if i % 5 == 0 else {})})
    for indent in (None, 2):
        path = tmp_path / f"{indent}.json"
        path.write_text(json.dumps({"info": {"n": 1}, "annotations": rows, "images": [], "end": 12}, indent=indent))
        got: list[dict[str, Any]] = []
        found = coco_file.read_lists(path, "a", ("annotations",), partial(_extend, got))
        assert found == ["info", "annotations", "images", "end"]
        keys = [[(key, row[key]) for key in row if key not in ("segmentation", "")] for row in got]
        assert keys == [[(key, row[key]) for key in row if key != "segmentation"] for row in rows]


def _extend(got: list[dict[str, Any]], _: str, rows: list[dict[str, Any]]) -> None:
    got.extend(rows)


def test_another_ending_is_said(tmp_path: Path) -> None:
    two(tmp_path)
    (tmp_path / "boxes.csv").write_text(f"{HEAD}1.jpgg,cat,1,2,11,22\n2.jpg,dog,4,5,10,12\n")
    splits = read(BoxesCsv(), tmp_path)
    assert contents(splits) == {"train": READ}
    assert "1 annotated with another ending than the file's: 1.jpgg is taken for 1.jpg" in splits.notes


def test_a_folder_of_images_that_is_none_is_refused(tmp_path: Path) -> None:
    two(tmp_path)
    coco(tmp_path / "a.json", ["1.jpg", "2.jpg"], [CAT, DOG])
    with pytest.raises(UserError, match=r"data\.format\.images=imgs: there is no such folder, neither here nor in"):
        read(CocoJson(images="imgs"), tmp_path)
