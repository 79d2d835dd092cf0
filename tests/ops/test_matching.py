"""Matching: torchvision's answers, a batch at a time, and what crowds, padding and odd boxes do."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection._utils import Matcher, SSDMatcher
from torchvision.ops import box_iou

from mobilevision.ops import matching
from mobilevision.ops.anchors import default_boxes, default_sizes
from mobilevision.ops.boxes import tensor_iou
from mobilevision.ops.matching import BACKGROUND, IGNORED, match

GRIDS = [(10, 10), (5, 5), (3, 3)]
REFERENCES = default_boxes(GRIDS, default_sizes(3, (300, 300)), (300, 300))[None]


def some_boxes(count: int, seed: int) -> torch.Tensor:
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(seed)) * 299
    return torch.cat([corners.amin(dim=1), corners.amax(dim=1) + 1], dim=1)


def matched(boxes: torch.Tensor, *, labels: list[int] | None = None, crowd: list[bool] | None = None, **kwargs: bool):  # noqa: ANN201
    """One image matched as SSD does."""
    labels_ = torch.zeros(1, len(boxes), dtype=torch.int64) if labels is None else torch.tensor([labels])
    crowd_ = torch.zeros(1, len(boxes), dtype=torch.bool) if crowd is None else torch.tensor([crowd])
    options = {"force": True} | kwargs
    return match(REFERENCES, boxes[None], labels_, crowd_, positive=0.5, negative=0.5, **options)[0]


@pytest.mark.parametrize("seed", range(5))
def test_equals_torchvisions_ssd_matcher(seed: int) -> None:
    boxes = some_boxes(12, seed)
    torch.testing.assert_close(matched(boxes), SSDMatcher(0.5)(box_iou(boxes, REFERENCES[0])))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("force", [True, False])
def test_equals_torchvisions_matcher(seed: int, force: bool) -> None:
    boxes = some_boxes(8, seed)
    quality = box_iou(boxes, REFERENCES[0])
    none = torch.zeros(1, 8, dtype=torch.int64)
    ours = match(REFERENCES, boxes[None], none, none.bool(), positive=0.6, negative=0.3, force=force, ties=True)
    torch.testing.assert_close(ours[0], Matcher(0.6, 0.3, allow_low_quality_matches=force)(quality))


def test_a_batch_is_matched_as_its_images_whatever_is_compared_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = torch.stack([some_boxes(6, seed) for seed in range(5)])
    labels, crowd = torch.zeros(5, 6, dtype=torch.int64), torch.zeros(5, 6, dtype=torch.bool)
    labels[1, 3:] = -1
    crowd[2, 0] = True
    references = REFERENCES.expand(5, -1, -1)
    whole = match(references, boxes, labels, crowd, positive=0.5, negative=0.4, force=True)
    monkeypatch.setattr(matching, "PAIRS", 1)
    torch.testing.assert_close(match(references, boxes, labels, crowd, positive=0.5, negative=0.4, force=True), whole)


def test_padding_is_never_matched() -> None:
    boxes = some_boxes(4, 0)
    alone = matched(boxes[:2])
    torch.testing.assert_close(matched(boxes, labels=[0, 0, -1, -1]), alone)
    assert (matched(boxes, labels=[-1] * 4) == BACKGROUND).all()


def test_references_in_a_crowd_are_ignored() -> None:
    crowd = torch.tensor([[0.0, 0, 150, 300], [200, 200, 260, 260]])
    found = matched(crowd, crowd=[True, False])
    left = REFERENCES[0, :, 2].clamp(max=300) <= 150
    assert (found[left & (REFERENCES[0, :, 0] >= 0)] == IGNORED).all()
    assert set(found.unique().tolist()) == {IGNORED, BACKGROUND, 1}
    assert (found[REFERENCES[0, :, 0] > 150] != IGNORED).all()


def test_a_box_within_a_crowd_is_still_found() -> None:
    boxes = torch.tensor([[0.0, 0, 300, 300], [100, 100, 160, 160]])
    assert (matched(boxes, crowd=[True, False]) == 1).any()


def test_degenerate_boxes_match_nothing_and_give_no_nan() -> None:
    boxes = torch.tensor([[5.0, 5, 5, 5], [9, 9, 4, 4], [0, 0, 0, 0]])
    assert tensor_iou(boxes[:, None], boxes).isfinite().all()
    assert (matched(boxes) == BACKGROUND).all()


def test_the_smallest_box_gets_a_reference() -> None:
    assert (matched(torch.tensor([[100.0, 100, 101, 101]])) == 0).sum() == 1


def test_a_thousand_boxes() -> None:
    found = matched(some_boxes(1000, 3))
    assert found.max() < 1000
    assert found.min() >= BACKGROUND


def test_mixed_precision_changes_nothing() -> None:
    boxes = some_boxes(9, 1)
    plain = matched(boxes)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(matched(boxes), plain)
