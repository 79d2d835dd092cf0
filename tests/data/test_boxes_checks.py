"""What holds for every box format: sizes, rotated images, images in two splits, skipping, and speed by design."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from mobilevision.data import DataModule
from mobilevision.data.formats import Auto, BoxesCsv, CocoJson, VocXml
from mobilevision.data.formats.annotations import splits as image_checks
from mobilevision.data.formats.annotations.raw import Collector, Raw
from mobilevision.data.formats.annotations.splits import check_boxes, image_sizes
from mobilevision.data.records import Problem
from mobilevision.data.skipped import SkipLog
from mobilevision.errors import UserError

from .box_files import HEIGHT, WIDTH, boxes, coco, contents, image, messages, read, voc


def raw(corners: list[list[float]], labels: list[int] | None = None) -> Raw:
    collector = Collector(("cat", "dog"))
    collector.image(b"1.jpg", ("t.csv", 1), (HEIGHT, WIDTH))
    for line, box in enumerate(corners):
        collector.box(0, box, labels[line] if labels else 0, ("t.csv", line + 2))
    return collector.done()


@pytest.mark.parametrize("over", [0.0, 0.3, 1.0])
def test_rounding_beyond_the_edge_is_clipped_and_counted(over: float) -> None:
    problems: list[Problem] = []
    notes: list[str] = []
    checked = check_boxes(raw([[-over, 2, 20, HEIGHT + over]]), problems, notes)
    assert checked.corners.tolist() == [[0, 2, 20, HEIGHT]]
    assert checked.area.tolist() == [20 * (HEIGHT - 2)]
    assert not problems
    assert notes == (["1 box reached up to a pixel beyond the image, as rounding does: clipped"] if over else [])


def test_boxes_after_the_check_lie_in_the_image_and_have_an_area() -> None:
    rng = np.random.default_rng(0)
    wild = rng.uniform(-100, 150, (3000, 4))
    wild[rng.random((3000, 4)) < 0.02] = np.nan
    wild[rng.random(3000) < 0.05, 2:] = 1e300
    given, problems = raw(wild.tolist()), list[Problem]()
    checked = check_boxes(given, problems, [])
    left, top, right, bottom = checked.corners.T
    assert (left >= 0).all()
    assert (top >= 0).all()
    assert (right <= WIDTH).all()
    assert (bottom <= HEIGHT).all()
    assert (right > left).all()
    assert (bottom > top).all()
    beyond = sum("skipping clips it" in problem.fix for problem in problems)
    untouched = int((given.corners == np.clip(np.nan_to_num(given.corners, nan=-1), 0, [64, 48, 64, 48])).all(1).sum())
    assert len(checked.owner) == len(given.owner) - (len(problems) - beyond)
    assert untouched <= len(checked.owner)
    assert len({problem.where for problem in problems}) == len(problems)


def test_only_equal_boxes_of_one_class_and_kind_are_repeats() -> None:
    box = [1.0, 2.0, 3.0, 4.0]
    given = raw([box, box, box, [1, 2, 3, 5], box], [0, 1, 0, 0, 0])
    problems: list[Problem] = []
    assert len(check_boxes(given, problems, []).owner) == 3
    assert [(each.where, each.what.partition("repeats ")[2]) for each in problems] == [
        ("t.csv:4", "t.csv:2"),
        ("t.csv:6", "t.csv:2"),
    ]
    assert len(check_boxes(given, problems, [], keep_repeats=True).owner) == 5
    crowd = replace(given, crowd=np.array([False, False, True, False, False]))
    assert len(check_boxes(crowd, [], []).owner) == 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_boxes_on_a_image_that_exif_turns(orientation: int, ending: str, tmp_path: Path) -> None:
    """The box is drawn on the stored pixels; wherever the reader puts it, it must lie on what was drawn."""
    image = Image.new("RGB", (WIDTH, HEIGHT))
    image.paste((255, 255, 255), (8, 16, 24, 40))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / f"1.{ending}", exif=exif, quality=95)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / f"1.{ending}")).convert("L")) > 127
    rows, columns = np.flatnonzero(upright.any(axis=1)), np.flatnonzero(upright.any(axis=0))
    drawn = [float(each) for each in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)]
    on_side = orientation >= 5

    voc(tmp_path / "1.xml", "cat 8 16 24 40")
    splits = read(VocXml(), tmp_path)
    if on_side or orientation == 1:
        assert contents(splits)["train"][f"1.{ending}"] == [("cat", drawn)]
    assert any("EXIF" in note for note in splits.notes) == on_side
    assert not splits.problems

    # Annotated as a viewer shows it, or without a size: nothing is turned.
    size = (HEIGHT, WIDTH) if on_side else (WIDTH, HEIGHT)
    for stated in (size, None):
        voc(tmp_path / "1.xml", "cat {:g} {:g} {:g} {:g}".format(*drawn), size=stated)
        splits = read(VocXml(), tmp_path)
        assert contents(splits)["train"][f"1.{ending}"] == [("cat", drawn)]
        assert not any("EXIF" in note for note in splits.notes)


def test_sizes_from_headers_are_those_of_the_loader(tmp_path: Path) -> None:
    paths = []
    for i, (ending, options) in enumerate([("jpg", {}), ("jpg", {"progressive": True}), ("png", {}), ("webp", {})]):
        paths.append(os.fsencode(image(tmp_path / f"{i}.{ending}", 20 + i, 30, **options)))
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8 nothing")
    found = image_sizes([*paths, os.fsencode(tmp_path / "bad.jpg"), os.fsencode(tmp_path / "gone.jpg")])
    assert found.tolist() == [*([30, 20 + i, 1] for i in range(4)), [0, 0, 0], [0, 0, 0]]
    assert image_sizes(paths * 100).tolist() == found[:4].tolist() * 100
    assert image_sizes([]).shape == (0, 3)


def test_a_image_of_another_size_is_found_among_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{i}.jpg" for i in range(9)]
    coco(tmp_path / "a.json", names, [{"image_id": i + 1, "category_id": 3, "bbox": [0, 0, 9, 9]} for i in range(9)])
    for i, name in enumerate(names):
        image(tmp_path / name, WIDTH * (2 if i in (0, 3) else 1))
    monkeypatch.setattr(image_checks, "HEADERS_READ", 2)  # the first and the last: one is wrong, so all are looked at
    splits = read(CocoJson(), tmp_path)
    assert messages(splits) == [
        f"a.json: image {i + 1}: annotated as 64 x 48 pixels, but {tmp_path / names[i]} has 128 x 48"
        " (take the image that was annotated, or annotate this one)"
        for i in (0, 3)
    ]
    assert len(splits.train or ()) == 7


def test_a_image_in_two_splits_or_twice_in_one(tmp_path: Path) -> None:
    head, row = "filename,class,xmin,ymin,xmax,ymax\n", "{},cat,1,2,9,9\n"
    (tmp_path / "train.csv").write_text(head + row.format("1.jpg") + row.format("./2.jpg") + row.format("2.jpg"))
    (tmp_path / "val.csv").write_text(head + row.format("3.jpg") + row.format("1.jpg"))
    for i in (1, 2, 3):
        image(tmp_path / f"{i}.jpg")
    splits = read(BoxesCsv(), tmp_path)
    assert {split: list(found) for split, found in contents(splits).items()} == {
        "train": ["1.jpg", "2.jpg"],
        "val": ["3.jpg"],
    }
    assert messages(splits) == [
        "train.csv:4: the image 2.jpg stands in train.csv:3 already (keep it in one place)",
        "val.csv:3: the image 1.jpg stands in train.csv:2 already (keep it in one place)",
    ]


def test_raise_names_the_boxes_and_skip_leaves_only_them_out(tmp_path: Path) -> None:
    for i in range(6):
        image(tmp_path / f"{i}.jpg")
        voc(tmp_path / f"{i}.xml", "cat 1 2 30 30", *(["cat 5 5 5 9", "cat 40 2 99 9"] if i == 3 else []))
    given = {"kind": "boxes", "root": str(tmp_path), "workers": 0, "resolution": 32, "batch_size": 2}
    with pytest.raises(UserError, match=r"2 problem\(s\) in the data:\n  3\.xml:4: box \(5, 5, 5, 9\) has no area"):
        DataModule(format=Auto(), **given).setup_data()  # type: ignore[arg-type]
    data = DataModule(format=Auto(), **given, on_error="skip", val_fraction=0.2)  # type: ignore[arg-type]
    data.setup_data(run_dir=tmp_path)
    held = {name: rows for part in contents(data.splits).values() for name, rows in part.items()}
    assert len(held) == 6
    assert held["3.jpg"] == [("cat", [1, 2, 30, 30]), ("cat", [40, 2, 64, 9])]
    assert set(SkipLog(tmp_path / "skipped.csv").read()) == {"3.xml:4", "3.xml:5"}
    batch = next(iter(data.train_dataloader()))
    assert batch["target"]["boxes"].shape[-1] == 4  # type: ignore[call-overload]


def test_nothing_but_bad_boxes_is_said_at_once(tmp_path: Path) -> None:
    image(tmp_path / "1.jpg")
    voc(tmp_path / "1.xml", "cat 5 5 5 9")
    with pytest.raises(UserError, match=r"no usable box in it; the first of 1 problem: 1\.xml:3: box \(5, 5, 5, 9\)"):
        read(VocXml(), tmp_path)


def test_evaluation_data_alone_keeps_its_classes(tmp_path: Path) -> None:
    image(tmp_path / "test" / "1.jpg")
    voc(tmp_path / "test" / "1.xml", "dog 5 5 9 9", "10 1 1 5 5", "9 1 1 5 6")
    splits = read(VocXml(), tmp_path)
    assert splits.train is None
    assert splits.classes == ("10", "9", "dog")
    assert len(boxes(splits.test, 0)) == 3
