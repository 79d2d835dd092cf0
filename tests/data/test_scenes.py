from __future__ import annotations

import numpy as np

from mobilevision.data.formats import Scenes
from mobilevision.data.synthetic.scenes import CLASSES, EMPTY, FORMS, HIDDEN, Scene, draw, scene


def scenes(n: int, side: int = 128) -> list[Scene]:
    return [scene(np.random.default_rng(i), i, side=side, classes=len(CLASSES)) for i in range(n)]


def test_boxes_are_tight_around_the_forms() -> None:
    for seed, whole in enumerate(scenes(40)):
        bare = np.asarray(draw(np.random.default_rng(seed), whole._replace(outlines=[])), dtype=int)
        for box, outline in zip(whole.boxes, whole.outlines, strict=True):
            alone = np.asarray(draw(np.random.default_rng(seed), whole._replace(outlines=[outline])), dtype=int)
            rows, columns = np.nonzero(np.abs(alone - bare).max(axis=2) > 24)
            seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert np.abs(box - seen).max() <= 1.5, "within the pixel that the edge runs through"


def test_boxes_lie_in_the_image_and_hide_little_of_each_other() -> None:
    for each in scenes(200):
        boxes, (height, width) = each.boxes, each.shape
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2:] <= (width, height)).all()
        sides = np.clip(
            np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - np.maximum(boxes[:, None, :2], boxes[:, :2]), 0, None
        )
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        shared = sides.prod(axis=2) / np.minimum(areas[:, None], areas)
        assert (shared[~np.eye(len(boxes), dtype=bool)] <= HIDDEN + 1e-9).all()


def test_images_hold_none_to_several_forms_of_every_class_and_many_sizes() -> None:
    train = Scenes(train=600, val=0, test=0).read(root=None, kind="boxes", channels=3, seed=0).train
    assert train is not None
    assert any(len(set(train.shape(i))) == 2 for i in range(60)), "some are not square"
    assert all(train.pixels(i).shape == (*train.shape(i), 3) for i in range(20))
    targets = train.targets
    counts = np.diff(targets.offsets)
    assert counts[EMPTY - 1 :: EMPTY].sum() == 0
    assert (counts == 0).sum() == 600 // EMPTY
    assert counts.max() >= 5
    share = np.bincount(targets.all.labels) / len(targets.all.labels)
    assert np.abs(share - 1 / len(CLASSES)).max() < 0.03
    sides = (targets.all.boxes[:, 2:] - targets.all.boxes[:, :2]).max(axis=1) / 144
    assert np.quantile(sides, 0.1) < 0.23
    assert np.quantile(sides, 0.95) > 0.5
    assert not targets.all.crowd.any()


def test_a_handful_shows_only_as_many_classes() -> None:
    read = Scenes(train=4, val=6, test=6).read(root=None, kind="boxes", channels=3, seed=0)
    assert read.classes == CLASSES[:4]
    for _, records in read.items():
        assert set(records.targets.all.labels.tolist()) <= set(range(4))
    assert set(read.train.targets.all.labels.tolist()) == set(range(4))


def test_forms_are_distinct_and_colours_do_not_give_them_away() -> None:
    assert len({form.tobytes() for form in FORMS}) == len(CLASSES) == len(FORMS)
    colours: list[list[np.ndarray]] = [[] for _ in CLASSES]
    for seed, whole in enumerate(scenes(300)):
        pixels = np.asarray(draw(np.random.default_rng(seed), whole), dtype=float)
        for label, box in zip(whole.labels, whole.boxes.astype(int), strict=True):
            colours[label].append(pixels[box[1] : box[3], box[0] : box[2]].mean(axis=(0, 1)))
    means = np.array([np.mean(each, axis=0) for each in colours])
    assert np.ptp(means, axis=0).max() < 30, "of 255; one class's colours spread by about 60"
