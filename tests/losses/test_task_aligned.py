"""Task alignment against an independent plain implementation, and the losses of points at their limits."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mobilevision.losses.task_aligned import TaskAligned, assign, distribution_loss
from mobilevision.ops.candidates import PointCandidates, PointOutputs
from mobilevision.spec import DataSpec

BINS, CLASSES = 8, 3
Target = dict[str, Tensor]


def candidates(batch: int, *, seed: int = 0) -> PointCandidates:
    """Points of two maps of 64 x 64 pixels."""
    draw = torch.Generator().manual_seed(seed)
    points, strides = [], []
    for stride in (8, 16):
        steps = (torch.arange(64 // stride) + 0.5) * stride
        points.append(torch.cartesian_prod(steps, steps).flip(1))
        strides.append(torch.full((len(points[-1]),), float(stride)))
    count = sum(map(len, points))
    return PointCandidates(
        torch.randn(batch, count, CLASSES, generator=draw),
        torch.randn(batch, count, 4, BINS, generator=draw),
        torch.cat(points).expand(batch, -1, -1),
        torch.cat(strides).expand(batch, -1),
    )


def target(boxes: list[list[float]], labels: list[int], crowd: list[bool] | None = None) -> Target:
    """Of one image."""
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(1, -1, 4),
        "labels": torch.tensor([labels], dtype=torch.int64),
        "crowd": torch.tensor([crowd or [False] * len(labels)], dtype=torch.bool).reshape(1, -1),
    }


def plain_iou(one: list[float], other: list[float]) -> float:
    wide = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    high = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return wide * high / (sum(areas) - wide * high)


def plain_alignment(found: PointCandidates, wanted: Target, most: int) -> tuple[list[int], list[float]]:
    """For each point of the only image the box that it has to find, -1 for none, and the quality."""
    boxes, labels = wanted["boxes"][0].tolist(), wanted["labels"][0].tolist()
    guesses, scores = found.boxes()[0].tolist(), found.logits[0].sigmoid().tolist()
    points = found.points[0].tolist()
    takers: dict[int, list[tuple[float, int]]] = {}
    metrics: dict[tuple[int, int], float] = {}
    for number, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        inside = [at for at, (x, y) in enumerate(points) if box[0] < x < box[2] and box[1] < y < box[3]]
        for at in inside:
            metrics[number, at] = scores[at][label] * plain_iou(box, guesses[at]) ** 6
        for at in sorted(inside, key=lambda at: -metrics[number, at])[:most]:
            takers.setdefault(at, []).append((plain_iou(box, guesses[at]), number))
    place, quality = [-1] * len(points), [0.0] * len(points)
    for at, wishes in takers.items():
        place[at] = max(wishes)[1]
    for number, box in enumerate(boxes):
        mine = [at for at, owner in enumerate(place) if owner == number]
        if mine:
            best = max(metrics[number, at] for at in mine)
            overlap = max(plain_iou(box, guesses[at]) for at in mine)
            for at in mine:
                quality[at] = metrics[number, at] / max(best, 1e-12) * overlap
    return place, quality


@pytest.mark.parametrize("most", [1, 4, 13])
@pytest.mark.parametrize("seed", range(5))
def test_points_are_aligned_as_a_plain_implementation_does(most: int, seed: int) -> None:
    found = candidates(1, seed=seed)
    wanted = target([[4, 4, 40, 44], [20, 10, 60, 50], [1, 40, 30, 63]], [0, 2, 2])
    assigned = assign(found, wanted, points=most, alpha=1.0, beta=6.0)
    place, quality = plain_alignment(found, wanted, most)
    assert assigned.found[0].tolist() == place
    torch.testing.assert_close(assigned.quality[0], torch.tensor(quality), atol=1e-5, rtol=1e-4)
    assert bool(assigned.counted.all())


def test_a_box_between_all_points_gets_the_nearest_one() -> None:
    assigned = assign(candidates(1), target([[9.0, 9.0, 10.0, 10.0]], [1]), points=13, alpha=1.0, beta=6.0)
    [at] = (assigned.found[0] >= 0).nonzero().flatten().tolist()
    assert candidates(1).points[0, at].tolist() in ([12.0, 12.0], [8.0, 8.0])


def test_crowds_are_not_found_and_count_neither_way() -> None:
    found = candidates(1)
    assigned = assign(
        found, target([[0, 0, 32, 64], [36, 4, 60, 60]], [0, 1], [True, False]), points=5, alpha=1.0, beta=6.0
    )
    left = found.points[0, :, 0] < 32
    assert bool((assigned.found[0][left] == -1).all())
    assert not bool(assigned.counted[0][left].any())
    assert int((assigned.found[0] == 1).sum()) == 5
    assert bool(assigned.counted[0][~left].all())


def test_the_distribution_loss_is_least_at_the_two_bins_round_the_distance() -> None:
    logits = torch.full((1, 4, BINS), -50.0)
    logits[..., 2], logits[..., 3] = math.log(0.25), math.log(0.75)
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert float(distribution_loss(logits, torch.full((1, 4), 2.75))) == pytest.approx(entropy, abs=1e-5)
    assert float(distribution_loss(logits, torch.full((1, 4), 2.25))) > entropy
    assert torch.isfinite(distribution_loss(logits, torch.full((1, 4), 99.0))).all()


@pytest.mark.parametrize("classification", ["quality", "varifocal"])
@pytest.mark.parametrize(
    "wanted",
    [
        target([], []),
        target([[0.0, 0.0, 0.0, 0.0]], [-1]),
        target([[5.0, 5.0, 6.0, 6.0]], [2]),
        target([[0.0, 0.0, 64.0, 64.0]] * 1000, [0, 1] * 500),
        target([[0.0, 0.0, 64.0, 64.0]], [0], [True]),
    ],
    ids=["no place for a box", "no box", "one pixel", "a thousand boxes", "a crowd alone"],
)
def test_losses_and_gradients_are_finite(classification: str, wanted: Target) -> None:
    loss = TaskAligned(
        data=DataSpec("boxes", ("a", "b", "c"), 3, (64, 64)),
        classification=classification,  # type: ignore[arg-type]
    )
    found = candidates(1)
    logits, sides = found.logits.requires_grad_(), found.sides.requires_grad_()
    outputs = PointOutputs(found, one_to_one=True, one_to_many=found)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        parts = loss(outputs, {"target": wanted})
    assert set(parts) == {f"{kind}{part}" for kind in ("", "many_") for part in ("class", "box", "distribution")}
    total = torch.stack(list(parts.values())).sum()
    total.backward()
    assert torch.isfinite(total)
    assert all(torch.isfinite(each.grad).all() for each in (logits, sides) if each.grad is not None)


def test_points_of_a_rare_class_weigh_more() -> None:
    data = DataSpec("boxes", ("a", "b", "c"), 3, (64, 64), (100, 10, 100))
    parts = {}
    for label in (0, 1):
        batch = {"target": target([[8.0, 8.0, 40.0, 40.0]], [label])}
        for choice in ("none", "balanced"):
            loss = TaskAligned(data=data, class_weights=choice)  # type: ignore[arg-type]
            parts[label, choice] = loss(PointOutputs(candidates(1)), batch)
    assert parts[1, "balanced"]["class"] > parts[1, "none"]["class"]
    assert parts[0, "balanced"]["class"] < parts[0, "none"]["class"]
    for label in (0, 1):
        for name in ("box", "distribution"):
            assert parts[label, "balanced"][name] == parts[label, "none"][name]


def test_images_one_by_one_give_what_all_at_once_do(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = candidates(3)
    rows = [
        target([[8.0, 8.0, 40.0, 40.0], [4.0, 4.0, 60.0, 30.0]], [0, 1]),
        target([[8.0, 8.0, 40.0, 40.0], [0.0, 0.0, 64.0, 64.0]], [2, -1], [False, False]),
        target([[1.0, 1.0, 2.0, 2.0], [30.0, 30.0, 50.0, 60.0]], [1, 1], [False, True]),
    ]
    together = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
    at_once = assign(batch, together, points=4, alpha=1.0, beta=6.0)
    monkeypatch.setattr("mobilevision.losses.task_aligned.MOST_PAIRS", 1)
    for whole, part in zip(at_once, assign(batch, together, points=4, alpha=1.0, beta=6.0), strict=True):
        assert torch.equal(whole, part)
