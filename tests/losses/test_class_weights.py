"""Weights of classes: what they are, and what each loss makes of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mobilevision.errors import UserError
from mobilevision.losses import Bootstrap, CrossEntropy, MultiBox, SmallLoss
from mobilevision.losses.cells import CellCrossEntropy
from mobilevision.losses.cross_entropy import LARGEST_RATIO, balanced_weights, weighted_cross_entropy, weights_by_class
from mobilevision.losses.embeddings import ArcFace, CosFace
from mobilevision.ops.box_coding import SSD_WEIGHTS
from mobilevision.ops.candidates import Candidates, DetectorOutputs
from mobilevision.ops.imbalance import imbalance
from mobilevision.spec import DataSpec
from tests.heads.test_cells import made, spec

COUNTS = (80, 15, 5)
DATA = DataSpec(kind="class", classes=("a", "b", "c"), channels=3, resolution=(32, 32), counts=COUNTS)
WEIGHTS = torch.tensor([100 / 3 / count for count in COUNTS])


def batch(n: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, generator=generator) * 2, torch.randint(3, (n,), generator=generator)


def test_balanced_weights_make_every_class_count_the_same() -> None:
    weights = balanced_weights(COUNTS)
    assert (weights * torch.tensor(COUNTS)).tolist() == pytest.approx([100 / 3] * 3)
    assert balanced_weights((3, 0, 1)).tolist() == pytest.approx([2 / 3, 1.0, 2.0])


@pytest.mark.parametrize("counts", [(10_000, 1), (9_000, 900, 90, 9, 1), (5, 5), (1,), (1_000_000, 3, 0)])
def test_one_image_is_not_a_batch_and_the_mean_stays_one(counts: tuple[int, ...]) -> None:
    weights, count = balanced_weights(counts), torch.tensor(counts)
    assert float((weights * count).sum() / count.sum()) == pytest.approx(1.0, rel=1e-5)
    present = weights[count > 0]
    assert float(present.max() / present.min()) <= LARGEST_RATIO * 1.0001
    assert present.tolist() == sorted(present.tolist()), "a class with fewer never weighs less"


def test_without_counts_or_a_wish_there_are_no_weights() -> None:
    assert weights_by_class("none", COUNTS) is None
    assert weights_by_class("balanced", ()) is None
    assert weights_by_class("balanced", (0, 0)) is None
    with pytest.raises(UserError, match=r"loss\.class_weights=balancd: must be one of none, balanced"):
        weights_by_class("balancd", COUNTS)  # type: ignore[arg-type]


def test_the_loss_of_all_samples_is_that_of_its_batches() -> None:
    logits, target = batch()
    loss = CrossEntropy(data=DATA, class_weights="balanced")
    whole = float(loss(logits, {"target": target})["class"])
    one_by_one = [float(loss(logits[i : i + 1], {"target": target[i : i + 1]})["class"]) for i in range(len(target))]
    assert whole == pytest.approx(sum(one_by_one) / len(one_by_one), rel=1e-5)
    plain = functional.cross_entropy(logits, target, reduction="none")
    assert whole == pytest.approx(float((plain * WEIGHTS[target]).mean()), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_mixed_targets_count_by_their_shares(smoothing: float) -> None:
    logits, first = batch()
    second = batch(seed=1)[1]
    a, b = (functional.one_hot(each, 3).float() for each in (first, second))
    hard = [weighted_cross_entropy(logits, each, WEIGHTS, smoothing) for each in (first, second)]
    torch.testing.assert_close(weighted_cross_entropy(logits, a, WEIGHTS, smoothing), hard[0])
    mixed = weighted_cross_entropy(logits, 0.3 * a + 0.7 * b, WEIGHTS, smoothing)
    torch.testing.assert_close(mixed, 0.3 * hard[0] + 0.7 * hard[1])


@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_bootstrap_weighs_a_sample_by_its_label(mode: Any) -> None:
    logits, target = batch()
    plain = Bootstrap(data=DATA, mode=mode)
    each = torch.stack([plain(logits[i : i + 1], {"target": target[i : i + 1]})["class"] for i in range(len(target))])
    loss = Bootstrap(data=DATA, mode=mode, class_weights="balanced")
    assert float(loss(logits, {"target": target})["class"]) == pytest.approx(float((each * WEIGHTS[target]).mean()))
    mixed = {"target": functional.one_hot(target, 3).float()}
    assert float(loss(logits, mixed)["class"]) == pytest.approx(float((each * WEIGHTS[target]).mean()))


@pytest.mark.parametrize("loss", [CrossEntropy, Bootstrap, SmallLoss])
def test_evaluations_and_the_probe_weigh_alike_in_every_loss(loss: Any) -> None:
    logits, target = batch()
    found = loss(data=DATA, class_weights="balanced").eval()(logits, {"target": target})["class"]
    each = functional.cross_entropy(logits, target, reduction="none")
    assert float(found) == pytest.approx(float((each * WEIGHTS[target]).mean()))


@pytest.mark.parametrize("mixed", [False, True])
def test_small_loss_drops_by_the_loss_without_the_weight(mixed: bool) -> None:
    """A rare class weighs more: by the weighted loss its samples would go, and not the wrong label."""
    losses = torch.tensor([0.05] * 17 + [2.0] + [1.5, 1.6])  # the common class, one of them wrong, then the rare one
    target = torch.tensor([0] * 18 + [2, 2])
    share = (-losses).exp()
    logits = ((1 - share) / 2).log()[:, None].repeat(1, 3)
    logits[torch.arange(20), target] = share.log()
    logits.requires_grad_()
    given = {"target": functional.one_hot(target, 3).float() if mixed else target}
    value = SmallLoss(data=DATA, drop=0.05, ramp=0, class_weights="balanced")(logits, given)["class"]
    value.backward()
    learnt = logits.grad.abs().sum(1) > 0  # type: ignore[union-attr]
    assert (~learnt).nonzero().flatten().tolist() == [17]
    kept = torch.arange(20) != 17
    assert float(value.detach()) == pytest.approx(float((losses * WEIGHTS[target])[kept].mean()), rel=1e-4)


@pytest.mark.parametrize("kind", [ArcFace, CosFace])
def test_identities_with_few_images_weigh_more(kind: Any) -> None:
    data = DataSpec("identity", ("a", "b", "c", "unseen"), 3, (16, 16), (*COUNTS, 0))
    vectors = functional.normalize(torch.randn(9, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    who = torch.tensor([0, 0, 0, 0, 0, 1, 1, 2, 2])
    made_losses = []
    for choice in ("none", "balanced"):
        torch.manual_seed(0)
        loss = kind(data=data, warmup=0, class_weights=choice)
        loss.take_width(8)
        made_losses.append(loss)
    plain, weighted = made_losses
    each = torch.stack(
        [
            plain(vectors[i : i + 1], {"target": torch.stack([who[i : i + 1], torch.zeros(1)], 1).long()})["identity"]
            for i in range(9)
        ]
    )
    value = weighted(vectors, {"target": torch.stack([who, torch.zeros(9)], 1).long()})["identity"]
    assert float(value) == pytest.approx(float((each * WEIGHTS[who]).mean()), rel=1e-5)


@pytest.mark.parametrize("options", [{}, {"smoothing_km": 80.0}, {"levels": [2]}])
def test_cells_with_few_photos_weigh_more(options: dict[str, Any]) -> None:
    cells = made()
    counts = tuple(range(1, len(cells) + 1))
    data = DataSpec(**{**vars(spec(cells)), "counts": counts})
    logits = torch.randn(4, len(cells), generator=torch.Generator().manual_seed(0))
    rows = torch.tensor([0, 3, len(cells) - 1, 2])
    coordinate = torch.stack([torch.from_numpy(cells.latitude)[rows], torch.from_numpy(cells.longitude)[rows]], dim=1)

    def value(choice: Any, chosen: list[int]) -> float:
        target = {"cell": rows[chosen], "coordinate": coordinate[chosen]}
        loss = CellCrossEntropy(data=data, class_weights=choice, **options)
        return sum(float(part) for part in loss(logits[chosen], {"target": target}).values())

    weights = balanced_weights(counts)
    expected = sum(value("none", [i]) * float(weights[rows[i]]) for i in range(4)) / 4
    assert value("balanced", [0, 1, 2, 3]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("classification", ["mining", "focal"])
def test_boxes_of_rare_classes_weigh_more_and_background_as_before(classification: Any) -> None:
    data = DataSpec("boxes", ("common", "rare"), 3, (64, 64), (90, 10))
    references = torch.tensor([[0.0, 0, 20, 20], [40, 40, 60, 60], [0, 40, 20, 60], [40, 0, 60, 20]])
    logits = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0))

    def value(choice: Any, label: int) -> float:
        target = {"boxes": references[None, :1], "labels": torch.tensor([[label]]), "crowd": torch.tensor([[False]])}
        valid = torch.ones(1, 4, dtype=torch.bool)
        given = Candidates(logits, torch.zeros(1, 4, 4), references[None], valid, SSD_WEIGHTS)
        loss = MultiBox(data=data, classification=classification, class_weights=choice)
        return float(loss(DetectorOutputs(given), {"target": target})["class"])

    assert value("balanced", -1) == value("none", -1), "background alone"
    common, rare = (value("none", label) for label in (0, 1))
    background = {}
    for label, plain in ((0, common), (1, rare)):
        weight = float(balanced_weights(data.counts)[label])
        scaled = value("balanced", label)
        background[label] = (weight * plain - scaled) / (weight - 1)  # plain = object + background
    assert background[0] == pytest.approx(background[1], abs=1e-4)
    assert value("balanced", 1) > rare
    assert value("balanced", 0) < common


def test_two_stages_weigh_the_second_stages_classes_alone() -> None:
    from tests.losses.test_multibox import CLASSES, candidates, truth

    data = DataSpec("boxes", tuple("abcde"), 3, (300, 300), (1, 100, 100, 100, 100))
    first, second = candidates(2, outputs=2), candidates(2, own=True, seed=2)
    target = truth(2, 1)
    target["labels"] = target["labels"].clamp(max=0)  # all are of the rare class
    parts = []
    for choice in ("none", "balanced"):
        torch.manual_seed(0)
        loss = MultiBox(data=data, class_weights=choice)  # type: ignore[arg-type]
        parts.append(loss(DetectorOutputs(second, first), {"target": target}))
    assert parts[1]["class"] > parts[0]["class"]
    for name in ("box", "rpn_class", "rpn_box"):
        torch.testing.assert_close(parts[0][name], parts[1][name])
    assert len(data.classes) == CLASSES


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((200, 10), 20.0), ((5, 0, 5), 1.0), ((), 1.0), ((0, 0), 1.0), ((7,), 1.0), ((3, 0, 1), 3.0)],
)
def test_imbalance(counts: tuple[int, ...], expected: float) -> None:
    assert imbalance(counts) == expected
