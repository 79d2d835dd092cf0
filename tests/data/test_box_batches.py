"""Batches of images with boxes: where boxes come to lie, padding, splits and what is said of the classes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mobilevision.data import Augment, BoxAugment, DataModule, checks
from mobilevision.data.boxes import Boxes, BoxTargets, boxes_of
from mobilevision.data.data_format import DataFormat
from mobilevision.data.files import FileRecords
from mobilevision.data.formats.cifar10 import ArrayRecords
from mobilevision.data.loader import BatchSource
from mobilevision.data.records import Records, Splits
from mobilevision.data.splitting import cut
from mobilevision.errors import UserError
from mobilevision.images.framing import Affine, frame
from mobilevision.images.pixels import GREY
from mobilevision.spec import Features

from .conftest import Save

RED = (255, 0, 0)


def painted(images: list[Boxes], height: int = 40, width: int = 80) -> ArrayRecords:
    """Black images on which the boxes are red."""
    pixels = np.zeros((len(images), height, width, 3), dtype=np.uint8)
    for image, boxes in zip(pixels, images, strict=True):
        for left, top, right, bottom in boxes.boxes.astype(int):
            image[top:bottom, left:right] = RED
    return ArrayRecords(images=pixels, targets=BoxTargets.of(images), channels=3, label="painted")


def module(splits: Splits, **options: Any) -> DataModule:
    class Given(DataFormat):  # a format that gives what it was given
        kinds = ("boxes", "class")

        def read(self, **_: Any) -> Splits:  # type: ignore[override]
            return splits

    given = {"kind": "boxes", "workers": 0, "resolution": 20, "batch_size": 2, **options}
    return DataModule(format=Given(), **given)


@pytest.fixture
def three() -> list[Boxes]:
    """Images with two boxes, none, and a crowd."""
    return [
        boxes_of([[12, 12, 32, 20], [40, 20, 80, 40]], [1, 0]),
        boxes_of([], []),
        boxes_of([[0, 0, 40, 40]], [2], crowd=[True]),
    ]


def source(records: Records, fit: str, resolution: tuple[int, int] = (20, 20)) -> BatchSource:
    return BatchSource(records, channels=3, resolution=resolution, crop=1.0, fit=fit)


def test_a_batch_is_padded_to_the_image_with_the_most_boxes(three: list[Boxes]) -> None:
    batch = source(painted(three), "stretch").__getitems__([(0, 0), (0, 1), (0, 2)])
    target = batch["target"]
    assert batch["image"].shape == (3, 3, 20, 20)
    assert target["boxes"].tolist() == [
        [[3, 6, 8, 10], [10, 10, 20, 20]],
        [[0, 0, 0, 0]] * 2,
        [[0, 0, 10, 20], [0, 0, 0, 0]],
    ]
    assert target["labels"].tolist() == [[1, 0], [-1, -1], [2, -1]]
    assert target["crowd"].tolist() == [[False, False], [False, False], [True, False]]
    assert target["original"][0].tolist() == three[0].boxes.tolist()
    assert target["area"][0].tolist() == [160, 800]
    assert target["size"].tolist() == [[40, 80]] * 3
    assert target["image"].tolist() == batch["index"].tolist() == [0, 1, 2]
    dtypes = {key: value.dtype for key, value in target.items()}
    assert dtypes == {
        "boxes": torch.float32,
        "labels": torch.int64,
        "crowd": torch.bool,
        "difficult": torch.bool,
        "original": torch.float64,
        "area": torch.float64,
        "frame": torch.float64,
        "size": torch.int64,
        "image": torch.int64,
    }


def test_images_without_boxes_still_have_a_place_for_one(three: list[Boxes]) -> None:
    target = source(painted(three), "stretch").__getitems__([(0, 1)])["target"]
    assert target["boxes"].shape == (1, 1, 4)
    assert target["labels"].tolist() == [[-1]]


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "crop"])
def test_pixels_and_boxes_agree(three: list[Boxes], fit: str) -> None:
    batch = source(painted(three), fit).__getitems__([(0, 0)])
    image, target = batch["image"][0, 0].numpy(), batch["target"]
    for left, top, right, bottom in target["boxes"][0].numpy():
        inner = image[int(np.ceil(top)) : int(bottom), int(np.ceil(left)) : int(right)]
        assert (inner > GREY).all()
    back = Affine(*target["frame"][0].tolist()).inverse
    if fit != "crop":
        assert torch.allclose(back.boxes(target["boxes"][0].double()), target["original"][0], atol=1e-4)
        assert (image > GREY).sum() == (target["boxes"][0, :, 2:] - target["boxes"][0, :, :2]).prod(1).sum()
    if fit == "letterbox":
        assert (image[:5] == GREY).all()
        assert (image[15:] == GREY).all()
        assert not (image[5:15] == GREY).all(1).any()


def test_an_evaluation_keeps_boxes_outside_a_crop(three: list[Boxes]) -> None:
    corner = painted([boxes_of([[0, 0, 10, 10], [30, 10, 50, 30]], [0, 1])])
    target = source(corner, "crop").__getitems__([(0, 0)])["target"]
    assert target["labels"].tolist() == [[0, 1]]
    assert target["original"][0, 0].tolist() == [0, 0, 10, 10]
    assert (target["boxes"] >= 0).all()
    assert (target["boxes"] <= 20).all()


@given(
    shape=st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    resolution=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    fit=st.sampled_from(["crop", "stretch", "letterbox"]),
    corners=st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_there_and_back(shape: tuple[int, int], resolution: tuple[int, int], fit: str, corners: list[float]) -> None:
    where = frame(shape, resolution, fit=fit)
    boxes = np.array([corners]) * np.array([shape[1], shape[0]] * 2)
    there = where.to_input
    assert np.allclose(there.inverse.boxes(there.boxes(boxes)), boxes, atol=1e-6)
    assert np.allclose(there.then(there.inverse).boxes(boxes), boxes, atol=1e-6)
    top, left = where.place
    x, y, width, height = where.box
    seen = there.boxes(np.array([[x, y, x + width, y + height]]))
    assert np.allclose(seen, [[left, top, left + where.size[1], top + where.size[0]]], atol=1e-6)
    assert top >= 0
    assert left >= 0
    assert top + where.size[0] <= resolution[0]
    assert left + where.size[1] <= resolution[1]
    if fit == "letterbox":
        assert resolution[0] == where.size[0] or resolution[1] == where.size[1]


def test_cached_features_come_with_boxes(three: list[Boxes]) -> None:
    cached = source(painted(three), "letterbox")
    fresh = cached.__getitems__([(0, 0), (0, 2)])
    cached.serve(Features({}, torch.arange(3.0)[:, None]), until_epoch=1, index=None)
    batch = cached.__getitems__([(0, 0), (0, 2)])
    assert batch["features"].pooled[:, 0].tolist() == [0, 2]
    assert all(torch.equal(batch["target"][key], fresh["target"][key]) for key in fresh["target"])


def test_the_data_module_states_fit_and_boxes_a_class(three: list[Boxes]) -> None:
    splits = Splits(train=painted(three), val=painted(three), classes=("cat", "dog", "crowded"))
    data = module(splits)
    spec = data.setup_data()
    assert spec.fit == "stretch"
    assert spec.counts == (1, 1, 0)
    assert spec.classes == ("cat", "dog", "crowded")
    assert any("1 of 3 classes have no training box: crowded" in note for note in splits.notes)
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (2, 3, 20, 20)
    assert module(splits, fit="letterbox").setup_data().fit == "letterbox"
    assert module(splits, kind="class").fit == "crop"


@pytest.mark.parametrize(
    ("options", "says"),
    [({"fit": "squeeze"}, "data.fit=squeeze.*letterbox"), ({"augment": Augment(mixup=0.2)}, "kind boxes do not mix")],
)
def test_what_does_not_fit_is_named(three: list[Boxes], options: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        module(Splits(train=painted(three), classes=("a", "b", "c")), **options).setup_data()


def test_a_train_without_boxes_is_refused(three: list[Boxes]) -> None:
    splits = Splits(train=painted(three[1:2]), classes=("a",))
    with pytest.raises(UserError, match="none of the 1 training images has a box"):
        checks.enough(splits, "here", "boxes")


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_a_part_has_its_share_of_every_class(fraction: float) -> None:
    rng = np.random.default_rng(0)
    images = [boxes_of([[0, 0, 5, 5]] * 3, [0, rng.integers(0, 4), 0]) for _ in range(160)]
    images += [boxes_of([], [])] * 40 + [boxes_of([[0, 0, 5, 5]], [4])]
    records = painted(images, 8, 8)
    rest, part = cut(records, fraction, seed=1, part=0)
    assert len(part) == round(201 * fraction)
    again = cut(records, fraction, seed=1, part=0)[1]
    assert np.array_equal(part.targets.offsets, again.targets.offsets)
    assert 4 in rest.targets.all.labels, "the only image of a class stays in train"
    for label in range(1, 4):
        share = (part.targets.all.labels == label).sum() / (records.targets.all.labels == label).sum()
        assert abs(share - fraction) < 0.05
    assert abs((np.diff(part.targets.offsets) == 0).sum() - 40 * fraction) <= 1
    assert len(cut(painted(images[:1], 8, 8), 0.5, seed=0, part=0)[1]) == 0


@pytest.mark.parametrize("augment", [None, BoxAugment(), BoxAugment(iou_crop=0.0, zoom_out=0.0)])
def test_each_file_is_read_once(save: Save, monkeypatch: pytest.MonkeyPatch, augment: BoxAugment | None) -> None:
    paths = [bytes(save(f"{number}.jpg", seed=number)) for number in range(3)]
    targets = BoxTargets.of([boxes_of([[5, 5, 40, 40]], [0])] * 3)
    records = FileRecords(paths=paths, targets=targets, channels=3)
    read: list[bytes] = []

    def noted(path: bytes) -> bytes:
        read.append(path)
        return Path(os.fsdecode(path)).read_bytes()

    monkeypatch.setattr("mobilevision.data.files.read_file", noted)
    given = BatchSource(records, channels=3, resolution=(24, 24), crop=1.0, fit="letterbox", augment=augment)
    given.__getitems__([(0, index) for index in range(3)])
    assert read == paths
