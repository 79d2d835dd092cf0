"""PicoDet's head: shapes at any side, boxes round its points, detections with and without suppression."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mobilevision.errors import UserError
from mobilevision.heads import PicoDetHead
from mobilevision.heads.picodet import best_rivals
from mobilevision.ops.candidates import PointCandidates, PointOutputs, distances_to_boxes, expected_values
from mobilevision.ops.postprocess import top_k_detections
from mobilevision.spec import BackboneSpec, DataSpec, Features

SPEC = BackboneSpec(64, {8: 16, 16: 32, 32: 64})


def head(side: tuple[int, int] = (96, 128), **options: object) -> PicoDetHead:
    data = DataSpec("boxes", ("a", "b", "c"), 3, side)
    torch.manual_seed(0)
    return PicoDetHead(backbone=SPEC, data=data, channels=16, **options)  # type: ignore[arg-type]


def features(side: tuple[int, int], batch: int = 2, *, floor: bool = False) -> Features:
    def size(length: int, stride: int) -> int:
        return length // stride if floor else -(-length // stride)

    maps = {s: torch.randn(batch, wide, size(side[0], s), size(side[1], s)) for s, wide in SPEC.strides.items()}
    return Features(maps, None)


@pytest.mark.parametrize(("width", "channels"), [(0.75, 96), (1.0, 128), (1.25, 160), (0.5, 64), (0.1, 16)])
def test_the_pyramid_is_as_wide_as_the_backbone(width: float, channels: int) -> None:
    data = DataSpec("boxes", ("a", "b", "c"), 3, (64, 64))
    head = PicoDetHead(backbone=replace(SPEC, multiplier=width), data=data)
    maps = head.neck([torch.zeros(2, wide, 8, 8) for wide in SPEC.strides.values()])
    assert {each.shape[1] for each in maps} == {channels}


@pytest.mark.parametrize("side", [(96, 128), (100, 75), (33, 320), (32, 32)])
@pytest.mark.parametrize("strides", [(8, 16, 32), (16, 32), (32,), (8, 16, 32, 64), (32, 64, 128)])
def test_a_candidate_a_cell_of_every_map(side: tuple[int, int], strides: tuple[int, ...]) -> None:
    made = head(side, strides=strides).eval()
    found = made(features(side)).final
    assert found.logits.shape[2:] == (3,)
    assert found.sides.shape[2:] == (4, 8)
    assert found.points.shape[:2] == found.strides.shape == found.logits.shape[:2]
    assert set(found.strides[0].tolist()) == set(map(float, strides))
    for stride in strides:
        points = found.points[0][found.strides[0] == stride]
        assert points.min().item() == stride / 2
        assert len(points) == len({tuple(point) for point in points.tolist()})
    scores = found.probabilities()
    assert 0.005 < scores.mean().item() < 0.02, "an untrained head expects little"


@pytest.mark.parametrize("strides", [(8, 16), (8, 32)])
def test_a_rival_stands_around_or_on_the_next_map(strides: tuple[int, int]) -> None:
    fine, coarse = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, *(2 * [128 // strides[1]]))
    fine[0, 0, 0, 15], coarse[0, 0, -1, 0] = 2.0, 1.0
    near, far = best_rivals((fine, coarse), strides)
    assert [near[0, 0, *place].item() for place in ((1, 14), (15, 0), (4, 12))] == [2, 1, 0]
    assert [far[0, 0, *place].item() for place in ((0, -1), (-1, 0))] == [2, 1]


@pytest.mark.parametrize("strides", [(4, 8), (64,), (8, 16, 32, 128), (2,)])
def test_strides_that_cannot_be_had_are_refused(strides: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"head\.strides=.*the backbone has maps at strides 8, 16, 32"):
        head(strides=strides)


def test_a_box_is_the_mean_of_its_sides_in_strides() -> None:
    logits = torch.full((1, 1, 4, 8), -100.0)
    for side, distance in enumerate((1, 2, 3, 4)):
        logits[0, 0, side, distance] = 0.0
    assert expected_values(logits)[0, 0].tolist() == pytest.approx([1, 2, 3, 4])
    found = PointCandidates(torch.zeros(1, 1, 2), logits, torch.tensor([[[40.0, 60.0]]]), torch.tensor([[8.0]]))
    assert found.boxes()[0, 0].tolist() == pytest.approx([32, 44, 64, 92])
    assert distances_to_boxes(torch.tensor([40.0, 60.0]), torch.tensor([8.0, 16, 24, 32])).tolist() == [32, 44, 64, 92]


def outputs_of(scores: Tensor) -> PointCandidates:
    """Points in a row, 16 pixels apart, whose boxes all overlap; scores [A, K]."""
    count = len(scores)
    sides = torch.zeros(1, count, 4, 8)
    points = torch.stack((16.0 * torch.arange(count) + 8, torch.full((count,), 40.0)), dim=1)
    return PointCandidates(scores.logit()[None], sides, points[None], torch.full((1, count), 16.0))


def test_one_to_one_keeps_the_best_scores_whatever_overlaps() -> None:
    found = outputs_of(torch.tensor([[0.9, 0.1], [0.8, 0.005], [0.2, 0.85]]))
    made = top_k_detections(found, resolution=(80, 80), score_threshold=0.05, most=6)
    assert made["scores"][0].tolist() == pytest.approx([0.9, 0.85, 0.8, 0.2, 0.1, 0.0])
    assert made["labels"][0].tolist() == [0, 1, 0, 0, 1, -1]
    assert made["boxes"][0, 0].tolist() == pytest.approx([0, 0, 64, 80])
    assert made["boxes"][0, 5].tolist() == [0, 0, 0, 0]


def test_decoding_follows_the_kind_of_head() -> None:
    found = outputs_of(torch.tensor([[0.9, 0.1, 0.001], [0.8, 0.005, 0.001], [0.2, 0.85, 0.001]]))
    one = head((80, 80), one_to_one=True).decode(PointOutputs(found, one_to_one=True))
    many = head((80, 80), nms=0.3).decode(PointOutputs(found))
    assert int((one["scores"] > 0).sum()) == 5
    assert many["labels"][0][many["scores"][0] > 0].tolist() == [0, 1], "of two that overlap the better one stays"


def test_one_to_one_learns_from_a_second_reading_which_is_gone_afterwards() -> None:
    made = head(one_to_one=True)
    seen = features((96, 128))
    for each in seen.maps.values():
        each.requires_grad_()
    outputs = made.train()(seen)
    assert outputs.one_to_many is not None
    outputs.final.logits.sum().backward()
    assert all(each.grad is None for each in seen.maps.values()), (
        "the reading that is alone does not teach the features"
    )
    assert made.eval()(seen).one_to_many is None


@pytest.mark.parametrize("floor", [True, False])
@pytest.mark.parametrize("strides", [(8, 16, 32), (16,), (8, 32), (8, 16, 32, 64)])
def test_one_to_one_knows_the_best_of_those_around(strides: tuple[int, ...], floor: bool) -> None:
    side = (100, 76)
    maps = [torch.randn(2, 3, *(length // s if floor else -(-length // s) for length in side)) for s in strides]
    for at, (own, best) in enumerate(zip(maps, best_rivals(maps, strides), strict=True)):
        assert best.shape == own.shape
        assert bool((best >= own).all())
        y, x = own.shape[2] // 2, own.shape[3] // 2
        around = own[..., y - 1 : y + 2, x - 1 : x + 2].amax(dim=(2, 3))
        if len(maps) == 1:
            assert torch.equal(best[..., y, x], around)
        elif at > 0 and not floor:  # the next finer map has the same place at as many times the numbers
            times = strides[at] // strides[at - 1]
            assert bool((best[..., y, x] >= torch.maximum(around, maps[at - 1][..., times * y, times * x])).all())
    made = head(side, strides=strides, one_to_one=True).eval()
    assert made(features(side, floor=floor)).final.logits.isfinite().all()


def test_one_to_one_at_first_leaves_the_best_of_those_around_its_score() -> None:
    made = head(one_to_one=True).train()
    for layer in made.one_to_one_scores.changes:
        torch.nn.init.zeros_(layer[-1].weight)
        torch.nn.init.zeros_(layer[-1].bias)
    outputs = made(features((96, 128)))
    many, own = outputs.one_to_many.logits, outputs.final.logits
    assert bool((own <= many + 1e-6).all())
    assert torch.equal(own.amax(dim=1), many.amax(dim=1))
    assert int((own == many).sum()) < many.numel() / 4


@pytest.mark.parametrize("one_to_one", [True, False])
def test_an_exported_graph_of_one_to_one_suppresses_nothing(one_to_one: bool) -> None:
    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = head((96, 128), one_to_one=one_to_one).eval()

        def forward(self, *maps: Tensor) -> dict[str, Tensor]:
            return self.head.decode(self.head(Features(dict(zip(SPEC.strides, maps, strict=True)), None)))

    whole, seen = Whole(), features((96, 128), 1)
    program = torch.export.export(whole, tuple(seen.maps.values()))
    operators = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not any("nms" in name or "nonzero" in name for name in operators)
    loops = [name for name in operators if "cummax" in name or "while" in name or "scan" in name]
    assert not loops
    with torch.no_grad():
        here, there = whole(*seen.maps.values()), program.module()(*seen.maps.values())
    torch.testing.assert_close(here["scores"], there["scores"], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(here["boxes"], there["boxes"], atol=1e-3, rtol=1e-4)
