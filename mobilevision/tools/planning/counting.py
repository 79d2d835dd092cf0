"""Every candidate counted, none built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mobilevision.errors import UserError
from mobilevision.tools.benchmarking.subjects import Subject, short_head
from mobilevision.tools.planning.candidate import Candidate

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mobilevision.cost.layers import Precision
    from mobilevision.tools.costs.classes import Known
    from mobilevision.tools.planning.space import Corner


def count_all(
    corners: Sequence[Corner],
    *,
    outputs: int | None,
    precision: Precision,
    said: Callable[[int], None] | None = None,
) -> tuple[list[Candidate], list[str]]:
    """Count the models of all corners.

    Args:
        corners: what is searched.
        outputs: class scores of heads, for configurations without data.
        precision: of the numbers in an exported file.
        said: is told how many are counted.

    Returns:
        The candidates, and why others cannot be had.

    Raises:
        UserError: none can be counted, or the data is not there.
    """
    from mobilevision.config.plugins import load_for
    from mobilevision.tools.costs.counting import cost_of

    load_for(corners[0].cfg)
    found, refused = [], list[str]()
    known: dict[Any, Known] = {}
    for corner in corners:
        data = _known(corner.cfg, outputs, known)
        for knobs, cfg in corner.models():
            try:
                counted = cost_of(cfg, **data._asdict())
            except UserError as error:
                refused.append(" ".join(str(error).split()))
                continue
            subject = Subject("", cfg, short_head(cfg), data, counted)
            found.append(Candidate(corner.fixed, knobs, subject, counted.cost.file_size(precision)))
            if said is not None:
                said(len(found))
    if not found:
        raise UserError(refused[0])
    return found, refused


def _known(cfg: DictConfig, outputs: int | None, known: dict[Any, Known]) -> Known:
    """What a head is made for; the data is read once."""
    from mobilevision.tools.costs.classes import known_of

    if outputs is not None and cfg.head.get("outputs") is not None:
        cfg.head.outputs = outputs
    key = cfg.head.get("outputs")
    if key not in known:
        known[key] = known_of(cfg, outputs)
    return known[key]
