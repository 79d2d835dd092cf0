"""Augmented images with boxes: nothing outside, nothing lost but by the rule, pixels and boxes together."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilevision.data import BoxAugment
from mobilevision.data.augment import mirrored
from mobilevision.data.boxes import Boxes, BoxTargets, boxes_of, mirrored_boxes
from mobilevision.data.files import FileRecords
from mobilevision.data.loader import BatchSource
from mobilevision.data.records import Records
from mobilevision.data.skipped import SkipLog
from mobilevision.data.view import Sample, View
from mobilevision.errors import UserError
from mobilevision.images.framing import CropBox
from mobilevision.images.pixels import GREY, Pixels

from .conftest import Save

STILL = {"photometric": 0.0, "min_side": 0.0}
SCENES = st.tuples(st.integers(1, 900), st.integers(1, 900), st.integers(0, 12), st.integers(0, 2**32))
FITS = st.sampled_from(["stretch", "letterbox"])


class Spied(Records):
    """An image whose boxes are painted one after another in colours of their own; it notes what is asked for."""

    def __init__(self, images: list[Boxes], shape: tuple[int, int]) -> None:
        self.targets, self.size, self.asked = BoxTargets.of(images), shape, list[tuple[int, CropBox]]()

    def name(self, index: int) -> str:
        return f"spied/{index}"

    def shape(self, index: int) -> tuple[int, int]:
        return self.size

    def pixels(
        self, index: int, *, box: CropBox | None = None, size: tuple[int, int] | None = None, exact: bool = False
    ) -> Pixels:
        assert box is not None
        assert size is not None
        self.asked.append((index, box))
        x, y, width, height = box
        assert 0 <= x < x + width <= self.size[1]
        assert 0 <= y < y + height <= self.size[0]
        rows = np.floor(y + (np.arange(size[0]) + 0.5) * height / size[0]).astype(int)
        columns = np.floor(x + (np.arange(size[1]) + 0.5) * width / size[1]).astype(int)
        pixels = np.zeros((*size, 3), dtype=np.uint8)
        for (left, top, right, bottom), label in zip(
            self.targets[index].boxes, self.targets[index].labels, strict=True
        ):
            inside = ((top <= rows) & (rows < bottom))[:, None] & ((left <= columns) & (columns < right))
            pixels[inside] = colour(label)
        return pixels


def colour(label: int) -> tuple[int, int, int]:
    """A colour of its own for each label, never grey or black."""
    return (255, int(label) // 256, int(label) % 256)


def some_boxes(scene: tuple[int, int, int, int]) -> tuple[tuple[int, int], Boxes]:
    """An image of some size with random whole-pixel boxes, a fifth of them crowds; the label is the number."""
    height, width, count, seed = scene
    rng = np.random.default_rng(seed)
    left, top = rng.integers(0, width, count), rng.integers(0, height, count)
    right, bottom = rng.integers(left + 1, width + 1), rng.integers(top + 1, height + 1)
    corners = np.stack([left, top, right, bottom], axis=1)
    return (height, width), boxes_of(corners, np.arange(count), crowd=rng.random(count) < 0.2)


def drawn(records: Records, seed: int, *, fit: str = "stretch", **options: Any) -> Sample:
    view = View(records, channels=3, resolution=(96, 128), fit=fit)
    return BoxAugment(**{**STILL, **options}).sample(view, 0, np.random.default_rng(seed))


def target(sample: Sample) -> Boxes:
    assert sample.target is not None
    assert np.array_equal(sample.target.inputs, sample.target.boxes.boxes)
    return sample.target.boxes


def expected(records: Spied) -> set[int]:
    """The boxes that stay by the rule, given what was asked of the image."""
    ((index, (x, y, width, height)),) = records.asked
    boxes = records.targets[index]
    left, top, right, bottom = boxes.boxes.T
    across, down = (left + right) / 2, (top + bottom) / 2
    centred = (x < across) & (across < x + width) & (y < down) & (down < y + height)
    touched = (left < x + width) & (right > x) & (top < y + height) & (bottom > y)
    return set(boxes.labels[np.where(boxes.crowd, touched, centred)].tolist())


@settings(max_examples=300, deadline=None)
@given(scene=SCENES, seed=st.integers(0, 2**32), fit=FITS)
def test_only_boxes_whose_centres_left_are_gone_and_none_leaves_the_input(
    scene: tuple[int, int, int, int], seed: int, fit: str
) -> None:
    shape, boxes = some_boxes(scene)
    records = Spied([boxes], shape)
    sample = drawn(records, seed, fit=fit)
    left = target(sample)
    assert sample.pixels.shape == (96, 128, 3)
    assert set(left.labels.tolist()) == expected(records)
    assert len(set(left.labels.tolist())) == len(left)
    assert np.array_equal(left.crowd, boxes.crowd[left.labels])
    corners = left.boxes.astype(np.float32)
    assert (corners >= 0).all()
    assert (corners <= [128, 96, 128, 96]).all()
    assert (corners[:, :2] < corners[:, 2:]).all(), "as float32, too, no box is without area"


@settings(max_examples=150, deadline=None)
@given(scene=SCENES, seed=st.integers(0, 2**32), fit=FITS, mosaic=st.sampled_from([0.0, 1.0]))
def test_a_box_lies_where_its_pixels_are(scene: tuple[int, int, int, int], seed: int, fit: str, mosaic: float) -> None:
    height, width, _, number = scene
    images = []
    for place in range(5):  # one box an image, so that none hides another
        shape, one = some_boxes((height, width, 1, number + place))
        images.append(boxes_of(one.boxes, [place]))
    sample = drawn(Spied(images, shape), seed, fit=fit, mosaic=mosaic)
    painted = np.zeros((5, 96, 128), dtype=bool)
    for label in range(5):
        painted[label] = (sample.pixels == colour(label)).all(-1)
    left = target(sample)
    for corners, label in zip(left.boxes, left.labels, strict=True):
        inner = painted[label][_within(corners, -1.0)]
        assert inner.all(), "what a box holds is the thing"
        assert mosaic or not (painted[label].sum() - painted[label][_within(corners, 1.0)].sum()), "and all of it"
    if not mosaic:
        assert len(left) or not painted[1:].any()


def _within(corners: np.ndarray, margin: float) -> tuple[slice, slice]:
    """The pixels inside a box that is larger by a margin on every side."""
    left, top, right, bottom = corners + np.array([-1, -1, 1, 1]) * margin
    rows = slice(max(0, int(np.ceil(top))), max(0, int(np.floor(bottom))))
    return rows, slice(max(0, int(np.ceil(left))), max(0, int(np.floor(right))))


@settings(max_examples=50, deadline=None)
@given(scene=SCENES, seed=st.integers(0, 2**32))
def test_a_mosaic_shows_four_images_with_their_boxes(scene: tuple[int, int, int, int], seed: int) -> None:
    shape, _ = some_boxes(scene)
    whole = [boxes_of([[0, 0, shape[1], shape[0]]], [place]) for place in range(6)]
    records = Spied(whole, shape)
    sample = drawn(records, seed, mosaic=1.0, iou_crop=0.0)
    assert 0 in [index for index, _ in records.asked]
    assert len(records.asked) == 4
    covered = np.zeros((96, 128), dtype=int)
    for corners, label in zip(target(sample).boxes, target(sample).labels, strict=True):
        left, top, right, bottom = corners.round().astype(int)
        assert np.abs(corners - corners.round()).max() < 1e-6
        assert (sample.pixels[top:bottom, left:right] == colour(label)).all()
        covered[top:bottom, left:right] += 1
    shown = {index for index, (x, y, w, h) in records.asked if _centre_in(shape, (x, y, w, h))}
    assert set(target(sample).labels.tolist()) == shown
    assert covered.max(initial=0) <= 1


def _centre_in(shape: tuple[int, int], part: CropBox) -> bool:
    x, y, width, height = part
    return x < shape[1] / 2 < x + width and y < shape[0] / 2 < y + height


@given(scene=SCENES)
def test_mirrored_twice_is_as_before(scene: tuple[int, int, int, int]) -> None:
    shape, boxes = some_boxes(scene)
    once = mirrored_boxes(boxes, shape[1])
    assert np.allclose(mirrored_boxes(once, shape[1]).boxes, boxes.boxes)
    assert (once.boxes[:, 2] - once.boxes[:, 0] == boxes.boxes[:, 2] - boxes.boxes[:, 0]).all()
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert np.array_equal(mirrored(mirrored(pixels)), pixels)


def test_grey_lies_around_a_image_that_was_zoomed_out() -> None:
    records = Spied([boxes_of([[0, 0, 100, 80]], [7])], (80, 100))
    for seed in range(20):
        sample = drawn(records, seed, zoom_out=1.0, iou_crop=0.0)
        left, top, right, bottom = target(sample).boxes[0].round().astype(int)
        assert (sample.pixels[top:bottom, left:right] == colour(7)).all()
        outside = np.ones((96, 128), dtype=bool)
        outside[top:bottom, left:right] = False
        assert (sample.pixels[outside] == GREY).all()


def test_with_all_switched_off_training_sees_what_evaluation_sees() -> None:
    shape, boxes = some_boxes((300, 200, 9, 4))
    view = View(Spied([boxes], shape), channels=3, resolution=(96, 128), fit="letterbox")
    off = BoxAugment(iou_crop=0, zoom_out=0, photometric=0, flip=0, min_side=0)
    trained, judged = off.sample(view, 0, np.random.default_rng(0)), view.sample(0)
    assert np.array_equal(trained.pixels, judged.pixels)
    assert judged.target is not None
    assert np.allclose(target(trained).boxes, judged.target.inputs)


def test_the_same_numbers_draw_the_same_sample() -> None:
    shape, boxes = some_boxes((120, 160, 9, 4))
    records = Spied([boxes] * 6, shape)
    for seed in range(8):
        first, second = (drawn(records, seed, mosaic=0.5, photometric=0.5) for _ in range(2))
        assert np.array_equal(first.pixels, second.pixels)
        assert np.array_equal(target(first).boxes, target(second).boxes)


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
@pytest.mark.parametrize("kind", ["none", "pixels", "thousand"])
def test_extreme_images_make_sound_batches(kind: str, mosaic: float) -> None:
    rng = np.random.default_rng(0)
    corner = rng.integers(0, [640, 480], (1000, 2))
    size = rng.integers(1, 60, (1000, 2)) if kind == "thousand" else np.ones((1000, 2), int)
    corners = np.concatenate([corner, np.minimum(corner + size, [640, 480])], axis=1)
    boxes = boxes_of([], []) if kind == "none" else boxes_of(corners, np.zeros(1000))
    records = Spied([boxes, boxes], (480, 640))
    augment = BoxAugment(mosaic=mosaic)
    source = BatchSource(records, channels=3, resolution=(64, 64), crop=1.0, fit="stretch", augment=augment)
    for epoch in range(3):
        batch = source.__getitems__([(epoch, 0), (epoch, 1)])
        there = batch["target"]["labels"] >= 0
        corners_ = batch["target"]["boxes"][there]
        assert (corners_[:, :2] < corners_[:, 2:]).all()
        assert corners_.isfinite().all()
        assert there.any() == (kind != "none")


def test_what_is_hardly_seen_is_ignored_not_lost() -> None:
    shape, boxes = some_boxes((200, 200, 12, 1))
    single = boxes_of(boxes.boxes, boxes.labels)
    records = Spied([single], shape)
    for seed in range(30):
        plain = target(drawn(records, seed))
        wary = target(drawn(records, seed, min_visible=0.5, min_side=8.0))
        assert np.array_equal(plain.boxes, wary.boxes)
        small = (plain.boxes[:, 2:] - plain.boxes[:, :2]).min(1, initial=99) < 8
        assert wary.crowd[small].all()
        assert not plain.crowd.any()


@pytest.mark.parametrize("skip", [True, False])
def test_an_unreadable_partner_of_a_mosaic_blames_nobody_else(save: Save, tmp_path: Path, skip: bool) -> None:
    names = [f"{i}.png" for i in range(3)]
    for name in names:
        save(name)
    (tmp_path / "broken.png").write_bytes(b"no image")
    boxes = BoxTargets.of([boxes_of([[5, 5, 30, 30]], [0])] * 4)
    paths = [name.encode() for name in [*names, "broken.png"]]
    records = FileRecords(paths=paths, targets=boxes, channels=3, root=tmp_path)  # type: ignore[arg-type]
    log = SkipLog(tmp_path / "skipped.csv")
    source = BatchSource(
        records, channels=3, resolution=(32, 32), crop=1.0, fit="stretch", augment=BoxAugment(mosaic=1.0), skip=log
    )
    if not skip:
        source.skip = None
        with pytest.raises(UserError, match=r"broken\.png"):
            source.__getitems__([(0, 3)])
    for epoch in range(6):
        assert len(source.__getitems__([(epoch, i) for i in range(3)])["image"]) == 3
    if skip:
        assert len(source.__getitems__([(0, i) for i in range(4)])["image"]) == 3
        with (tmp_path / "skipped.csv").open() as file:
            assert [Path(row["file"]).name for row in csv.DictReader(file)] == ["broken.png"]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grey_and_alpha_go_through(save: Save, channels: int) -> None:
    path = save("1.png")
    boxes = BoxTargets.of([boxes_of([[5, 5, 60, 40]], [0])])
    records = FileRecords(paths=[bytes(path)], targets=boxes, channels=channels)  # type: ignore[arg-type]
    augment = BoxAugment(zoom_out=0.0, photometric=1.0)
    source = BatchSource(records, channels=channels, resolution=(24, 24), crop=1.0, fit="stretch", augment=augment)
    batches = [source[(epoch, 0)]["image"] for epoch in range(5)]
    assert all(batch.shape == (1, channels, 24, 24) for batch in batches)
    assert len({int(batch[:, :3].sum()) for batch in batches}) > 1
    if channels == 4:
        assert all((batch[:, 3] == 255).all() for batch in batches)


@pytest.mark.parametrize(
    "options",
    [
        {"flip": 1.5},
        {"iou_crop": -0.1},
        {"mosaic": 2.0},
        {"photometric": 1.1},
        {"hue": 0.6},
        {"zoom_out_most": 0.5},
        {"overlaps": []},
        {"crop_scale": [0.0, 1.0]},
        {"crop_ratio": [2.0, 1.0]},
        {"min_side": -1.0},
        {"min_visible": 1.5},
    ],
)
def test_senseless_settings_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"augment\.{next(iter(options))}"):
        BoxAugment(**options)


def test_torchs_generator_is_left_alone() -> None:
    shape, boxes = some_boxes((120, 160, 9, 4))
    before = torch.get_rng_state()
    drawn(Spied([boxes] * 3, shape), 1, mosaic=0.5, photometric=1.0)
    assert torch.equal(torch.get_rng_state(), before)
