"""Classification metrics against torchmetrics' own and by hand."""

from __future__ import annotations

import pytest
import torch
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
)

from mobilevision.metrics import ClassificationMetrics

CLASSES = tuple("abcdefgh")


def sample(n: int = 500, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, len(CLASSES), (n,), generator=generator)
    logits = torch.randn(n, len(CLASSES), generator=generator)
    logits[torch.arange(n), target] += 1.5
    return logits.softmax(dim=1), target


def measured(probabilities: torch.Tensor, target: torch.Tensor, parts: int = 1) -> dict[str, float]:
    metric = ClassificationMetrics(classes=CLASSES)
    for p, t in zip(probabilities.chunk(parts), target.chunk(parts), strict=True):
        metric.update({"probabilities": p}, t)
    return {name: float(value) for name, value in metric.compute().items()}


def test_equals_torchmetrics() -> None:
    p, t = sample()
    ours, k = measured(p, t, parts=7), len(CLASSES)
    assert ours["top1"] == pytest.approx(float(multiclass_accuracy(p, t, k, average="micro")))
    assert ours["top5"] == pytest.approx(float(multiclass_accuracy(p, t, k, average="micro", top_k=5)))
    assert ours["balanced_accuracy"] == pytest.approx(float(multiclass_accuracy(p, t, k, average="macro")))
    assert ours["macro_f1"] == pytest.approx(float(multiclass_f1_score(p, t, k, average="macro")))
    assert ours["ece"] == pytest.approx(float(multiclass_calibration_error(p, t, k, n_bins=15)), abs=1e-5)


def test_the_order_and_the_batches_change_nothing() -> None:
    p, t = sample()
    order = torch.randperm(len(t), generator=torch.Generator().manual_seed(1))
    assert measured(p, t, parts=3) == measured(p[order], t[order], parts=11)


def test_a_class_that_does_not_occur_is_left_out_of_the_means() -> None:
    p, t = sample()
    kept = t != 3
    ours = measured(p[kept], t[kept])
    recalls = [float((p[t == c].argmax(1) == c).float().mean()) for c in range(len(CLASSES)) if c != 3]
    assert ours["balanced_accuracy"] == pytest.approx(sum(recalls) / len(recalls))


def test_a_constant_answer_scores_nothing_in_top5() -> None:
    target = torch.arange(8).repeat(10)
    assert measured(torch.full((80, 8), 1 / 8), target)["top5"] == 0.0


def test_fewer_than_five_classes() -> None:
    metric = ClassificationMetrics(classes=("a", "b"))
    metric.update({"probabilities": torch.tensor([[0.9, 0.1], [0.2, 0.8]])}, torch.tensor([1, 1]))
    assert float(metric.compute()["top5"]) == 1.0
    assert float(metric.compute()["top1"]) == 0.5


def test_nothing_measured_is_zero_and_not_an_error() -> None:
    values = ClassificationMetrics(classes=CLASSES).compute().values()
    assert {float(value) for value in values} == {0.0}


def test_tables() -> None:
    p, t = sample()
    metric = ClassificationMetrics(classes=CLASSES)
    metric.update({"probabilities": p}, t)
    tables = metric.tables()
    expected = multiclass_confusion_matrix(p, t, len(CLASSES)).tolist()
    assert [[row[name] for name in CLASSES] for row in tables["confusion"]] == expected
    assert [row["samples"] for row in tables["per_class"]] == torch.bincount(t).tolist()
    assert sum(row["samples"] for row in tables["calibration"]) == len(t)
