"""Shares within five radii: against distances by hand, in float64, with the bars beside them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from mobilevision.geo.distance import RADII, haversine
from mobilevision.geo.guessing import best_constants, chance, prior
from mobilevision.geo.partition import oracle
from mobilevision.metrics.geolocation import GeolocationMetrics
from tests.heads.test_cells import made

CELLS = made()
Places = np.ndarray


def measured(truth: Places, answer: Places, cells: torch.Tensor, *, parts: int = 1) -> GeolocationMetrics:
    metric = GeolocationMetrics(cells=CELLS.to_dict())
    for rows in np.array_split(np.arange(len(truth)), parts):
        target = {
            "coordinate": torch.from_numpy(truth[rows]),
            "cell": torch.from_numpy(CELLS.assign(*truth[rows].T)),
        }
        metric.update({"coordinate": torch.from_numpy(answer[rows]), "cells": cells[torch.from_numpy(rows)]}, target)
    return metric


def sample(n: int = 200) -> tuple[Places, Places, torch.Tensor]:
    rng = np.random.default_rng(1)
    truth = rng.normal((50, 10), (8, 12), (n, 2))
    answer = truth + rng.normal(0, 1, (n, 2)) * 10.0 ** rng.uniform(-3, 1, (n, 1))
    return truth, answer, torch.from_numpy(rng.permuted(np.tile(np.arange(len(CELLS)), (n, 1)), axis=1)[:, :7])


def test_shares_and_the_median() -> None:
    truth, answer, cells = sample()
    values = measured(truth, answer, cells, parts=3).compute()
    distance = haversine(*truth.T, *answer.T)
    for radius in RADII:
        assert float(values[f"within_{radius}km"]) == np.mean(distance <= radius)
    assert float(values["median_km"]) == pytest.approx(float(np.median(distance)), abs=1e-9)
    assert float(values["mean_within"]) == pytest.approx(np.mean([distance <= radius for radius in RADII]))
    own = CELLS.assign(*truth.T)
    assert float(values["cell_top1"]) == np.mean(cells[:, 0].numpy() == own)
    assert float(values["cell_top5"]) == np.mean(
        [cell in row[:5] for cell, row in zip(own, cells.tolist(), strict=True)]
    )


def test_distances_keep_their_metres() -> None:
    truth = np.array([[60.0, 25.0], [60.0, 25.0]])
    answer = truth + np.array([[0.00899, 0.0], [0.009, 0.0]])  # 999.6 m and 1000.7 m: float32 cannot tell them apart
    values = measured(truth, answer, torch.zeros(2, 5, dtype=torch.int64)).compute()
    assert float(values["within_1km"]) == 0.5


def test_a_image_in_no_cell_is_missed_not_left_out() -> None:
    truth = np.array([[-80.0, 100.0], [CELLS.latitude[0], CELLS.longitude[0]]])
    metric = measured(truth, truth[[1, 1]], torch.tensor([[0, 1], [0, 1]]))
    values = metric.compute()
    assert (float(values["cell_top1"]), float(values["within_2500km"])) == (0.5, 0.5)
    rows = {row["cell"]: row for row in metric.tables()["per_cell"]}
    assert rows["none"]["train"] == 0
    assert set(rows) == {"none", CELLS.to_dict()["tokens"][0]}


def test_the_bars() -> None:
    truth, answer, cells = sample()
    tables = measured(truth, answer, cells).tables()
    assert json.dumps(tables)
    radii = {row["radius_km"]: row for row in tables["radii"]}
    known = prior(CELLS, best_constants(CELLS), *truth.T)
    for radius in RADII:
        assert radii[radius]["prior"] == known[radius]
        assert radii[radius]["chance"] == chance(CELLS, *truth.T)[radius]
        assert radii[radius]["right_cell"] == oracle(CELLS, *truth.T)[radius]
    assert radii[2500]["prior"] >= radii[2500]["chance"]
    assert sum(row["pictures"] for row in tables["per_region"]) == len(truth)
    assert {"region", "median_km", "within_750km"} <= set(tables["per_region"][0])


def test_the_best_constant_is_the_best() -> None:
    constants = best_constants(CELLS)
    for radius, best in constants.items():
        near = haversine(CELLS.latitude[:, None], CELLS.longitude[:, None], CELLS.latitude, CELLS.longitude) <= radius
        assert (near * CELLS.counts).sum(axis=1)[best] == (near * CELLS.counts).sum(axis=1).max()


def test_chance_of_many_is_that_of_some() -> None:
    truth = sample(6000)[0]
    some = {radius: np.mean([chance(CELLS, *part.T)[radius] for part in np.split(truth, 6)]) for radius in RADII}
    assert chance(CELLS, *truth.T) == pytest.approx(some, abs=0.01)


def test_nothing_measured_yet() -> None:
    values = GeolocationMetrics(cells=CELLS.to_dict()).compute()
    assert float(values["mean_within"]) == 0
    assert math.isnan(float(values["median_km"]))
