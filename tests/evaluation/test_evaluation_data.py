"""Samples in the order of what a model knows."""

from __future__ import annotations

import numpy as np
import pytest

from mobilevision.data.formats.cifar10 import ArrayRecords
from mobilevision.errors import UserError
from mobilevision.evaluation.data import Samples, in_order_of


def samples(classes: tuple[str, ...], values: list[list[float]]) -> Samples:
    images = np.zeros((len(values), 4, 4, 3), dtype=np.uint8)
    records = ArrayRecords(images=images, targets=np.array(values, dtype=np.float32), channels=3, label="pictures/test")
    return Samples("test", records, classes, ())


def test_attributes_are_matched_by_name() -> None:
    given = samples(("hat", "smile", "scar"), [[1, 0, 1], [0, 1, np.nan]])
    assert in_order_of(given, ("hat", "smile", "scar")) is given.records
    mapped = in_order_of(given, ("smile", "beard", "hat"))
    assert np.array_equal(mapped.targets, [[0, np.nan, 1], [1, np.nan, 0]], equal_nan=True)
    with pytest.raises(UserError, match="none of the model's attributes: it has hat, smile, scar; the model knows: x"):
        in_order_of(given, ("x",))
