"""Attribute metrics against slow references by hand, torchmetrics' own, and over two processes."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc, binary_average_precision, binary_f1_score

from mobilevision.metrics import AttributeMetrics
from mobilevision.metrics.attributes import (
    area_under_roc,
    average_precision,
    best_thresholds,
    binned,
    fit_temperatures,
    rank,
)

CLASSES = tuple("abcdef")


def sample(n: int = 300, seed: int = 0, ties: bool = False, missing: float = 0.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rates = torch.tensor([0.03, 0.1, 0.3, 0.5, 0.7, 0.95])
    truth = (torch.rand(n, 6, generator=generator) < rates).float()
    logits = torch.randn(n, 6, generator=generator) + 1.5 * truth - 1
    unknown = torch.rand(n, 6, generator=generator) < missing
    return (logits * 2).round() / 2 if ties else logits, truth.masked_fill(unknown, math.nan)


def slow_ap(scores: list[float], truth: list[float]) -> float:
    """Precision at every distinct score, times the recall gained there."""
    total, before, result = sum(truth), 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        called = [t for s, t in zip(scores, truth, strict=True) if s >= threshold]
        result += sum(called) / len(called) * (sum(called) - before) / total
        before = sum(called)
    return result


def slow_auc(scores: list[float], truth: list[float]) -> float:
    pairs = [(p, q) for p, t in zip(scores, truth, strict=True) for q, u in zip(scores, truth, strict=True) if t > u]
    return sum((p > q) + 0.5 * (p == q) for p, q in pairs) / len(pairs)


def prediction(logits: Tensor, thresholds: float = 0.5) -> dict[str, Tensor]:
    said = logits.sigmoid()
    return {"logits": logits, "probabilities": said, "present": said >= thresholds}


def filled(logits: Tensor, truth: Tensor, parts: int = 1) -> AttributeMetrics:
    metric = AttributeMetrics(classes=CLASSES)
    for part, target in zip(logits.chunk(parts), truth.chunk(parts), strict=True):
        metric.update(prediction(part), target)
    return metric


@pytest.mark.parametrize("ties", [False, True])
def test_ranking_equals_slow_references_with_ties_and_gaps(ties: bool) -> None:
    logits, truth = sample(120, ties=ties, missing=0.3)
    ranking = rank(logits, truth)
    for column in range(6):
        known = truth[:, column].isfinite()
        scores, values = logits[known, column].tolist(), truth[known, column].tolist()
        assert float(average_precision(ranking)[column]) == pytest.approx(slow_ap(scores, values), abs=1e-12)
        assert float(area_under_roc(ranking)[column]) == pytest.approx(slow_auc(scores, values), abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_ranking_equals_torchmetrics(ties: bool) -> None:
    logits, truth = sample(500, ties=ties)
    ranking = rank(logits, truth)
    for column in range(6):
        scores, values = logits[:, column].sigmoid().double(), truth[:, column].long()
        assert float(average_precision(ranking)[column]) == pytest.approx(
            float(binary_average_precision(scores, values)), abs=1e-6
        )
        assert float(area_under_roc(ranking)[column]) == pytest.approx(float(binary_auroc(scores, values)), abs=1e-6)


def test_a_constant_answer_scores_its_base_rate() -> None:
    _, truth = sample()
    ranking = rank(torch.zeros_like(truth), truth)
    assert torch.allclose(average_precision(ranking), truth.double().mean(0))
    assert torch.allclose(area_under_roc(ranking), torch.full((6,), 0.5, dtype=torch.float64))


def test_answers_that_are_no_numbers_come_last() -> None:
    truth = torch.tensor([[1.0], [0.0], [1.0]])
    ranking = rank(torch.tensor([[2.0], [1.0], [math.nan]]), truth)
    assert float(average_precision(ranking)) == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize("by", ["f1", "accuracy"])
def test_thresholds_are_the_best_there_are(by: str) -> None:
    logits, truth = sample(80, ties=True, missing=0.2)
    found = best_thresholds(rank(logits, truth), by=by)

    def quality(column: int, threshold: float) -> float:
        known = truth[:, column].isfinite()
        said, so = logits[known, column] >= threshold, truth[known, column] > 0
        if by == "accuracy":
            return float((said == so).double().mean())
        return float(2 * (said & so).sum() / max(int(said.sum() + so.sum()), 1))

    for column in range(6):
        candidates = [quality(column, value) for value in [*logits[:, column].tolist(), math.inf]]
        assert quality(column, float(found[column])) == pytest.approx(max(candidates))


def test_an_attribute_with_one_value_is_left_out_and_named() -> None:
    logits, truth = sample()
    truth[:, 1], truth[:, 2], truth[:, 3] = 0, 1, math.nan
    metric = filled(logits, truth)
    rows = metric.tables()["per_attribute"]
    assert [row["note"] for row in rows[1:4]] == ["no sample has it", "all samples have it", "unknown for all samples"]
    assert rows[1]["ap"] is None
    kept = [row["ap"] for row in rows if row["ap"] is not None]
    assert float(metric.compute()["mean_ap"]) == pytest.approx(sum(kept) / 3)
    assert metric.thresholds(metric.temperatures(), by="f1")[1:4] == [0.5] * 3
    assert metric.temperatures()[1:4].tolist() == [1.0] * 3


def test_nothing_measured_gives_numbers() -> None:
    metric = AttributeMetrics(classes=CLASSES)
    assert set(map(float, metric.compute().values())) == {0.0}
    assert metric.thresholds(metric.temperatures(), by="accuracy") == [0.5] * 6


def test_accuracy_and_f1_are_those_of_what_was_said() -> None:
    logits, truth = sample(missing=0.1)
    rows = filled(logits, truth, parts=7).tables()["per_attribute"]
    for column, row in enumerate(rows):
        known = truth[:, column].isfinite()
        said, so = logits[known, column].sigmoid(), truth[known, column].long()
        assert row["f1"] == pytest.approx(float(binary_f1_score(said, so)))
        assert row["accuracy"] == pytest.approx(float(((said >= 0.5) == so).double().mean()))


def test_soft_truth_counts_from_one_half_and_is_met_by_itself() -> None:
    logits = torch.randn(400, 6, generator=torch.Generator().manual_seed(2))
    values = filled(logits, logits.sigmoid()).compute()
    assert float(values["mean_ap"]) == pytest.approx(1.0)
    assert float(values["ece"]) < 1e-6
    said = logits.sigmoid().double()
    entropy = -(said * said.log() + (1 - said) * (1 - said).log()).mean()
    assert float(values["cross_entropy"]) == pytest.approx(float(entropy), abs=1e-6)


def test_temperatures_undo_a_scale() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = 2 * torch.randn(4000, 3, generator=generator)
    truth = (torch.rand(4000, 3, generator=generator) < logits.sigmoid()).float()
    scales = torch.tensor([0.5, 1.0, 4.0])
    assert torch.allclose(fit_temperatures(logits * scales, truth).float(), scales, rtol=0.1)
    before, after = (binned((logits * scale).sigmoid(), truth).error for scale in (4.0, 1.0))
    assert float(after) < 0.02 < float(before)


def test_the_order_and_the_batches_change_nothing() -> None:
    logits, truth = sample(ties=True, missing=0.1)
    order = torch.randperm(len(truth), generator=torch.Generator().manual_seed(1))
    one, other = filled(logits, truth, parts=3), filled(logits[order], truth[order], parts=11)
    for name, value in one.compute().items():
        assert float(value) == pytest.approx(float(other.compute()[name]), abs=1e-12)
    fitted = one.temperatures()
    assert torch.allclose(fitted, other.temperatures())
    assert one.thresholds(fitted, by="f1") == pytest.approx(other.thresholds(fitted, by="f1"))


def gather(others: list[AttributeMetrics]) -> Callable[..., list[Tensor]]:
    """Stands for two processes: gives the states of both, in the order in which they are asked for."""
    queue = [[metric.joined(name) for metric in others] for name in ("logits", "probabilities", "present", "truth")]
    return lambda *_, **__: queue.pop(0)


def test_two_processes_give_what_one_gives_even_if_one_saw_nothing() -> None:
    logits, truth = sample(100, missing=0.1)
    whole = filled(logits, truth).compute()
    for cut in (60, 100):
        first, second = filled(logits[:cut], truth[:cut]), AttributeMetrics(classes=CLASSES)
        if cut < 100:
            second = filled(logits[cut:], truth[cut:])
        second.sync_on_compute = second._to_sync = False  # it is synchronised here
        second.sync(dist_sync_fn=gather([first, second]), distributed_available=lambda: True)
        assert {name: float(value) for name, value in second.compute().items()} == pytest.approx(
            {name: float(value) for name, value in whole.items()}
        )


def test_a_handful_decides_nothing() -> None:
    logits, truth = sample()
    truth[:, 0] = (torch.arange(len(truth)) < 4).float()
    metric = filled(logits, truth)
    fitted = metric.temperatures()
    assert float(fitted[0]) == 1.0 != float(fitted[2])
    assert metric.thresholds(fitted, by="f1")[0] == 0.5 != metric.thresholds(fitted, by="f1")[2]
