from __future__ import annotations

import numpy as np
import torch
from torchvision.ops import box_iou

from mobilevision.ops.anchor_planning import Places, cluster, coverage, overlaps, plan


def places(rows: int, columns: int) -> Places:
    return Places((np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows)


def one_class(boxes: np.ndarray) -> np.ndarray:
    return np.zeros(len(boxes), dtype=np.int64)


def boxes_of(rng: np.random.Generator, shapes: np.ndarray, spread: float = 0.02) -> np.ndarray:
    sides = np.clip(shapes * np.exp(rng.normal(0, spread, shapes.shape)), 0.02, 1)
    corner = rng.random(shapes.shape) * (1 - sides)
    return np.concatenate([corner, corner + sides], axis=1)


def test_overlaps_are_the_best_over_all_places() -> None:
    rng = np.random.default_rng(0)
    boxes = boxes_of(rng, rng.uniform(0.05, 0.9, (50, 2)))
    shapes = rng.uniform(0.05, 1.2, (7, 2))
    for rows, columns in ((1, 1), (2, 3), (8, 5)):
        where = places(rows, columns)
        centres = np.stack(np.meshgrid(where.x, where.y), axis=-1).reshape(-1, 1, 2)
        anchors = np.concatenate([centres - shapes / 2, centres + shapes / 2], axis=2)
        every = box_iou(torch.from_numpy(boxes), torch.from_numpy(anchors.reshape(-1, 4)))
        expected = every.reshape(50, -1, 7).amax(1).numpy()
        np.testing.assert_allclose(overlaps(boxes, where, shapes), expected, atol=1e-12)


def test_clusters_find_the_shapes_that_there_are() -> None:
    rng = np.random.default_rng(0)
    true = np.array([(0.1, 0.2), (0.4, 0.1), (0.5, 0.6)])
    shapes = np.repeat(true, 40, axis=0) * np.exp(rng.normal(0, 0.03, (120, 2)))
    np.testing.assert_allclose(cluster(shapes, 3, np.random.default_rng(1)), true, rtol=0.05)
    assert len(cluster(np.repeat(true, 5, axis=0), 9, rng)) == 3, "no more clusters than shapes"


def test_a_plan_covers_odd_shapes_that_the_old_boxes_miss() -> None:
    rng = np.random.default_rng(0)
    boxes = boxes_of(rng, np.repeat([(0.15, 0.6), (0.8, 0.12)], 100, axis=0))
    maps = [places(16, 16), places(4, 4)]
    before = [[(0.1, 0.1), (0.2, 0.2)], [(0.4, 0.4), (0.6, 0.6)]]
    planned = plan(boxes, one_class(boxes), maps, before, np.random.default_rng(0))
    assert [len(each) for each in planned] == [2, 2]
    assert coverage(boxes, one_class(boxes), maps, before).recall < 0.1
    assert coverage(boxes, one_class(boxes), maps, planned).recall > 0.8
    assert coverage(boxes, one_class(boxes), maps, planned).mean > coverage(boxes, one_class(boxes), maps, before).mean


def test_coverage_counts_the_places_not_only_the_shapes() -> None:
    box = np.array([[0.0, 0.0, 0.2, 0.2]])
    assert coverage(box, one_class(box), [places(5, 5)], [[(0.2, 0.2)]])[:2] == (1.0, 1.0)
    assert coverage(box, one_class(box), [places(1, 1)], [[(0.2, 0.2)]])[:2] == (0.0, 0.0)


def test_boxes_that_fit_are_kept_and_small_ones_stay_off_coarse_maps() -> None:
    rng = np.random.default_rng(0)
    boxes = boxes_of(rng, np.full((50, 2), 0.1), spread=0.0)
    planned = plan(boxes, one_class(boxes), [places(16, 16), places(1, 1)], [[(0.3, 0.3)], [(0.9, 0.9)]], rng)
    assert np.allclose(planned[0], 0.1)
    assert planned[1] == [(0.9, 0.9)]


def test_large_boxes_are_left_to_coarse_maps() -> None:
    rng = np.random.default_rng(0)
    boxes = boxes_of(rng, np.full((50, 2), 0.6))
    planned = plan(boxes, one_class(boxes), [places(32, 32), places(4, 4)], [[(0.1, 0.1)], [(0.9, 0.9)]], rng)
    assert planned[0] == [(0.1, 0.1)], "a place of a fine map sees too little for them"
    assert np.allclose(planned[1], 0.6, atol=0.03)


def test_more_or_fewer_boxes_at_each_place() -> None:
    rng = np.random.default_rng(0)
    boxes = boxes_of(rng, rng.uniform(0.1, 0.5, (80, 2)))
    for count in (1, 4, 30):
        planned = plan(
            boxes[:20],
            one_class(boxes[:20]),
            [places(8, 8), places(1, 1)],
            [[(0.2, 0.2)], [(0.5, 0.5)] * 6],
            rng,
            count=count,
        )
        assert [len(each) for each in planned] == [count, count]


def test_boxes_without_area_do_no_harm() -> None:
    boxes = np.array([[0.1, 0.1, 0.1, 0.5], [0.2, 0.2, 0.4, 0.4]])
    planned = plan(boxes, one_class(boxes), [places(4, 4)], [[(0.2, 0.2), (0.0, 0.0)]], np.random.default_rng(0))
    assert np.isfinite(planned).all()
    assert np.isfinite(coverage(boxes, one_class(boxes), [places(4, 4)], planned)[:2]).all()
