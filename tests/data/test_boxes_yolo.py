from __future__ import annotations

import os
from pathlib import Path

import pytest

from mobilevision.data.formats import Auto, YoloTxt
from mobilevision.errors import UserError

from .box_files import contents, image, messages, read

# Of 64 x 48 pixels: (16, 12, 32, 36) and (0, 0, 64, 48).
ROW, WHOLE = "1 0.375 0.5 0.25 0.5", "0 0.5 0.5 1 1"
READ = {"1.jpg": [("dog", [16, 12, 32, 36])], "2.jpg": [("cat", [0, 0, 64, 48]), ("dog", [16, 12, 32, 36])]}


def label(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n")


def two(images: Path, labels: Path) -> None:
    label(labels / "1.txt", ROW)
    label(labels / "2.txt", WHOLE, "", ROW)
    for name in ("1.jpg", "2.jpg"):
        image(images / name)


@pytest.mark.parametrize(("images", "labels"), [("images", "labels"), ("", ""), ("obj", "obj"), ("", "labels")])
def test_layouts_without_splits(images: str, labels: str, tmp_path: Path) -> None:
    two(tmp_path / images, tmp_path / labels)
    (tmp_path / labels / "classes.txt").write_text("cat\ndog\n\n")
    for form in (YoloTxt(), Auto()):
        splits = read(form, tmp_path)
        assert contents(splits) == {"train": READ}
        assert splits.whole
        assert not splits.problems
    assert "data=auto took the format yolo_txt" in splits.notes


@pytest.mark.parametrize(
    ("images", "labels"), [("images/{}", "labels/{}"), ("{}/images", "{}/labels"), ("{}", "{}"), ("{}", "labels/{}")]
)
def test_layouts_with_splits(images: str, labels: str, tmp_path: Path) -> None:
    for split in ("train", "valid"):
        two(tmp_path / images.format(split), tmp_path / labels.format(split))
    (tmp_path / "obj.names").write_text("cat\ndog")
    splits = read(Auto(), tmp_path)
    assert contents(splits) == {"train": READ, "val": READ}
    assert not splits.whole


@pytest.mark.parametrize(
    "text",
    [
        "path: {root}/set\ntrain: images/train\nval: images/valid\ntest:\nnames: [cat, dog]\n",
        "path: set\ntrain: images/train\nval: [images/valid]\nnc: 2\nnames: {{0: cat, 1: dog}}\n",
        "train: ../images/train\nval: ../images/valid\ntest: ../images/test\nnames: ['cat', 'dog']\n",
        "train: train.txt\nval: valid.txt\nnames: ['cat', 'dog']\n",
    ],
)
def test_a_data_yaml(text: str, tmp_path: Path) -> None:
    top = tmp_path / "set"
    for split in ("train", "valid"):
        two(top / "images" / split, top / "labels" / split)
        (top / f"{split}.txt").write_text(f"./images/{split}/1.jpg\n{top}/images/{split}/2.jpg\n")
    beside = tmp_path if "path: set" in text else top
    (beside / "data.yaml").write_text(text.format(root=tmp_path))
    for form, root in ((YoloTxt(), beside), (Auto(), beside), (Auto(), beside / "data.yaml")):
        splits = read(form, root)
        assert contents(splits) == {"train": READ, "val": READ}
        assert not splits.problems
    missing = [note for note in splits.notes if "does not exist: left out" in note]
    assert len(missing) == ("images/test" in text)


def test_lists_beside_the_images(tmp_path: Path) -> None:
    two(tmp_path / "obj_train_data", tmp_path / "obj_train_data")
    (tmp_path / "obj.names").write_text("cat\ndog\n")
    (tmp_path / "train.txt").write_text("obj_train_data/1.jpg\n")
    (tmp_path / "valid.txt").write_text("obj_train_data/2.jpg\n")
    splits = read(Auto(), tmp_path)
    assert contents(splits) == {"train": {"1.jpg": READ["1.jpg"]}, "val": {"2.jpg": READ["2.jpg"]}}


def test_the_same_images_for_train_and_val_are_no_val(tmp_path: Path) -> None:
    two(tmp_path / "images", tmp_path / "labels")
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [cat, dog]\n")
    splits = read(YoloTxt(), tmp_path)
    assert splits.val is None
    assert "data.yaml names the same images for train and val: val is not used" in splits.notes
    assert not splits.problems


def test_no_label_is_a_negative_and_no_names_are_numbers(tmp_path: Path) -> None:
    two(tmp_path / "images", tmp_path / "labels")
    image(tmp_path / "images" / "none.png")
    image(tmp_path / "images" / "empty.jpg")
    label(tmp_path / "labels" / "empty.txt")
    splits = read(YoloTxt(), tmp_path)
    found = contents(splits)["train"]
    assert found["none.png"] == found["empty.jpg"] == []
    assert splits.classes == ("0", "1")
    assert "1 image without a label file: taken as without objects" in splits.notes
    assert any("classes go by their numbers" in note for note in splits.notes)


def test_polygons_and_keypoints(tmp_path: Path) -> None:
    image(tmp_path / "images" / "1.jpg")
    label(tmp_path / "labels" / "1.txt", "0 0.25 0.5 0.5 0.25 0.375 1.0")
    (tmp_path / "classes.txt").write_text("cat\n")
    assert contents(read(YoloTxt(), tmp_path)) == {"train": {"1.jpg": [("cat", [16, 12, 32, 48])]}}
    label(tmp_path / "labels" / "1.txt", "0 0.5 0.5 0.5 0.5 0.1 0.1 2 0.2 0.2 2")
    (tmp_path / "data.yaml").write_text("train: images\nnames: [cat]\nkpt_shape: [2, 3]\n")
    assert contents(read(YoloTxt(), tmp_path)) == {"train": {"1.jpg": [("cat", [16, 12, 48, 36])]}}


def test_what_is_wrong_is_named_by_file_and_line(tmp_path: Path) -> None:
    two(tmp_path / "images", tmp_path / "labels")
    rows = ("2 0.5 0.5 0.1 0.1", "0 0.5 0.5 0 0.1", "0 0.5 0.5 -0.1 0.1", "0 0.5 x 0.1 0.1", "0 0.5 0.5 0.1")
    more = ("0.5 0.5 0.5 0.1 0.1", "0 nan 0.5 0.1 0.1", "0 0.9 0.5 0.4 0.1", "0 1.3 0.5 0.1 0.1", ROW, ROW)
    label(tmp_path / "labels/bad.txt", *rows, *more, "0 0.5 0.5 0.1 0.1 0.87")
    label(tmp_path / "labels/pixels.txt", "0 30 20 10 8", "1 30 20 10 8")
    label(tmp_path / "labels/gone.txt", ROW)
    label(tmp_path / "labels/damaged.txt", ROW)
    for name in ("bad", "pixels"):
        image(tmp_path / f"images/{name}.jpg")
    (tmp_path / "images/damaged.jpg").write_text("no image")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    splits = read(YoloTxt(), tmp_path)
    found = {problem.where.removeprefix(str(tmp_path) + "/"): problem for problem in splits.problems}
    assert {where: problem.what for where, problem in found.items()} == {
        "labels/bad.txt:1": "class 2, but there are names for 0 to 1",
        "labels/bad.txt:2": "box (32, 21.6, 32, 26.4) has no area",
        "labels/bad.txt:3": "box (35.2, 21.6, 28.8, 26.4) has its corners swapped, or a negative size",
        "labels/bad.txt:4": "'0 0.5 x 0.1 0.1' is not a row of numbers",
        "labels/bad.txt:5": "4 numbers instead of class, x, y, width, height or class and polygon",
        "labels/bad.txt:6": "'0.5' is no class number",
        "labels/bad.txt:7": "box (nan, 21.6, nan, 26.4) is not of finite numbers",
        "labels/bad.txt:8": "box (44.8, 21.6, 70.4, 26.4) reaches 6.4 pixels beyond the image of 64 x 48 pixels",
        "labels/bad.txt:9": "box (80, 21.6, 86.4, 26.4) lies outside the image of 64 x 48 pixels",
        "labels/bad.txt:11": "box (16, 12, 32, 36) of class 'dog' repeats labels/bad.txt:10",
        "labels/bad.txt:12": "6 numbers instead of class, x, y, width, height or class and polygon: the sixth may be a"
        " confidence, which truth does not have",
        "labels/pixels.txt:1": "coordinates in pixels, not in fractions of the image (0 to 1), as in 1 line more",
        "labels/gone.txt": "no image belongs to this label file",
        "images/damaged.jpg": "its size cannot be read: not an image, or damaged",
    }
    assert found["labels/pixels.txt:1"].box == (25, 16, 35, 24)
    assert found["labels/bad.txt:8"].image == str(tmp_path / "images/bad.jpg")
    left = contents(splits)["train"]
    assert left["bad.jpg"] == [("cat", [44.8, 21.6, 64, 26.4]), ("dog", [16, 12, 32, 36])]
    assert left["pixels.jpg"] == []
    assert "damaged.jpg" not in left


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("train: [a\nnames: [cat]\n", r"data\.yaml:\d: no valid YAML"),
        ("train: gone\nnames: [cat]\n", "train is gone, which does not exist"),
        ("train: images\nnames: cat\n", "names should be a list"),
        ("val:\ntrain:\nnames: [cat]\n", "names no images"),
    ],
)
def test_a_yaml_that_cannot_be_used(text: str, says: str, tmp_path: Path) -> None:
    two(tmp_path / "images", tmp_path / "labels")
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(UserError, match=says) as caught:
        read(YoloTxt(), tmp_path / "data.yaml")
    assert "\n" not in str(caught.value)


def test_a_place_without_labels(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no images in it; it should be a data\.yaml"):
        read(YoloTxt(), tmp_path)
    image(tmp_path / "1.jpg")
    (tmp_path / "readme.txt").write_text("hello")
    assert not YoloTxt().claims(tmp_path)
    with pytest.raises(UserError, match="no label file belongs to any image"):
        read(YoloTxt(), tmp_path)
    with pytest.raises(UserError, match=r"data=auto found no boxes in it; it should be COCO json"):
        read(Auto(), tmp_path)


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    two(tmp_path, tmp_path)
    odd = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    try:
        os.rename(tmp_path / "1.jpg", odd + b".jpg")
        os.rename(tmp_path / "1.txt", odd + b".txt")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    splits = read(YoloTxt(), tmp_path)
    assert r"caf\xe9.jpg" in contents(splits)["train"]
    assert all(text.encode() for text in messages(splits))
