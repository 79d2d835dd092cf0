"""Of what fits, what is worth having."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mobilevision.tools.planning.candidate import Candidate

RULE = (
    "Kept: of each version and head the widest at each side, but for what another one of them beats in both; within a"
    " version both knobs buy accuracy (arXiv 1704.04861, figures 4 and 5), across versions only training tells."
)
RULE_MEASURED = " Of models with a measured accuracy: those that no cheaper one equals."


def front(candidates: Sequence[Candidate], accuracy: Mapping[Candidate, float] | None = None) -> list[Candidate]:
    """The Pareto set.

    Without accuracies, of each family (version and head) those that no other one equals in both width and side: in
    the paper each buys accuracy when the other is held. Versions are not compared: a mult-add of one is not worth one
    of another. Where accuracies are known, they alone decide among the models that have one.

    Args:
        candidates: all within the budget.
        accuracy: measured, of those that have it; more is better.

    Returns:
        In the order of ``candidates``.
    """
    known = accuracy or {}
    unknown = [each for each in candidates if each not in known]
    kept = {each for each in unknown if not any(_larger(other, each) for other in candidates)}
    measured = [each for each in candidates if each in known]
    kept |= {each for each in measured if not any(_better(other, each, known) for other in measured)}
    return [each for each in candidates if each in kept]


def _larger(first: Candidate, second: Candidate) -> bool:
    """Is it of the same family, nowhere smaller and somewhere larger?"""
    ours, theirs = first.capacity, second.capacity
    both = all(mine >= yours for mine, yours in zip(ours, theirs, strict=True))
    return both and ours != theirs and first.family == second.family


def _better(first: Candidate, second: Candidate, accuracy: Mapping[Candidate, float]) -> bool:
    """Is it nowhere worse, in accuracy and mult-adds, and somewhere better?"""
    ours, theirs = ((accuracy[each], -each.mult_adds) for each in (first, second))
    return ours != theirs and all(mine >= yours for mine, yours in zip(ours, theirs, strict=True))
