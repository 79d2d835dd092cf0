"""What an export does to each class, and the classes that it hurts most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Tables = Mapping[str, Sequence[Mapping[str, Any]]]
_SHOWN = 5
_TABLES = {"per_class": ("class", ("accuracy", "ap")), "per_attribute": ("attribute", ("ap",))}


def by_class(before: Tables, after: Tables) -> list[dict[str, Any]]:
    """Rows of class, metric, checkpoint, artifact and drop, in the order of the classes.

    Args:
        before: the checkpoint's tables by name.
        after: the exported model's.
    """
    rows = []
    for table, (key, columns) in _TABLES.items():
        for first, second in zip(before.get(table, ()), after.get(table, ()), strict=True):
            column = next((name for name in columns if name in first), None)
            if column is None or first[column] is None or second[column] is None:
                continue
            drop = float(first[column]) - float(second[column])
            row = {"class": first[key], "metric": column, "checkpoint": first[column], "artifact": second[column]}
            rows.append({**row, "drop": drop})
    return rows


def worst(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of :func:`by_class` that fall most; none where none falls."""
    return sorted((row for row in rows if row["drop"] > 0), key=lambda row: -row["drop"])[:_SHOWN]
