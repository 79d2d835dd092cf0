"""Anchors on maps, and boxes on levels: torchvision's, but for its rounding."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops.poolers import LevelMapper

from mobilevision.ops.anchors import anchor_sizes, box_levels, centred, grid_anchors

RATIOS = (0.5, 1.0, 2.0)


def test_equal_to_torchvisions_at_every_place() -> None:
    height, width = 320, 480
    strides = (16, 32)
    sizes = anchor_sizes(2, (height, width), scales=(0.1, 0.2, 0.4, 0.8), ratios=RATIOS)
    theirs = AnchorGenerator(((32, 64), (128, 256)), tuple((tuple(1 / ratio for ratio in RATIOS),) * 2))
    shapes = [centred(each, (height, width)) for each in sizes]
    for ours, rounded in zip(shapes, theirs.cell_anchors, strict=True):
        assert (ours - rounded).abs().max() <= 0.5
    theirs.cell_anchors = shapes
    maps = [torch.zeros(1, 1, height // stride, width // stride) for stride in strides]
    expected = theirs(ImageList(torch.zeros(1, 3, height, width), [(height, width)]), maps)[0]
    found = [
        grid_anchors(each, (x.shape[2], x.shape[3]), stride)
        for each, x, stride in zip(shapes, maps, strides, strict=True)
    ]
    torch.testing.assert_close(torch.cat(found), expected)


def test_scales_are_dealt_out() -> None:
    sizes = anchor_sizes(2, (100, 200), scales=(0.4, 0.1, 0.2, 0.8), ratios=(1.0, 4.0))
    torch.testing.assert_close(torch.tensor(sizes[0]), torch.tensor([(0.05, 0.1), (0.1, 0.2), (0.1, 0.05), (0.2, 0.1)]))
    with pytest.raises(ValueError, match="4 scales cannot be dealt out to 3 maps"):
        anchor_sizes(3, (100, 200), scales=(0.4, 0.1, 0.2, 0.8), ratios=(1.0,))


def test_levels_are_torchvisions() -> None:
    torch.manual_seed(0)
    corners = torch.rand(200, 2) * 300
    boxes = torch.cat([corners, corners + torch.rand(200, 2) * 700 + 1], dim=1)
    boxes = torch.cat([boxes, torch.tensor([[0.0, 0, 224, 224], [0, 0, 448, 448]])])
    for strides, (finest, coarsest) in {(4, 8, 16, 32): (2, 5), (8, 16): (3, 4)}.items():
        expected = LevelMapper(finest, coarsest)([boxes])
        assert torch.equal(box_levels(boxes, strides, canonical=224), expected)
    assert box_levels(torch.zeros(1, 2, 4), (8, 16, 32), canonical=90.0).tolist() == [[0, 0]]
