"""The head of cells: its size, and what coarser levels add."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mobilevision.errors import UserError
from mobilevision.geo.cells import Cells, groups
from mobilevision.geo.partition import adaptive, fixed
from mobilevision.heads.cells import CellsHead
from mobilevision.spec import BackboneSpec, DataSpec, Features


def made(*, level: int | None = None) -> Cells:
    rng = np.random.default_rng(0)
    north, east = rng.normal((50, 10), (8, 12), (2000, 2)).T
    return adaptive(north, east, most=60, least=3) if level is None else fixed(north, east, level=level)


def spec(cells: Cells | None) -> DataSpec:
    carried = None if cells is None else cells.to_dict()
    return DataSpec("coordinate", () if carried is None else tuple(carried["tokens"]), 3, (64, 64), cells=carried)


def test_a_logit_a_cell() -> None:
    cells = made()
    head = CellsHead(backbone=BackboneSpec(8), data=spec(cells))
    assert head(Features({}, torch.randn(5, 8))).shape == (5, len(cells))


def test_coarser_levels_move_the_cells_inside_them_together() -> None:
    cells = made()
    head = CellsHead(backbone=BackboneSpec(8), data=spec(cells), levels=[2, 4])
    pooled = torch.randn(1, 8)
    before = head(Features({}, pooled))[0]
    found = groups(cells, 4)
    with torch.no_grad():
        head.coarser[1].bias[int(found.of[0])] += 2.0
    change = head(Features({}, pooled))[0] - before
    inside = torch.from_numpy(found.of == found.of[0])
    assert torch.allclose(change[inside], torch.tensor(2.0))
    assert torch.allclose(change[~inside], torch.tensor(0.0), atol=1e-6)
    assert {name for name in head.state_dict() if "group" in name} == set(), "they follow from the cells"


def test_cells_coarser_than_the_level_are_groups_of_their_own() -> None:
    cells = made(level=3)
    assert groups(cells, 6).of.tolist() == list(range(len(cells)))
    assert groups(cells, 0).number == len(np.unique(cells.ids >> np.uint64(61)))
    with pytest.raises(UserError, match=r"head\.levels=\[31\]: must be between 0 and 30"):
        CellsHead(backbone=BackboneSpec(8), data=spec(cells), levels=[31])


def test_data_without_cells_is_refused() -> None:
    with pytest.raises(UserError, match=r"data\.cells\.file"):
        CellsHead(backbone=BackboneSpec(8), data=spec(None))


def test_planets_last_layer() -> None:
    """Its 26,263 cells are 27 M parameters on 1,024 features; the paper's 10 M are some 10,000 cells."""
    counts = {
        cells: sum(p.numel() for p in torch.nn.Linear(1024, cells, device="meta").parameters())
        for cells in (26_263, 9_756)
    }
    assert counts == {26_263: 26_919_575, 9_756: 9_999_900}
