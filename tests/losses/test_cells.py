"""Cross-entropy over cells: against torch's own, softened by distance, at several levels, without a place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from mobilevision.errors import UserError
from mobilevision.geo.cells import groups
from mobilevision.geo.distance import haversine
from mobilevision.losses.cells import CellCrossEntropy
from tests.heads.test_cells import made, spec

CELLS = made()
SPEC = spec(CELLS)


def batch(rows: list[int]) -> dict[str, Any]:
    """Images near the centres of these cells; -1 is in none, and nobody knows where."""
    places = np.stack([CELLS.latitude, CELLS.longitude], axis=1)[rows] + 0.01
    places[np.array(rows) < 0] = np.nan
    return {"target": {"coordinate": torch.from_numpy(places), "cell": torch.tensor(rows)}}


def test_it_is_cross_entropy_over_those_that_lie_in_a_cell() -> None:
    logits = torch.randn(5, len(CELLS))
    found = CellCrossEntropy(data=SPEC)(logits, batch([3, -1, 0, 7, -1]))["cell"]
    torch.testing.assert_close(found, functional.cross_entropy(logits[[0, 2, 3]], torch.tensor([3, 0, 7])))


@pytest.mark.parametrize("options", [{}, {"smoothing_km": 80.0}, {"levels": [2]}])
def test_without_a_place_nothing_is_learnt(options: dict[str, Any]) -> None:
    logits = torch.randn(2, len(CELLS), requires_grad=True)
    total = sum(CellCrossEntropy(data=SPEC, **options)(logits, batch([-1, -1])).values())
    total.backward()
    assert total.item() == 0
    assert logits.grad.abs().max() == 0


def test_softened_aims_fall_with_the_distance() -> None:
    loss = CellCrossEntropy(data=SPEC, smoothing_km=80.0)
    given = batch([3, 10, -1])
    aims = loss.softened(given["target"]["coordinate"], given["target"]["cell"] >= 0).double().numpy()
    for row, place in enumerate(given["target"]["coordinate"][:2].numpy()):
        shares = np.exp(-haversine(*place, CELLS.latitude, CELLS.longitude) / 80)
        np.testing.assert_allclose(aims[row], shares / shares.sum(), rtol=2e-3, atol=1e-9)
    assert aims[:2].argmax(axis=1).tolist() == [3, 10]
    assert np.isfinite(aims).all()


def test_a_narrow_softening_is_cross_entropy() -> None:
    logits, given = torch.randn(4, len(CELLS)), batch([3, 10, 0, 5])
    plain = CellCrossEntropy(data=SPEC)(logits, given)["cell"]
    torch.testing.assert_close(
        CellCrossEntropy(data=SPEC, smoothing_km=0.5)(logits, given)["cell"], plain, rtol=1e-3, atol=0
    )


def test_levels_judge_added_up_probabilities() -> None:
    logits, rows = torch.randn(4, len(CELLS)), [3, 10, 0, 5]
    parts = CellCrossEntropy(data=SPEC, levels=[2, 4], level_weight=0.5)(logits, batch(rows))
    for level in (2, 4):
        of = groups(CELLS, level).of
        sums = [logits[row].softmax(0)[torch.from_numpy(of == of[cell])].sum().log() for row, cell in enumerate(rows)]
        torch.testing.assert_close(parts[f"level_{level}"], -0.5 * torch.stack(sums).mean())


def test_options_that_make_no_sense() -> None:
    with pytest.raises(UserError, match="smoothing_km=-1"):
        CellCrossEntropy(data=SPEC, smoothing_km=-1.0)
    with pytest.raises(UserError, match=r"loss\.levels"):
        CellCrossEntropy(data=SPEC, levels=[-1])
