"""Models that might fit: counted without being built, and those of them worth having."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from omegaconf import OmegaConf

from mobilevision.config.loaded import known_targets, read_config
from mobilevision.config.search_path import installed
from mobilevision.errors import UserError
from mobilevision.reports.compare import Row, read
from mobilevision.tools.models import Configured, set_outputs, short_head
from mobilevision.tools.planning.space import SIDE, WIDTH, Combination

if TYPE_CHECKING:
    from mobilevision.cost.layers import Precision
    from mobilevision.tools.costs.counting import ClassInfo
    from mobilevision.tools.planning.budget import Budget


@final
@dataclass(frozen=True, eq=False)
class Candidate:
    """A choice of every knob, counted.

    Attributes:
        fixed: the user's overrides of one value.
        knobs: what was searched: key -> value as text.
        subject: the model, composed and counted.
        size: bytes of its exported file.
    """

    fixed: tuple[str, ...]
    knobs: Mapping[str, str]
    subject: Configured
    size: int

    @property
    def overrides(self) -> list[str]:
        """All that a training needs to be told."""
        keys = sorted(self.knobs, key=lambda key: "." in key)  # groups before keys in them
        return [*self.fixed, *(f"{key}={self.knobs[key]}" for key in keys)]

    @property
    def command(self) -> str:
        """The training, ready to be typed."""
        return shlex.join(["mobilevision", "train", *self.overrides])

    @property
    def family(self) -> tuple[str, ...]:
        """What models have in common that differ in width and side alone."""
        return tuple(f"{key}={value}" for key, value in sorted(self.knobs.items()) if key not in (WIDTH, SIDE))

    @property
    def params(self) -> int:
        """Parameters."""
        return self.subject.counted.cost.parameters

    @property
    def mult_adds(self) -> int:
        """Of one image."""
        return self.subject.counted.cost.mult_adds

    @property
    def arena(self) -> int:
        """Bytes of a microcontroller's RAM for tensors, about."""
        return self.subject.counted.cost.arena()

    @property
    def flash(self) -> int:
        """Bytes of its flash for the model, about."""
        return self.subject.counted.cost.flash()

    @property
    def capacity(self) -> tuple[float, int]:
        """Width, and pixels of the input: what the paper buys accuracy with."""
        height, width = self.subject.counted.resolution
        return float(self.subject.cfg.backbone.get("width") or 1.0), height * width

    def excess(self, budget: Budget) -> dict[str, float]:
        """The counted bounds that it breaks, with cost over bound."""
        counted = {"params": self.params, "mult_adds": self.mult_adds, "size": self.size}
        return budget.excess(**counted, **({"arena": self.arena, "flash": self.flash} if budget.of_board else {}))

    @property
    def name(self) -> str:
        """For a folder: ``mobilenet_v2_0.35_ssdlite_160``, and what else was searched."""
        shown = {"backbone", "head", WIDTH, SIDE, "backbone.variant"}
        more = [f"{key.rpartition('.')[2]}-{value}" for key, value in self.knobs.items() if key not in shown]
        return "_".join([self.subject.name.replace(" + ", "_").replace(" ", "_"), *more])


def count_all(
    combinations: Sequence[Combination],
    *,
    outputs: int | None,
    precision: Precision,
    progress: Callable[[int], None] | None = None,
) -> tuple[list[Candidate], list[str]]:
    """Count the models of all combinations.

    Args:
        combinations: what is searched.
        outputs: class scores of heads, for configurations without data.
        precision: of the numbers in an exported file.
        progress: is told how many are counted.

    Returns:
        The candidates, and why others cannot be had.

    Raises:
        UserError: none can be counted, or the data is not there.
    """
    from mobilevision.config.used_plugins import load_for
    from mobilevision.tools.costs.counting import class_info_of, cost_of

    load_for(combinations[0].cfg)
    found, refused = [], list[str]()
    known: dict[Any, ClassInfo] = {}  # the data is read once
    for combination in combinations:
        set_outputs(combination.cfg, outputs)
        key = combination.cfg.head.get("outputs")
        if key not in known:
            known[key] = class_info_of(combination.cfg, outputs)
        for knobs, cfg in combination.models():
            try:
                counted = cost_of(cfg, **known[key]._asdict())
            except UserError as error:
                refused.append(" ".join(str(error).split()))
                continue
            subject = Configured("", cfg, known[key], counted)
            found.append(Candidate(combination.fixed, knobs, subject, counted.cost.file_size(precision)))
            if progress is not None:
                progress(len(found))
    if not found:
        raise UserError(refused[0])
    return found, refused


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


# Accuracies of runs that exist, for the candidates that they are runs of.


def known_accuracies(folder: str | Path, candidates: Sequence[Candidate]) -> tuple[dict[Candidate, Row], int]:
    """The best finished run of each candidate: same task, data, backbone, head, side and size.

    Args:
        folder: with runs somewhere below.
        candidates: composed.

    Returns:
        Candidate -> its best run, and how many runs there are of this task and data.

    Raises:
        UserError: there is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"--results {folder}: there is no such folder")
    cfg = candidates[0].subject.cfg
    runs = [(row, head) for row, head, data in _runs(root) if row.task == cfg.task.name and data == _data(cfg)]
    found: dict[Candidate, Row] = {}
    for each in candidates:
        mine = [row for row, head in runs if head == each.subject.head and _same(row, each)]
        if mine:
            found[each] = max(mine, key=lambda row: row.score)
    return found, len(runs)


def _same(row: Row, candidate: Candidate) -> bool:
    counted = candidate.subject.counted
    costs = (row.parameters, row.mult_adds) == (candidate.params, candidate.mult_adds)
    return costs and row.backbone == counted.backbone and row.side == counted.resolution


def _runs(root: Path) -> Iterator[tuple[Row, str, tuple[str, str]]]:
    table = known_targets(installed())
    for path in sorted(root.rglob("metrics.json")):
        row = read(path.parent)
        try:
            cfg: Any = read_config(path.parent / "config.yaml", table)
            if row is not None:
                yield row, short_head(str(cfg.head["_target_"])), _data(cfg)
        except Exception:
            continue


def _data(cfg: Any) -> tuple[str, str]:
    """Which data set a run was on."""
    return str(OmegaConf.to_container(cfg.data.format, resolve=True)), str(cfg.data.get("root"))
