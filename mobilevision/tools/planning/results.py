"""Accuracies of runs that exist, for the candidates that they are runs of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from omegaconf import OmegaConf

from mobilevision.config.loaded import known_targets, read_config
from mobilevision.config.search_path import installed
from mobilevision.errors import UserError
from mobilevision.reports.compare import Row, read

if TYPE_CHECKING:
    from mobilevision.tools.planning.candidate import Candidate


@final
@dataclass(frozen=True)
class Known:
    """What a run reached.

    Attributes:
        row: the run.
        score: its primary metric, turned so that more is better.
    """

    row: Row
    score: float


def known_accuracies(folder: str | Path, candidates: Sequence[Candidate]) -> tuple[dict[Candidate, Known], int]:
    """The best finished run of each candidate: same task, data, backbone, head, side and size.

    Args:
        folder: with runs somewhere below.
        candidates: composed.

    Returns:
        Candidate -> what is known of it, and how many runs there are of this task and data.

    Raises:
        UserError: there is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"--results {folder}: there is no such folder")
    cfg = candidates[0].subject.cfg
    runs = [(row, head) for row, head, data in _runs(root) if row.task == cfg.task.name and data == _data(cfg)]
    found: dict[Candidate, Known] = {}
    for each in candidates:
        mine = [row for row, head in runs if head == each.subject.head and _same(row, each)]
        scores = [Known(row, row.value if row.best == "max" else -row.value) for row in mine]
        if scores:
            found[each] = max(scores, key=lambda known: known.score)
    return found, len(runs)


def _same(row: Row, candidate: Candidate) -> bool:
    counted = candidate.subject.counted
    costs = (row.parameters, row.mult_adds) == (candidate.params, candidate.mult_adds)
    return costs and row.backbone == counted.backbone and row.side == counted.resolution


def _runs(root: Path) -> Iterator[tuple[Row, str, tuple[str, str]]]:
    from mobilevision.tools.benchmarking.subjects import short_head

    table = known_targets(installed())
    for path in sorted(root.rglob("metrics.json")):
        row = read(path.parent)
        try:
            cfg: Any = read_config(path.parent / "config.yaml", table)
            if row is not None:
                yield row, short_head(cfg), _data(cfg)
        except Exception:
            continue


def _data(cfg: Any) -> tuple[str, str]:
    """Which data set a run was on."""
    return str(OmegaConf.to_container(cfg.data.format, resolve=True)), str(cfg.data.get("root"))
