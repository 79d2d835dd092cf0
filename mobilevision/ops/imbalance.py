"""How unbalanced classes are."""

from __future__ import annotations

from collections.abc import Iterable


def imbalance(counts: Iterable[int]) -> float:
    """Samples of the largest class over those of the smallest that has any; 1.0 for fewer than two such classes.

    Args:
        counts: samples a class.
    """
    present = [count for count in counts if count > 0]
    return max(present) / min(present) if present else 1.0
