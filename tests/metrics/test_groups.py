"""Accuracy at a coarser level, from the same confusion matrix."""

from __future__ import annotations

import torch

from mobilevision.metrics import ClassificationMetrics

CLASSES, GROUPS = ("beagle", "boxer", "bengal", "birman"), ("dog", "dog", "cat", "cat")


def test_the_right_species_counts_if_not_the_breed() -> None:
    metric = ClassificationMetrics(classes=CLASSES, groups=GROUPS)
    said = torch.nn.functional.one_hot(torch.tensor([0, 1, 0, 2, 3, 0]), 4).float()
    metric.update({"probabilities": said}, torch.tensor([0, 0, 1, 2, 2, 3]))
    values = metric.compute()
    assert float(values["top1"]) == 2 / 6
    assert float(values["group_top1"]) == 5 / 6
    tables = metric.tables()
    assert [row["group"] for row in tables["per_class"]] == list(GROUPS)
    cat, dog = tables["per_group"]
    assert cat == {"group": "cat", "classes": 2, "samples": 3, "group_accuracy": 2 / 3, "accuracy": 1 / 3}
    assert dog["group_accuracy"] == 1.0


def test_nothing_of_it_without_groups() -> None:
    metric = ClassificationMetrics(classes=CLASSES)
    metric.update({"probabilities": torch.eye(4)}, torch.arange(4))
    assert "group_top1" not in metric.compute()
    assert "per_group" not in metric.tables()
    assert "group" not in metric.tables()["per_class"][0]


def test_nothing_measured_is_zero() -> None:
    assert float(ClassificationMetrics(classes=CLASSES, groups=GROUPS).compute()["group_top1"]) == 0.0
