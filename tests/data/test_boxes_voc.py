from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobilevision.data.formats import Auto, Voc, VocXml
from mobilevision.errors import UserError

from .box_files import boxes, contents, image, messages, read, voc

READ = {"1.jpg": [("cat", [1, 2, 11, 22])], "2.jpg": [("dog", [4, 5, 10, 12]), ("cat", [1, 1, 5, 5])]}


def two(images: Path, xmls: Path) -> None:
    voc(xmls / "1.xml", "cat 1 2 11 22")
    voc(xmls / "2.xml", "dog 4 5 10 12", "cat 1 1 5 5")
    for name in ("1.jpg", "2.jpg"):
        image(images / name)


def devkit(root: Path, year: int = 2007, **lists: str) -> None:
    top = root / "VOCdevkit" / f"VOC{year}"
    two(top / "JPEGImages", top / "Annotations")
    (top / "ImageSets/Main").mkdir(parents=True)
    for name, text in lists.items():
        (top / "ImageSets/Main" / f"{name}.txt").write_text(text)


@pytest.mark.parametrize(
    ("images", "xmls"), [("JPEGImages", "Annotations"), ("images", "annotations"), ("", ""), ("", "xmls")]
)
def test_layouts_without_splits(images: str, xmls: str, tmp_path: Path) -> None:
    two(tmp_path / images, tmp_path / xmls)
    for form in (VocXml(), Auto()):
        splits = read(form, tmp_path)
        assert contents(splits) == {"train": READ}
        assert splits.whole
        assert splits.classes == ("cat", "dog")
        assert not splits.problems
    assert "data=auto took the format voc_xml" in splits.notes


@pytest.mark.parametrize(
    ("images", "xmls"),
    [("{}", "{}"), ("{}/JPEGImages", "{}/Annotations"), ("images/{}", "annotations/{}")],
)
def test_layouts_with_splits(images: str, xmls: str, tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        two(tmp_path / images.format(split), tmp_path / xmls.format(split))
    assert contents(read(VocXml(), tmp_path)) == {"train": READ, "val": READ, "test": READ}


def test_lists_say_the_splits(tmp_path: Path) -> None:
    devkit(tmp_path, train="1\n", val="2.jpg\n", trainval="1\n2\n", test="8\n")
    splits = read(Auto(), tmp_path)
    assert contents(splits) == {"train": {"1.jpg": READ["1.jpg"]}, "val": {"2.jpg": [("cat", [1, 1, 5, 5])]}}
    assert messages(splits) == [
        "VOCdevkit/VOC2007/Annotations/2.xml:3: class 'dog' (1 box in val) has none in train"
        " (add it to train or remove those boxes)"
    ]


def test_trainval_where_train_or_val_lacks(tmp_path: Path) -> None:
    devkit(tmp_path, trainval="1\n2\n", train="1\n")
    assert contents(read(VocXml(), tmp_path)) == {"train": READ}


def test_a_listed_image_without_xml(tmp_path: Path) -> None:
    devkit(tmp_path, trainval="1\n2\n9\n")
    splits = read(VocXml(), tmp_path)
    assert contents(splits) == {"train": READ}
    where = "VOCdevkit/VOC2007/ImageSets/Main/trainval.txt:3"
    assert messages(splits) == [f"{where}: no xml 9.xml (add the annotation or remove the line)"]


def test_images_elsewhere_and_names_that_differ(tmp_path: Path) -> None:
    voc(tmp_path / "set" / "0001.xml", "cat 1 2 11 22", filename="C:\\photos\\holiday.png")
    image(tmp_path / "photos" / "holiday.png")
    for images in (str(tmp_path / "photos"), "../photos"):
        assert contents(read(VocXml(images=images), tmp_path / "set")) == {"train": {"holiday.png": READ["1.jpg"]}}
    with pytest.raises(UserError, match=r"no usable box in it; the first of 1 problem: 0001\.xml: no image"):
        read(VocXml(), tmp_path / "set")
    with pytest.raises(
        UserError, match=r"data\.format\.images=gone: there is no such folder, neither here nor in .*set"
    ):
        read(VocXml(images="gone"), tmp_path / "set")


def test_coordinates_as_they_stand_or_as_voc_defined_them(tmp_path: Path) -> None:
    two(tmp_path, tmp_path)
    assert contents(read(VocXml(one_based=True), tmp_path))["train"]["1.jpg"] == [("cat", [0, 1, 11, 22])]


def test_difficult_objects_parts_and_sizes_of_nought(tmp_path: Path) -> None:
    image(tmp_path / "1.jpg")
    box = "<bndbox><ymax>22</ymax><xmin>1.5</xmin><ymin>2</ymin><xmax>11</xmax></bndbox>"
    part = "<part><name>head</name><bndbox><xmin>3</xmin><ymin>3</ymin><xmax>4</xmax><ymax>4</ymax></bndbox></part>"
    (tmp_path / "1.xml").write_text(
        "<?xml version='1.0' encoding='utf-8'?>\n<!-- by hand --><annotation><size><width>0</width><height>0</height>"
        f"</size><object><name>cat</name><difficult>1</difficult>{box}{part}</object></annotation>"
    )
    splits = read(VocXml(), tmp_path)
    assert contents(splits) == {"train": {"1.jpg": [("cat", [1.5, 2, 11, 22])]}}
    assert boxes(splits.train, 0).difficult.tolist() == [True]
    assert splits.notes[-1] == "train: 1 image, 1 box, 1 of them difficult"


def test_what_is_wrong_is_named_by_file_and_line(tmp_path: Path) -> None:
    two(tmp_path, tmp_path)
    bad = ("cat 9 9 9 20", "cat 20 5 10 9", "cat nan 1 5 5", "cat a 1 5 5", "cat 1 2", "cat 2 2 90 9", "cat 80 2 90 9")
    voc(tmp_path / "3.xml", *bad, "dog 1 2 11 22", "dog 1 2 11 22")
    voc(tmp_path / "gone.xml", "cat 1 2 3 4")
    voc(tmp_path / "negative.xml")
    (tmp_path / "broken.xml").write_text("<annotation>\n<object>\n<name>cat</nam></object></annotation>")
    (tmp_path / "empty.xml").write_text("")
    (tmp_path / "other.xml").write_text("<?xml version='1.0'?>\n<html></html>")
    for name in ("3", "negative", "alone", "broken", "empty", "other"):
        image(tmp_path / f"{name}.jpg")
    splits = read(VocXml(), tmp_path)
    found = {problem.where.removeprefix(str(tmp_path) + "/"): problem for problem in splits.problems}
    assert {where: problem.what for where, problem in found.items()} == {
        "3.xml:3": "box (9, 9, 9, 20) has no area",
        "3.xml:4": "box (20, 5, 10, 9) has its corners swapped, or a negative size",
        "3.xml:5": "box (nan, 1, 5, 5) is not of finite numbers",
        "3.xml:6": "bndbox is a, 1, 5, 5, not four numbers",
        "3.xml:7": "the object 'cat' has no xmax, ymax",
        "3.xml:8": "box (2, 2, 90, 9) reaches 26 pixels beyond the image of 64 x 48 pixels",
        "3.xml:9": "box (80, 2, 90, 9) lies outside the image of 64 x 48 pixels",
        "3.xml:11": "box (1, 2, 11, 22) of class 'dog' repeats 3.xml:10",
        "gone.xml": "no image gone.jpg",
        "alone.jpg": "no xml alone.xml belongs to this image",
        "broken.xml:3": "broken xml: mismatched tag",
        "empty.xml:1": "broken xml: empty file",
        "other.xml:2": "begins with <html>, not with <annotation>",
    }
    assert found["3.xml:4"].box == (20, 5, 10, 9)
    assert found["3.xml:4"].image == str(tmp_path / "3.jpg")
    assert found["alone.jpg"].image == str(tmp_path / "alone.jpg")
    left = contents(splits)["train"]
    assert left["3.jpg"] == [("cat", [2, 2, 64, 9]), ("dog", [1, 2, 11, 22])]
    assert left["negative.jpg"] == []
    assert sorted(left) == ["1.jpg", "2.jpg", "3.jpg", "negative.jpg"]


def test_a_place_without_xml(tmp_path: Path) -> None:
    image(tmp_path / "1.jpg")
    (tmp_path / "layout.xml").write_text("<svg></svg>")
    assert not VocXml().claims(tmp_path)
    os.remove(tmp_path / "layout.xml")
    with pytest.raises(UserError, match=r"no xml in it; it should be a folder with Annotations/"):
        read(VocXml(), tmp_path)
    with pytest.raises(UserError, match=r"is a file; it should be"):
        read(VocXml(), tmp_path / "1.jpg")


def test_voc_takes_trainval_of_every_year_and_the_test_of_2007(tmp_path: Path) -> None:
    devkit(tmp_path, 2007, trainval="1\n", test="2\n", train="1\n", val="1\n")
    devkit(tmp_path, 2012, trainval="1\n2\n")
    splits = read(Voc(download=False), tmp_path)
    assert [len(records) for _, records in splits.items()] == [3, 1]
    assert contents(splits)["test"] == {"2.jpg": [("dog", [3, 4, 10, 12]), ("cat", [0, 0, 5, 5])]}
    assert not splits.problems
    assert len(read(Voc(years=[2007], download=False), tmp_path).train or ()) == 1
    with pytest.raises(UserError, match="between 2007 and 2012"):
        Voc(years=[1999])
    with pytest.raises(UserError, match=r"trainval of VOC 2008 is not there; put there VOCdevkit/VOC2007"):
        read(Voc(years=[2008], download=False), tmp_path)


def test_voc_fetches_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    asked: list[tuple[str, str]] = []

    def fetched(root: str, year: str, image_set: str, download: bool) -> None:
        asked.append((year, image_set))
        lists: dict[str, Any] = {image_set: "1\n"}
        if len(asked) == 1:
            devkit(Path(root), int(year), **lists)
        else:
            (tmp_path / f"VOCdevkit/VOC{year}/ImageSets/Main/{image_set}.txt").write_text("2\n")

    monkeypatch.setattr(datasets, "VOCDetection", fetched)
    splits = read(Voc(years=[2007]), tmp_path)
    assert asked == [("2007", "trainval"), ("2007", "test")]
    assert len(splits.test or ()) == 1


@pytest.mark.parametrize("form", [Voc])
def test_a_failed_download_says_what_to_put_where(
    form: Callable[[], Voc], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import urllib.error
    import urllib.request

    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no way online")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    with pytest.raises(UserError, match=rf"Pascal VOC cannot be downloaded .*put into data\.root={tmp_path} VOCdevkit"):
        read(form(), tmp_path)


def test_raccoon_in_both_of_its_formats(shared_data: Path) -> None:
    xml = read(Auto(), shared_data / "raccoon")
    assert not xml.problems
    assert xml.classes == ("raccoon",)
    found = contents(xml)["train"]
    assert (len(found), sum(map(len, found.values()))) == (200, 217)
    table = read(Auto(), shared_data / "raccoon/csv")
    assert not table.problems
    parts = contents(table)
    assert {split: (len(part), sum(map(len, part.values()))) for split, part in parts.items()} == {
        "train": (160, 173),
        "test": (40, 44),
    }
    both = parts["train"] | parts["test"]
    assert {name: sorted(rows) for name, rows in both.items()} == {name: sorted(rows) for name, rows in found.items()}
    assert table.train is not None
    path = table.train.name(0)
    assert os.path.isfile(path)
    assert np.all(boxes(table.train, 0).boxes >= 0)
