"""Proposals: torchvision's choice of them, and the sample that the second stage learns from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection.rpn import RegionProposalNetwork

from mobilevision.ops.box_coding import decode
from mobilevision.ops.boxes import tensor_iou
from mobilevision.ops.candidates import Candidates
from mobilevision.ops.proposals import best_proposals, sampled_regions

SIDE = (200, 300)
LEVELS = [600, 150]


def candidates(seed: int, batch: int = 2) -> Candidates:
    torch.manual_seed(seed)
    count = sum(LEVELS)
    corners = torch.rand(batch, count, 2) * torch.tensor([300, 200])
    references = torch.cat([corners, corners + 5 + torch.rand(batch, count, 2) * 80], dim=2) - 20
    logits, deltas = torch.randn(batch, count, 2), torch.randn(batch, count, 4) * 0.2
    return Candidates(logits, deltas, references, torch.ones(batch, count, dtype=torch.bool), (1.0, 1.0, 1.0, 1.0))


@pytest.mark.parametrize(("before", "after"), [(1000, 1000), (100, 1000), (200, 40)])
def test_equal_to_torchvisions(before: int, after: int) -> None:
    given = candidates(before)
    counts = ({"training": n, "testing": n} for n in (before, after))
    theirs = RegionProposalNetwork(nn.Identity(), nn.Identity(), 0.7, 0.3, 256, 0.5, *counts, 0.7).eval()
    objectness = given.logits[..., 1] - given.logits[..., 0]
    decoded = decode(given.deltas, given.anchors, given.weights)
    expected, _ = theirs.filter_proposals(decoded, objectness, [SIDE, SIDE], LEVELS)
    boxes, valid = best_proposals(given, LEVELS, resolution=SIDE, before=before, after=after, iou=0.7)
    assert boxes.shape[1] == min(after, sum(min(before, n) for n in LEVELS))
    for found, good, theirs_ in zip(boxes, valid, expected, strict=True):
        torch.testing.assert_close(found[good], theirs_)
        assert bool(good[: int(good.sum())].all())


def test_odd_boxes_and_meta() -> None:
    given = candidates(3)
    for references in (torch.full_like(given.anchors, 400), torch.full_like(given.anchors, float("nan"))):
        odd = given._replace(anchors=references)
        _, valid = best_proposals(odd, LEVELS, resolution=SIDE, before=100, after=50, iou=0.7)
        assert not valid.any()
    flat = Candidates(*(value.to("meta") for value in given[:4]), given.weights)
    boxes, valid = best_proposals(flat, LEVELS, resolution=SIDE, before=100, after=50, iou=0.7)
    assert boxes.is_meta
    assert (boxes.shape, valid.shape) == ((2, 50, 4), (2, 50))


def target(boxes: list[list[list[float]]], labels: list[list[int]], crowd: list[list[bool]]) -> dict[str, Tensor]:
    return {"boxes": torch.tensor(boxes), "labels": torch.tensor(labels), "crowd": torch.tensor(crowd)}


def test_a_sample_holds_true_boxes_and_its_share() -> None:
    truth = [[10.0, 10, 60, 60], [100, 50, 180, 120], [0, 0, 0, 0]]
    wanted = target([truth, [[0.0] * 4] * 3], [[0, 2, -1], [-1, -1, -1]], [[False] * 3] * 2)
    torch.manual_seed(0)
    near = torch.tensor(truth[0]) + torch.rand(2, 30, 4) * 4
    far = torch.tensor([200.0, 150, 250, 190]) + torch.rand(2, 60, 4)
    proposals = torch.cat([near, far], dim=1)
    valid = torch.ones(2, 90, dtype=torch.bool)
    seen = set()
    for _ in range(20):
        regions, good = sampled_regions(proposals, valid, wanted, count=32, positives=0.25)
        assert regions.shape == (2, 32, 4)
        assert good.all()
        shown = tensor_iou(wanted["boxes"][:, :, None], regions[:, None])[0].amax(dim=0) >= 0.5
        assert int(shown.sum()) == 8
        seen |= {tuple(box) for box in regions[0].tolist()}
    assert tuple(truth[1]) in seen
    assert (0.0, 0.0, 0.0, 0.0) not in seen


def test_too_few_and_crowds() -> None:
    crowd = target([[[0.0, 0, 100, 100], [120, 20, 121, 21]]], [[0, 1]], [[True, False]])
    inside, outside = [[10.0, 10, 40, 40]] * 3, [[150.0, 100, 200, 150]] * 2
    proposals = torch.tensor([inside + outside])
    valid = torch.tensor([[True, True, True, True, False]])
    regions, good = sampled_regions(proposals, valid, crowd, count=16, positives=0.5)
    assert regions.shape == (1, 7, 4)
    assert sorted(regions[good].tolist()) == [[120, 20, 121, 21], [150, 100, 200, 150]]
