"""The chart of costs: it takes any model's layers, also none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mobilevision.io.text_columns import aligned
from mobilevision.visualization.charts_cost import layers


def row(kind: str, mult_adds: int, parameters: int = 10) -> dict[str, Any]:
    return {"name": kind, "kind": kind, "mult_adds": mult_adds, "parameters": parameters, "memory": 100}


@pytest.mark.parametrize("rows", [[], [row("norm", 0)], [row(f"conv {side}", side) for side in range(1, 9)]])
def test_any_layers(rows: list[dict[str, Any]]) -> None:
    drawn = layers(rows, title="a model")
    assert drawn.mode == "RGB"
    assert np.asarray(drawn).std() > 1


def test_columns_stand_straight() -> None:
    assert aligned([["name", "n"], ["a", "1,000"]]) == ["name      n", "a     1,000"]
    assert aligned([]) == []
