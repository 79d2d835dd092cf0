"""The plugin as its author tests it: it conforms, reads what people have, and its numbers are the plain ones."""

# ruff: noqa: D103 - the names of the tests say it
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mobilevision_segmentation.answer import IGNORED, MaskAnswer, MaskLogits, enlarge
from mobilevision_segmentation.formats import CocoFolder, DrawnScenes, MaskFolder, outline_error
from mobilevision_segmentation.loss import PixelLoss
from mobilevision_segmentation.metric import SegmentationMetrics
from PIL import Image
from torch.nn.functional import cross_entropy, interpolate

from mobilevision.api import Affine, DataSpec, Frame, Placement, UnreadableImageError, UserError
from mobilevision.testing import check

SMALL = ["task=segmentation", "backbone.width=0.25", "data.resolution=64", "data.format.train=16"]
CLASSES = ("ground", "road", "sky")
SPEC = DataSpec("mask", CLASSES, 3, (8, 8))


@pytest.mark.parametrize("head", ["lraspp", "deeplab"])
def test_conforms(head: str) -> None:
    check([*SMALL, f"head={head}"])


def image(path: Path, size: tuple[int, int] = (12, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 120, 30)).save(path)


def mask(path: Path, values: np.ndarray, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Image.fromarray(values.astype(np.uint8), mode=None)
    if mode == "P":
        made = Image.fromarray(values.astype(np.uint8))
        made.putpalette([*range(256)] * 3)
    made.save(path)


def halves(left: int = 0, right: int = 1) -> np.ndarray:
    values = np.full((8, 12), left)
    values[:, 6:] = right
    return values


def read(folder: Path, format: MaskFolder | CocoFolder | None = None) -> Any:
    return (format or MaskFolder()).read(root=folder, kind="mask", channels=3, seed=0)


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("train/images/{}", "train/masks/{}"),
        ("images/train/{}", "labels/train/{}"),
        ("JPEGImages/{}", "SegmentationClass/{}"),
    ],
)
@pytest.mark.parametrize("mode", ["L", "P"])
def test_masks_are_found_beside_their_images(tmp_path: Path, images: str, masks: str, mode: str) -> None:
    for name in "ab":
        image(tmp_path / images.format(f"{name}.jpg"))
        mask(tmp_path / masks.format(f"{name}.png"), halves(0, 2), mode)
    splits = read(tmp_path, MaskFolder(classes=CLASSES))
    assert splits.classes == CLASSES
    assert (splits.train.targets[1] == halves(0, 2)).all()


def test_lists_of_voc_say_the_split(tmp_path: Path) -> None:
    for name in "abc":
        image(tmp_path / f"JPEGImages/{name}.jpg")
        mask(tmp_path / f"SegmentationClass/{name}.png", halves(0, 15), "P")
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\nnone\n", encoding="utf-8")
    (lists / "val.txt").write_text("c\n", encoding="utf-8")
    splits = read(tmp_path)
    assert (len(splits.train), len(splits.val)) == (2, 1)
    assert splits.classes[15] == "person"
    assert [str(problem.where) for problem in splits.problems] == ["ImageSets/Segmentation/train.txt:3"]


def test_colours_are_those_of_the_label_map(tmp_path: Path) -> None:
    image(tmp_path / "JPEGImages/a.jpg")
    colours = np.zeros((8, 12, 3))
    colours[:, 6:] = (250, 50, 83)
    mask(tmp_path / "SegmentationClass/a.png", colours)
    (tmp_path / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncar:250,50,83::\n", encoding="utf-8"
    )
    splits = read(tmp_path)
    assert splits.classes == ("background", "car")
    assert (splits.train.targets[0] == halves(0, 1)).all()
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\ncar:250,50::\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"labelmap\.txt:2: .*name:r,g,b::"):
        read(tmp_path)


def test_two_values_are_ground_and_object(tmp_path: Path) -> None:
    image(tmp_path / "images/a.png")
    mask(tmp_path / "masks/a_mask.png", halves(0, 255))
    splits = read(tmp_path)
    assert splits.classes == ("background", "object")
    assert (splits.train.targets[0] == halves(0, 1)).all()


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    image(tmp_path / "images/a.png")
    mask(tmp_path / "masks/a.png", halves(0, 7))
    with pytest.raises(UserError, match=r"values up to 7, and 3 classes are named"):
        read(tmp_path, MaskFolder(classes=CLASSES))
    colours = np.zeros((8, 12, 3))
    colours[:, 6:] = (250, 50, 83)
    mask(tmp_path / "masks/a.png", colours)
    with pytest.raises(UserError, match=r"a\.png: a mask in colours, such as 250,50,83: .*labelmap\.txt"):
        read(tmp_path)
    mask(tmp_path / "masks/a.png", halves()[:4])
    splits = read(tmp_path)
    placement = Placement(Frame((0.0, 0.0, 12.0, 8.0), (8, 12)), False, (8, 12), (8, 12), False)
    with pytest.raises(UnreadableImageError, match=r"a\.png: the mask has 12 x 4 pixels, its image 12 x 8"):
        splits.train.targets.placed(0, placement)
    image(tmp_path / "images/b.png")
    assert "no mask of this name in masks/" in str(read(tmp_path).problems[0])
    with pytest.raises(UserError, match="no folder of images beside one of masks"):
        read(tmp_path / "images")


def test_each_image_has_a_mask_of_its_own(tmp_path: Path) -> None:
    """What two images or two masks could share is said, and other letters are other files."""
    for number, name in enumerate(("A", "a", "b", "b_l", "c", "d", "e")):
        image(tmp_path / f"images/{name}.png")
        if name != "b":
            mask(tmp_path / f"masks/{name}.png", halves(0, number))
    image(tmp_path / "images/c.jpg")
    mask(tmp_path / "masks/d.gif", halves(0, 1))
    Image.new("L", (12, 8)).save(tmp_path / "masks/e.jpg")
    (tmp_path / "masks/e.png").unlink()
    splits = read(tmp_path)
    values = {Path(splits.train.name(row)).stem: int(splits.train.targets[row].max()) for row in range(4)}
    assert values == {"A": 0, "a": 1, "b_l": 3, "c": 4}
    told = {Path(problem.where).stem: problem.what for problem in splits.problems}
    assert told.keys() == {"b", "c", "d", "e"}
    assert "no mask" in told["b"]
    assert "too" in told["c"]
    assert "several masks" in told["d"]
    assert "JPEG" in told["e"]


def test_splits_are_found_by_any_of_their_names(tmp_path: Path) -> None:
    for name, other in (("train", "Train"), ("val", "validation"), ("test", "")):
        image(tmp_path / f"images/{name}/{name}.png")
        if other:
            mask(tmp_path / f"masks/{other}/{name}.png", halves())
    splits = read(tmp_path)
    assert (len(splits.train), len(splits.val), splits.test) == (1, 1, None)
    assert any("images/test: left out" in note for note in splits.notes)


def test_lists_with_folders(tmp_path: Path) -> None:
    for folder, value in (("x", 1), ("y", 2)):
        image(tmp_path / f"JPEGImages/{folder}/i.jpg")
        mask(tmp_path / f"SegmentationClass/{folder}/i.png", halves(0, value), "P")
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("x/i\n", encoding="utf-8")
    (lists / "val.txt").write_text("y/i\ni\n", encoding="utf-8")
    splits = read(tmp_path)
    assert [int(each.targets[0].max()) for each in (splits.train, splits.val)] == [1, 2]
    assert "2 images and masks named i" in str(splits.problems[0])


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("a:0,0,0::\nb:0,0,0::\n", "labelmap.txt:2: b has the colour of a"),
        ("".join(f"c{number}:{number % 256},{number // 256},0::\n" for number in range(256)), "256 classes"),
        ("a:0,0,0::\n", "the colour 1,1,1 is none of the 1 classes: name it in labelmap.txt, as void"),
        ("a:0,0,0::\nvoid:1,1,1::\n", ""),
    ],
)
def test_colours_that_say_too_much_or_too_little(tmp_path: Path, labels: str, said: str) -> None:
    image(tmp_path / "images/a.png")
    mask(tmp_path / "masks/a.png", halves(0, 1))
    (tmp_path / "labelmap.txt").write_text(labels, encoding="utf-8")
    if not said:
        assert (read(tmp_path).train.targets[0] == halves(0, IGNORED)).all()
        return
    with pytest.raises(UserError) as raised:
        assert read(tmp_path).train.targets[0] is not None
    assert said in str(raised.value)


def test_masks_without_a_class(tmp_path: Path) -> None:
    image(tmp_path / "images/a.png")
    mask(tmp_path / "masks/a.png", halves(255, 255))
    with pytest.raises(UserError, match="nothing but 255"):
        read(tmp_path)
    mask(tmp_path / "masks/a.png", halves())
    with pytest.raises(UserError, match="two classes are called a"):
        read(tmp_path, MaskFolder(classes=("a", "a")))


@pytest.mark.parametrize(
    ("outline", "said"),
    [
        (None, "it has no outline"),
        ({}, "size None"),
        ([], "it has no outline"),
        ([[1, 1, 5, 5]], "three corners or more"),
        ([[1, 1, 5, 5, 2, 2, 3]], "three corners or more"),
        ([[1, 1, 5, 5, 2, float("nan")]], "three corners or more"),
        ("text", "it has no outline"),
        ({"size": [12, 8], "counts": [96]}, "the image of [8, 12]"),
        ({"size": [8, 12], "counts": [50]}, "do not add up"),
        ({"size": [8, 12], "counts": [-1, 97]}, "do not add up"),
        ({"size": [8, 12]}, "do not add up"),
        ({"size": [8, 12], "counts": [0, 8, 88]}, ""),
        ([[1, 1, 5, 1, 5, 5]], ""),
    ],
)
def test_outlines_that_are_none(outline: Any, said: str) -> None:
    assert said in (outline_error(outline, (8, 12)) or "")
    assert bool(said) == bool(outline_error(outline, (8, 12)))


def test_cocos_outlines_become_masks(tmp_path: Path) -> None:
    image(tmp_path / "train/a.jpg")
    square = [2, 2, 6, 2, 6, 6, 2, 6]
    counts = {"size": [8, 12], "counts": [0, 8, 88]}  # the first column
    rows = [
        {"id": 1, "image_id": 5, "category_id": 9, "bbox": [2, 2, 4, 4], "area": 16, "segmentation": [square]},
        {
            "id": 2,
            "image_id": 5,
            "category_id": 3,
            "bbox": [0, 0, 1, 8],
            "area": 8,
            "iscrowd": 1,
            "segmentation": counts,
        },
    ]
    document = {
        "images": [{"id": 5, "file_name": "a.jpg", "width": 12, "height": 8}],
        "categories": [{"id": 3, "name": "tree"}, {"id": 9, "name": "house"}],
        "annotations": rows,
    }
    (tmp_path / "train" / "_annotations.coco.json").write_text(json.dumps(document), encoding="utf-8")
    splits = read(tmp_path, CocoFolder())
    assert splits.classes == ("background", "tree", "house")
    wanted = np.zeros((8, 12))
    wanted[2:6, 2:6] = 2
    wanted[:, 0] = IGNORED
    assert (splits.train.targets[0] == wanted).all()


def test_a_mask_moves_with_its_image() -> None:
    """Drawn into an image as grey values, it goes through the same crop, size and mirror."""
    records = DrawnScenes(train=3, val=1, test=1, side=40).read(root=None, kind="mask", channels=3, seed=0).train
    for mirrored in (False, True):
        placement = Placement(
            Frame((5.0, 8.0, 24.0, 24.0), (48, 48), (4, 0)), mirrored, records.shape(0), (56, 48), True
        )
        placed = records.targets.placed(0, placement)
        wanted = np.full((56, 48), IGNORED)
        wanted[4:52] = np.asarray(records.targets[0])[8:32, 5:29].repeat(2, axis=0).repeat(2, axis=1)
        inside = placed[4:52]
        assert (inside == (wanted[4:52, ::-1] if mirrored else wanted[4:52])).all()


def test_enlarging_is_torchs() -> None:
    logits = np.random.default_rng(0).normal(size=(2, 3, 5, 7)).astype(np.float32)
    theirs = interpolate(torch.from_numpy(logits), (16, 20), mode="bilinear", align_corners=False)
    assert np.abs(enlarge(logits, (16, 20)) - theirs.numpy()).max() < 1e-5


def test_metrics_are_counted_by_hand() -> None:
    metric = SegmentationMetrics(classes=CLASSES)
    truth, said = (torch.zeros(1, 8, 8, dtype=torch.uint8) for _ in range(2))
    truth[0, :, 4:], said[0, :, 3:], truth[0, 0] = 1, 1, IGNORED
    metric.update({"mask": said}, truth)
    found = {name: float(value) for name, value in metric.compute().items()}
    assert found["miou"] == pytest.approx((21 / 28 + 28 / 35) / 2)  # sky is in neither
    assert found["pixel_accuracy"] == pytest.approx(49 / 56)
    assert 0 < found["boundary_iou"] < found["miou"]
    row = metric.tables()["per_class"][2]
    assert (row["class"], row["iou"], row["recall"]) == ("sky", None, None)
    half = SegmentationMetrics(classes=CLASSES)
    half.update({"mask": truth}, truth)
    assert all(float(value) == 1 for value in half.compute().values())


@pytest.mark.parametrize("region", ["none", "dice", "focal_tversky"])
def test_pixels_of_which_nothing_is_known_teach_nothing(region: str) -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    target = torch.randint(0, 3, (2, 8, 8), dtype=torch.uint8)
    target[:, :4] = IGNORED
    loss = PixelLoss(data=SPEC, region=region)
    parts = loss(logits, {"target": target})
    if region == "none":
        plain = cross_entropy(logits, target.long(), ignore_index=IGNORED)
        assert parts["pixels"].item() == pytest.approx(plain.item(), rel=1e-5)
    torch.stack(list(parts.values())).sum().backward()
    assert (logits.grad[:, :, :4] == 0).all()
    assert (logits.grad[:, :, 4:] != 0).any()
    nothing = loss(logits, {"target": torch.full_like(target, IGNORED)})
    assert all(torch.isfinite(value) for value in nothing.values())


def test_a_rare_class_counts_more_when_balanced() -> None:
    loss = PixelLoss(data=SPEC, class_weights="balanced").train()
    target = torch.zeros(1, 8, 8, dtype=torch.uint8)
    target[0, 0, 0] = 1
    loss(torch.zeros(1, 3, 8, 8), {"target": target})
    assert loss._weights()[1] > 2 * loss._weights()[0]


@pytest.mark.parametrize(("fit", "shape"), [("stretch", (8, 8)), ("letterbox", (4, 8))])
def test_shares_are_of_the_image(fit: str, shape: tuple[int, int]) -> None:
    """What pads the input does not count."""
    answer = MaskAnswer(classes=CLASSES, decision={}, facts={})
    predicted = np.full((8, 8), 2, np.uint8)
    predicted[2:6] = 1
    mapping = Affine(1.0, 1.0, 0.0, -2.0 if fit == "letterbox" else 0.0)
    located = answer.locate({"mask": predicted}, mapping)
    row = answer.describe(located)
    assert row["shares"] == ({"road": 1.0} if fit == "letterbox" else {"road": 0.5, "sky": 0.5})
    saved = answer.files(located, shape)["masks"]
    assert saved.size == shape[::-1]
    assert (np.asarray(saved) == (predicted[2:6] if fit == "letterbox" else predicted)).all()


def test_logits_become_the_mask_outside() -> None:
    answer = MaskLogits(classes=CLASSES, decision={}, facts={"resolution": [16, 16]})
    logits = torch.randn(2, 3, 4, 4)
    wanted = interpolate(logits, (16, 16), mode="bilinear", align_corners=False).argmax(1)
    assert (answer.finish({"logits": logits.numpy()})["mask"] == wanted.numpy()).mean() > 0.999


def test_answers_need_no_torch() -> None:
    code = "import sys, mobilevision_segmentation; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
