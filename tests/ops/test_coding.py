"""Boxes to offsets and back: torchvision's numbers, and finite ones at the edges."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection._utils import BoxCoder

from mobilevision.ops.box_coding import SSD_WEIGHTS, decode, encode


def some_boxes(*shape: int, seed: int = 0, side: float = 300) -> torch.Tensor:
    """Random boxes [*shape, 4] with sides of at least a pixel."""
    corners = torch.rand(*shape, 2, 2, generator=torch.Generator().manual_seed(seed)) * (side - 1)
    low, high = corners.amin(dim=-2), corners.amax(dim=-2) + 1
    return torch.cat([low, high], dim=-1)


@pytest.mark.parametrize("weights", [SSD_WEIGHTS, (1.0, 1.0, 1.0, 1.0)])
def test_equals_torchvision(weights: tuple[float, float, float, float]) -> None:
    boxes, references = some_boxes(500), some_boxes(500, seed=1)
    coder = BoxCoder(weights)
    deltas = encode(boxes, references, weights)
    torch.testing.assert_close(deltas, coder.encode_single(boxes, references))
    noisy = deltas * 2
    torch.testing.assert_close(decode(noisy, references, weights), coder.decode_single(noisy, references))


def test_comes_back_in_any_shape() -> None:
    boxes, references = some_boxes(2, 7, 3), torch.tensor([60.0, 90, 200, 180]).expand(2, 7, 1, 4)
    back = decode(encode(boxes, references, SSD_WEIGHTS), references, SSD_WEIGHTS)
    torch.testing.assert_close(back, boxes, atol=1e-3, rtol=1e-5)


def test_degenerate_boxes_stay_finite() -> None:
    boxes = torch.tensor([[5.0, 5, 5, 5], [0, 0, 1, 1], [7, 7, 3, 3], [0, 0, 300, 300]])
    deltas = encode(boxes[:, None], boxes[None], SSD_WEIGHTS)
    assert deltas.isfinite().all()
    assert decode(deltas, boxes[None], SSD_WEIGHTS).isfinite().all()
    assert decode(torch.full((1, 4), 1e4), boxes[-1:], SSD_WEIGHTS).isfinite().all()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_full(kind: torch.dtype) -> None:
    deltas, references = torch.randn(9, 4).to(kind), some_boxes(9)
    assert decode(deltas, references, SSD_WEIGHTS).dtype == torch.float32
    torch.testing.assert_close(decode(deltas, references, SSD_WEIGHTS), decode(deltas.float(), references, SSD_WEIGHTS))
