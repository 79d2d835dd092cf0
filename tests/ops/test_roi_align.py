"""RoIAlign: what torchvision's gives, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import roi_align as reference

from mobilevision.ops.roi_align import _by_torchvision, roi_align

BOXES = torch.tensor(
    [
        [[0, 0, 300, 300], [10.5, 20.25, 90, 44], [250, 250, 299, 299], [5, 5, 5, 5]],
        [[-40, -30, 20, 25], [280, 100, 360, 420], [7, 9, 8, 10], [400, 400, 500, 500]],
    ]
)


def listed(boxes: Tensor) -> list[Tensor]:
    return list(boxes.unbind())


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("side", [7, 3])
def test_equal_to_torchvision(layout: torch.memory_format, side: int) -> None:
    torch.manual_seed(0)
    ours = torch.randn(2, 5, 19, 17).to(memory_format=layout).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    found = roi_align([ours], BOXES, [16], side=side)
    expected = reference(theirs, listed(BOXES), side, 1 / 16, 2)
    torch.testing.assert_close(found, expected, check_stride=False)
    gradient = torch.randn_like(expected)
    found.backward(gradient)
    expected.backward(gradient)
    torch.testing.assert_close(ours.grad, theirs.grad, check_stride=False)


def test_gradients_in_double_precision() -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: roi_align([x], BOXES.double(), [64], side=2), [maps])


def test_each_box_from_its_level() -> None:
    torch.manual_seed(0)
    strides = (8, 16, 32)
    maps = [torch.randn(2, 3, 300 // stride + 1, 300 // stride + 1, requires_grad=True) for stride in strides]
    levels = torch.tensor([[2, 1, 0, 0], [1, 2, 0, 1]])
    found = roi_align(maps, BOXES, strides, levels=levels)
    flat = levels.flatten()
    for level, (each, stride) in enumerate(zip(maps, strides, strict=True)):
        expected = reference(each, listed(BOXES), 7, 1 / stride, 2)[flat == level]
        torch.testing.assert_close(found[flat == level], expected, check_stride=False)
    found.square().sum().backward()
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in maps)


class _Aligned(nn.Module):
    def forward(self, one: Tensor, two: Tensor, boxes: Tensor, levels: Tensor) -> Tensor:
        return roi_align([one, two], boxes, [8, 16], levels=levels)


def test_exported_it_is_torchvisions() -> None:
    torch.manual_seed(0)
    given = (torch.randn(2, 3, 38, 38), torch.randn(2, 3, 19, 19), BOXES, torch.tensor([[0, 1, 0, 1]] * 2))
    program = torch.export.export(_Aligned(), given)
    assert "roi_align" in program.graph_module.code
    torch.testing.assert_close(program.module()(*given), _Aligned()(*given), check_stride=False)


def test_half_precision_and_no_numbers() -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 19, 19)
    with torch.autocast("cpu", torch.bfloat16):
        found = roi_align([maps.bfloat16()], BOXES, [16])
    assert found.dtype is torch.bfloat16
    torch.testing.assert_close(found.float(), roi_align([maps.bfloat16().float()], BOXES, [16]), atol=2e-2, rtol=1e-2)
    elsewhere = _by_torchvision([maps.bfloat16()], BOXES, [16], torch.zeros(2, 4, dtype=torch.int64), 7)
    torch.testing.assert_close(elsewhere, found, atol=2e-2, rtol=1e-2)
    assert roi_align([maps], torch.full_like(BOXES, float("nan")), [16]).shape == (8, 3, 7, 7)
    assert roi_align([maps.to("meta")], BOXES.to("meta"), [16]).shape == (8, 3, 7, 7)
