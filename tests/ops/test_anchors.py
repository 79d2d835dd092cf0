"""Default boxes against hand counts and known values."""

from __future__ import annotations

import pytest
import torch

from mobilevision.ops.anchors import default_boxes, default_sizes

GRIDS = [(19, 19), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)]  # SSD 300: strides 16 and 32, then halved to one place


def test_counts_of_ssd_300() -> None:
    sizes = default_sizes(6, (300, 300))
    assert [len(each) for each in sizes] == [3, 6, 6, 6, 6, 6]
    boxes = default_boxes(GRIDS, sizes, (300, 300))
    assert boxes.shape == (19 * 19 * 3 + (100 + 25 + 9 + 4 + 1) * 6, 4) == (1917, 4)


def test_known_values() -> None:
    boxes = default_boxes(GRIDS, default_sizes(6, (300, 300), clip=False), (300, 300))
    step = 300 / 19
    expected = torch.tensor([[step / 2 - 15, step / 2 - 15, step / 2 + 15, step / 2 + 15]])  # scale 0.1
    torch.testing.assert_close(boxes[:1], expected)
    torch.testing.assert_close(boxes[3, :2] - boxes[0, :2], torch.tensor([step, 0.0]), atol=1e-4, rtol=0)  # a column
    torch.testing.assert_close(boxes[57, :2] - boxes[0, :2], torch.tensor([0.0, step]), atol=1e-4, rtol=0)  # a row
    sides = (boxes[1083:, 2:] - boxes[1083:, :2])[:6] / 300  # the second map: scale 0.35, next 0.5
    scale, root = 0.35, 0.35 * 3**0.5
    assert sides[0].tolist() == pytest.approx([scale, scale], rel=1e-5)
    assert sides[3].tolist() == pytest.approx([root, scale / 3**0.5], rel=1e-5)
    assert sides[5].tolist() == pytest.approx([(0.35 * 0.5) ** 0.5] * 2, rel=1e-5)
    last = (boxes[-6:, 2:] - boxes[-6:, :2]) / 300
    assert last[3, 0].item() == pytest.approx(0.95 * 3**0.5, rel=1e-5)
    assert last[5].tolist() == pytest.approx([0.95**0.5] * 2, rel=1e-5)


def test_a_square_is_square_on_a_wide_input() -> None:
    (shapes,) = default_sizes(1, (200, 400), scales=(0.2,), ratios=(1.0,), reduced=False)
    box = default_boxes([(1, 1)], [shapes[:1]], (200, 400))
    assert box.tolist() == [pytest.approx([180, 80, 220, 120])]


def test_clipped_sizes_fit_the_input() -> None:
    assert max(max(pair) for shapes in default_sizes(6, (300, 300)) for pair in shapes) == 1.0


def test_scales_one_a_map_and_a_wrong_number() -> None:
    assert default_sizes(3, (9, 9), scales=(0.1, 0.3, 0.8), reduced=False)[1][0] == pytest.approx((0.3, 0.3))
    with pytest.raises(ValueError, match="3 scales for 6 maps"):
        default_sizes(6, (9, 9), scales=(0.1, 0.3, 0.8))
