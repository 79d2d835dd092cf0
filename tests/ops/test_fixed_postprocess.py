"""Detections with fixed shapes are the detections: same boxes, scores and labels at every load."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mobilevision.ops.anchors import default_boxes, default_sizes
from mobilevision.ops.box_coding import SSD_WEIGHTS
from mobilevision.ops.candidates import Candidates
from mobilevision.ops.postprocess import detections, fixed_detections
from mobilevision.ops.proposals import _fixed_survivors, _survivors
from mobilevision.ops.suppression import suppress

GRIDS = [(10, 10), (5, 5), (3, 3)]
REFERENCES = default_boxes(GRIDS, default_sizes(3, (160, 200)), (160, 200))


def candidates(outputs: int, *, sharp: float, background: float, by_class: bool = False) -> Candidates:
    generator = torch.Generator().manual_seed(outputs)
    logits = sharp * torch.randn(3, len(REFERENCES), outputs, generator=generator)
    logits[..., 0] += background
    shape = (3, len(REFERENCES), outputs, 4) if by_class else (3, len(REFERENCES), 4)
    valid = torch.rand(logits.shape[:2], generator=generator) < 0.9
    deltas = torch.randn(shape, generator=generator)
    return Candidates(logits, deltas, REFERENCES.expand(3, -1, -1), valid, SSD_WEIGHTS)


@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize(("sharp", "background"), [(1.0, 0.0), (3.0, 4.0), (1.0, 9.0)])
@pytest.mark.parametrize(("per_class", "most", "classes"), [(None, 100, None), (20, 30, 4), (400, 2000, None)])
def test_they_are_those_of_the_other_way(
    sharp: float, background: float, per_class: int | None, most: int, classes: int | None, by_class: bool
) -> None:
    given = candidates(6, sharp=sharp, background=background, by_class=by_class)
    options = {"resolution": (160, 200), "score_threshold": 0.01, "iou": 0.45, "classes": classes}
    expected = detections(given, per_class=per_class, most=most, **options)
    found = fixed_detections(given, per_class=per_class, most=most, **options)
    assert {name: (value.shape, value.dtype) for name, value in found.items()} == {
        name: (value.shape, value.dtype) for name, value in expected.items()
    }
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-4, msg=name)


def test_the_operator_is_suppression_in_each_row() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [0, 0, 9, 9]])
    scores = torch.tensor([[0.5, 0.9, 0.3, 0.1], [0.9, 0.5, 0.01, 0.0]])
    kept = suppress(boxes.expand(2, -1, -1).contiguous(), scores, 0.5, 0.05)
    assert kept.tolist() == [[False, True, True, False], [True, False, False, False]]
    torch.library.opcheck(torch.ops.mobilevision.suppress.default, (boxes[None], scores[:1], 0.5, 0.05))


def test_proposals_survive_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    corners: Tensor = torch.rand(2, 90, 2, generator=generator) * 80
    boxes = torch.cat([corners, corners + torch.rand(2, 90, 2, generator=generator) * 40], dim=2)
    boxes[:, ::7, 2:] = boxes[:, ::7, :2]  # no sides
    scores = 5 * torch.randn(2, 90, generator=generator)
    expected = _survivors(boxes, scores, [60, 30], 0.5)
    assert 10 < expected.sum() < 150
    torch.testing.assert_close(_fixed_survivors(boxes, scores, [60, 30], 0.5), expected)
