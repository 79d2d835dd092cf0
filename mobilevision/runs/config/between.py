"""What must hold between the values of several keys, each of which is in its range."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mobilevision.errors import UserError
from mobilevision.runs.config.keys import type_of
from mobilevision.runs.config.layout import Claim, Layout, leaves
from mobilevision.runs.config.max_time import seconds_of

_ORDERED = (  # the first is at most the second; why
    ("data.cells.coarsest", "data.cells.finest", "cells are cut from the coarsest level down to the finest"),
    ("data.cells.least", "data.cells.most", "a cell with fewer photos is dropped, one with more is cut"),
    ("trainer.check_val_every_n_epoch", "trainer.max_epochs", "val would never be looked at"),
    ("trainer.kwargs.min_epochs", "trainer.max_epochs", "the training ends at the latter"),
    ("trainer.kwargs.min_steps", "trainer.max_steps", "the training ends at the latter"),
)
RELATED = {key for low, high, _ in _ORDERED for key in (low, high)}
RELATED |= {
    "trainer.max_time",
    "data.folds",
    "data.folds_final",
    "trainer.sync_batchnorm",
    "trainer.accelerator",
    "distill.teacher",
    "distill.auto_width",
    "backbone.width",
}
"""The keys whose values are looked at together."""


def check_between(claims: Iterable[Claim], layout: Layout) -> Iterator[str]:
    """A line for every two values that do not go together, after what claims set."""
    values = dict(leaves(_with(claims, layout.values)))
    for low, high, why in _ORDERED:
        first, second = _number(values.get(low)), _number(values.get(high))
        if first is not None and second is not None and first > second >= 0:
            yield f"{low}={first} is above {high}={second}: {why}"
    if isinstance(written := values.get("trainer.max_time"), str):
        try:
            seconds_of(written)
        except UserError as error:
            yield str(error)
    if line := _endless(values):
        yield line
    if values.get("data.folds_final") is True and (_number(values.get("data.folds")) or 0) < 2:
        yield "data.folds_final=true: trains a model after a cross-validation, which data.folds=5, say, asks for"
    if values.get("trainer.sync_batchnorm") is True and values.get("trainer.accelerator") == "cpu":
        yield "trainer.sync_batchnorm=true: works on GPUs only, and trainer.accelerator=cpu"
    if values.get("distill.teacher") == "auto" and "backbone.width" in values:
        wide = values.get("distill.auto_width")
        if reason := type_of("backbone.width", layout).refusal(wide):
            yield f"distill.auto_width={wide}: the teacher has the student's backbone, whose width {reason}"


def _endless(values: Mapping[str, Any]) -> str | None:
    """A line where neither epochs nor steps bound a training: its learning rate would have no end to fall to."""
    epochs, steps = values.get("trainer.max_epochs", "auto"), _number(values.get("trainer.max_steps"))
    if epochs not in (-1, None) or (steps is not None and steps > 0):
        return None
    written = "null" if epochs is None else epochs
    if values.get("trainer.max_time") is not None:
        return f"trainer.max_epochs={written}: leave it out, and a length is chosen that fits into trainer.max_time"
    return f"trainer.max_epochs={written}: trains for ever; give a number of epochs, or trainer.max_steps above 0"


def _with(claims: Iterable[Claim], values: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = copy.deepcopy(dict(values))
    for claim in claims:
        *above, name = claim.key.split(".")
        node = merged
        for part in above:
            below = node.setdefault(part, {})
            node = below if isinstance(below, dict) else {}
        if isinstance(claim.value, dict) and isinstance(node.get(name), dict):
            node[name] = _with((Claim(str(key), value, claim.where) for key, value in claim.value.items()), node[name])
        else:
            node[name] = claim.value
    return merged


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
