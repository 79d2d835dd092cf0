"""The task of attributes: what it says, what val chooses, and that its checkpoints keep that."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from mobilevision.config.compose import compose
from mobilevision.engine.build import Built, build
from mobilevision.visualization.draw import Entry, listed


@pytest.fixture(scope="module")
def built() -> Built:
    words = ["data.format.train=32", "data.format.val=64", "data.format.test=16", "data.workers=0"]
    return build(compose(["task=face_attributes", "backbone.width=0.25", *words]))


def judged(built: Built, *, offset: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits four times too sure, around ``offset``, and the truth they tell of."""
    generator = torch.Generator().manual_seed(0)
    sure = torch.randn(600, len(built.task.data_spec.classes), generator=generator) * 2
    truth = (torch.rand(sure.shape, generator=generator) < sure.sigmoid()).float()
    return 4 * sure + offset, truth


def test_val_chooses_temperatures_and_thresholds(built: Built) -> None:
    task = built.task
    logits, truth = judged(built)
    before = task.decode(logits)
    assert torch.equal(before["probabilities"], logits.sigmoid())
    metric = task.configure_metrics()
    metric.update(before, truth)
    task.decision = task.decide(metric)
    assert json.dumps(task.decision)
    assert all(3 < value < 5.5 for value in task.decision["temperatures"])
    after, again = task.decode(logits), task.configure_metrics()
    again.update(after, truth)
    assert torch.equal(after["logits"], logits)
    first, second = metric.compute(), again.compute()
    assert second["mean_ap"] == first["mean_ap"]
    assert second["ece"] < 0.2 * first["ece"]
    assert second["cross_entropy"] < first["cross_entropy"]
    assert second["mean_f1"] > first["mean_f1"]
    checkpoint: dict[str, object] = {}
    task.on_save_checkpoint(checkpoint)
    assert checkpoint["mobilevision"]["decision"] == task.decision
    task.decision = {}


def test_thresholds_for_accuracy(built: Built) -> None:
    task = built.task
    logits, truth = judged(built, offset=3.0)
    metric = task.configure_metrics()
    metric.update(task.decode(logits), truth)
    scores = {}
    for threshold in ("f1", "accuracy"):
        task.threshold = threshold
        task.decision = task.decide(metric)
        again = task.configure_metrics()
        again.update(task.decode(logits), truth)
        scores[threshold] = again.compute()
    task.decision, task.threshold = {}, "f1"
    assert scores["accuracy"]["mean_accuracy"] > scores["f1"]["mean_accuracy"]
    assert scores["f1"]["mean_f1"] > scores["accuracy"]["mean_f1"]


def test_tables_tell_what_was_chosen_and_are_drawn(built: Built) -> None:
    task = built.task
    logits, truth = judged(built)
    truth[:, 2] = 1.0
    meter = task.meter("test")
    meter.reset()
    meter.metric.update(task.decode(logits), truth)
    meter.tabulate()
    rows = task.tables("test")["per_attribute"]
    assert list(rows[0])[-3:] == ["threshold", "temperature", "note"]
    assert rows[2]["note"] == "all samples have it"
    task.decision = task.decide(meter.metric)  # of val with as many samples, all of which have the third attribute
    notes = [row["note"] for row in task.tables("test")["per_attribute"]]
    task.decision = {}
    assert notes[2] == "all samples have it; threshold not chosen: fewer than 5 val samples with it or without it"
    assert not notes[0]
    assert set(task.figures("test")) == {"average_precision", "reliability"}
    meter.reset()


def test_a_prediction_in_words(built: Built) -> None:
    task = built.task
    names = task.data_spec.classes
    logits = torch.full((1, len(names)), -4.0)
    logits[0, 3], logits[0, 5] = 1.0, 3.0
    one = {key: value[0] for key, value in task.decode(logits).items()}
    row = task.describe(one)
    assert row["attributes"] == [names[5], names[3]]
    assert row["found"] == f"{names[5]} 0.95, {names[3]} 0.73"
    assert set(row["probabilities"]) == set(names)
    truth = torch.full((len(names),), math.nan)
    truth[5], truth[7] = 1.0, 0.8
    assert task.truth(truth) == f"{names[5]}, {names[7]}"
    assert task.truth(torch.zeros(len(names))) == "no attribute"


def test_right_wrong_and_missed_have_their_colours() -> None:
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)

    def colours(*entries: Entry) -> set[tuple[int, int, int]]:
        image = np.asarray(listed(pixels, entries))
        return {tuple(value) for value in image[:, 264:270].reshape(-1, 3).tolist()}

    ground = colours()
    right, wrong = colours(Entry("a", 0.9, True, True)), colours(Entry("a", 0.9, True, False))
    missed, nobody = colours(Entry("a", 0.2, False, True)), colours(Entry("a", 0.9, True))
    assert len({frozenset(each) for each in (right, wrong, missed, nobody)}) == 4
    assert colours(Entry("a", 0.2, False, False)) == ground
    many = listed(pixels, [Entry(str(number), 0.9, True) for number in range(40)])
    assert many.height < 400
