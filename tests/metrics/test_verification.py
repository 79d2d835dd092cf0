"""Verification: the rates of scikit-learn and of FaceNet's definition, in any order and on any number of processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from sklearn.metrics import roc_auc_score

from mobilevision.metrics.verification import (
    VerificationMetrics,
    area,
    best_threshold,
    curve,
    fold_accuracy,
    val_at_far,
)
from mobilevision.ops.pairs import Pairs, folds, pairs_of


def drawn(count: int = 120, identities: int = 12, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings that scatter round a centre for each identity, and their targets."""
    generator = torch.Generator().manual_seed(seed)
    who = torch.arange(count) % identities
    centres = torch.randn(identities, 8, generator=generator)
    vectors = centres[who] + 1.2 * torch.randn(count, 8, generator=generator)
    return torch.nn.functional.normalize(vectors, dim=1), torch.stack([who, torch.arange(count)], dim=1)


def measured(metric: VerificationMetrics, vectors: torch.Tensor, target: torch.Tensor, batch: int = 50) -> None:
    for start in range(0, len(target), batch):
        metric.update({"embedding": vectors[start : start + batch]}, target[start : start + batch])


@pytest.mark.parametrize("levels", [None, 6])
def test_the_area_is_scikit_learns_also_with_ties(levels: int | None) -> None:
    rng = np.random.default_rng(1)
    same = rng.random(500) < 0.3
    scores = rng.normal(same * 0.7, 1.0)
    scores = scores if levels is None else np.round(scores * levels / 6)
    assert area(curve(scores, same)) == pytest.approx(roc_auc_score(same, scores), abs=1e-12)


def test_val_at_far_is_facenets() -> None:
    rng = np.random.default_rng(2)
    same = np.arange(6000) < 2000
    scores = rng.normal(same * 2.0, 1.0)
    found = curve(scores, same)
    for rate in (1e-3, 1e-2):
        # The definition itself: over all thresholds whose FAR does not exceed the rate, the largest VAL.
        values = [np.mean(scores[same] >= t) for t in scores if np.mean(scores[~same] >= t) <= rate]
        assert val_at_far(found, rate, 4000) == pytest.approx(max(values))
    assert np.isnan(val_at_far(found, 1e-4, 4000)), "4000 pairs cannot show one mistake in 10,000"
    assert (
        val_at_far(curve(np.array([0.9, 0.9] + [0.1] * 1000), np.array([True, False] + [False] * 1000)), 1e-3, 1001)
        == 1
    )


def test_the_folds_are_lfws() -> None:
    rng = np.random.default_rng(3)
    same = np.tile(np.repeat([True, False], 30), 10)
    fold = np.repeat(np.arange(10), 60)
    scores = rng.normal(same * 1.5, 1.0)
    accuracy, each = fold_accuracy(scores, same, fold)
    expected = []
    for number in range(10):
        rest = fold != number
        best = max(np.unique(scores[rest]), key=lambda t: (np.mean((scores[rest] >= t) == same[rest]), t))
        expected.append(np.mean((scores[~rest] >= best) == same[~rest]))
    assert each == pytest.approx(expected)
    assert accuracy == pytest.approx(np.mean(expected))


def test_the_threshold_parts_what_can_be_parted() -> None:
    scores, same = np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, True, False, False])
    assert best_threshold(curve(scores, same)) == pytest.approx(0.55)
    assert np.isnan(best_threshold(curve(scores, np.ones(4, dtype=bool))))


def test_all_pairs_of_identities() -> None:
    vectors, target = drawn()
    metric = VerificationMetrics()
    measured(metric, vectors, target)
    values = {name: float(value) for name, value in metric.compute().items()}
    cosine = (vectors @ vectors.T).numpy()
    first, second = np.triu_indices(len(target), k=1)
    same = (target[first, 0] == target[second, 0]).numpy()
    assert values["auc"] == pytest.approx(roc_auc_score(same, cosine[first, second]), abs=1e-6)
    np.fill_diagonal(cosine, -2)
    nearest = target[cosine.argmax(1), 0]
    assert values["rank_1"] == pytest.approx(float((nearest == target[:, 0]).float().mean()))
    assert np.isnan(values["val_at_far_1e-4"])
    said = [row["what"] for row in metric.tables()["verification"]]
    assert any("1e-4 needs 10,000 other pairs" in what for what in said)


def test_listed_pairs_and_those_whose_images_are_missing() -> None:
    vectors, target = drawn(20, 4)
    numbers = np.array([[0, 4], [0, 1], [2, 6], [3, 5], [0, 999]])
    same = np.array([True, False, True, False, True])
    metric = VerificationMetrics(pairs=Pairs(numbers[:, 0], numbers[:, 1], same, folds(same)))
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    unknown = target.clone()
    unknown[:, 0] = -1
    measured(metric, vectors[order], unknown[order], batch=7)
    cosine = [float(vectors[a] @ vectors[b]) for a, b in numbers[:4]]
    assert float(metric.compute()["auc"]) == pytest.approx(roc_auc_score(same[:4], cosine))
    assert torch.isnan(metric.compute()["rank_1"])
    assert len(metric.hardest(1)) == 2


def test_pairs_that_are_drawn_are_right_and_each_is_drawn_once() -> None:
    identities = np.random.default_rng(0).integers(0, 30, 400)
    pairs = pairs_of(identities, most=2000)
    assert 1500 < len(pairs) <= 2000
    assert np.array_equal(pairs.same, identities[pairs.first] == identities[pairs.second])
    assert (pairs.first != pairs.second).all()
    both = {tuple(sorted(pair)) for pair in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)}
    assert len(both) == len(pairs)
    few = pairs_of(np.repeat(np.arange(100), 2), most=400)
    assert few.same.sum() == 100, "all there are of the same"


def test_nothing_measured_is_no_number_and_no_crash() -> None:
    metric = VerificationMetrics()
    metric.update({"embedding": torch.ones(1, 4)}, torch.zeros(1, 2, dtype=torch.int64))
    assert all(torch.isnan(value) for value in metric.compute().values())
    assert metric.threshold() is None
    metric.tables()


def process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    vectors, target = drawn(61)
    metric = VerificationMetrics()
    measured(metric, vectors[rank::2], target[rank::2], batch=7)
    torch.save({name: float(value) for name, value in metric.compute().items()}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_are_one(tmp_path: Path) -> None:
    mp.spawn(process, args=(str(tmp_path),), nprocs=2)
    vectors, target = drawn(61)
    metric = VerificationMetrics()
    measured(metric, vectors, target)
    alone = {name: float(value) for name, value in metric.compute().items()}
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert found.keys() == alone.keys()
        assert all(found[name] == alone[name] or np.isnan(alone[name]) for name in alone)
