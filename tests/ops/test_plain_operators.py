"""Operators taken apart do what torchvision's do, whatever they are given."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.ops import nms, roi_align

from mobilevision.ops.roi_align import roi_align_by_matrices
from mobilevision.ops.suppression import suppress_in_steps

LEAST = 0.1


def boxes_of(rows: int, count: int, *, side: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(rows, count, 2, generator=generator) * 100
    sides = torch.rand(rows, count, 2, generator=generator) * side
    scores = torch.stack([torch.randperm(count, generator=generator) for _ in range(rows)]) / max(count, 1)
    return torch.cat([corners, corners + sides], dim=-1), scores


def by_torchvision(boxes: Tensor, scores: Tensor, iou: float, least: float) -> Tensor:
    kept = torch.zeros_like(scores, dtype=torch.bool)
    for row in range(len(scores)):
        part = (scores[row] > least).nonzero().flatten()
        kept[row, part[nms(boxes[row, part], scores[row, part], iou)]] = True
    return kept


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("iou", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize(("rows", "count", "side"), [(3, 60, 80.0), (1, 40, 20.0), (2, 1, 50.0), (2, 0, 1.0)])
def test_it_keeps_what_nms_keeps(rows: int, count: int, side: float, iou: float, loop: bool) -> None:
    boxes, scores = boxes_of(rows, count, side=side)
    expected = by_torchvision(boxes, scores, iou, LEAST)
    assert torch.equal(suppress_in_steps(boxes, scores, iou, LEAST, loop=loop), expected)


@pytest.mark.parametrize("loop", [True, False])
def test_a_long_chain_is_followed_to_its_end(loop: bool) -> None:
    """Each box covers the next one only: every other one stays, which no small number of passes finds."""
    left = torch.arange(50.0) * 5
    boxes = torch.stack([left, torch.zeros(50), left + 10, torch.ones(50)], dim=1)[None]
    scores = torch.linspace(1, 0.5, 50)[None]
    kept = suppress_in_steps(boxes, scores, 0.3, LEAST, loop=loop)
    assert kept[0].tolist() == [place % 2 == 0 for place in range(50)]
    assert torch.equal(kept, by_torchvision(boxes, scores, 0.3, LEAST))


@pytest.mark.parametrize("loop", [True, False])
def test_odd_boxes(loop: bool) -> None:
    boxes = torch.tensor([[[5.0, 5, 5, 5], [5, 5, 5, 5], [0, 0, 9, 9], [0, 0, 9, 9], [9, 0, 18, 9], [7, 7, 3, 3]]])
    scores = torch.tensor([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]])
    assert torch.equal(
        suppress_in_steps(boxes, scores, 0.5, LEAST, loop=loop), by_torchvision(boxes, scores, 0.5, LEAST)
    )
    nobody = torch.full_like(scores, LEAST)
    assert not suppress_in_steps(boxes, nobody, 0.5, LEAST, loop=loop).any()
    one_of_equals = suppress_in_steps(boxes[:, 2:4], torch.tensor([[0.7, 0.7]]), 0.5, LEAST, loop=loop)
    assert one_of_equals.sum() == 1


@pytest.mark.parametrize(("height", "width", "stride"), [(11, 9, 16), (1, 1, 64), (20, 20, 8)])
def test_regions_are_sampled_as_torchvision_does(height: int, width: int, stride: int) -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, 8, height, width, generator=generator)
    corners = torch.rand(60, 2, generator=generator) * 300 - 80
    boxes = torch.cat([corners, corners + torch.rand(60, 2, generator=generator) * 200], dim=1)
    odd = [[5, 5, 5, 5], [-100, -100, -50, -50], [0, 0, width * stride, height * stride], [9, 9, 3, 3]]
    boxes = torch.cat([boxes, torch.tensor(odd, dtype=torch.float32)])
    rows = torch.cat([torch.zeros(len(boxes), 1), boxes], dim=1)
    expected = roi_align(features, rows, (7, 5), 1 / stride, 2)
    torch.testing.assert_close(roi_align_by_matrices(features, rows, 1 / stride, 7, 5), expected, rtol=1e-4, atol=1e-4)
