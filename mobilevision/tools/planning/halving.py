"""Successive halving: all train a little, the better half goes on, until one has trained for long.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", arXiv 1502.07943.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from mobilevision.engine.info import read_info
from mobilevision.errors import StoppedError, UserError
from mobilevision.io.error_lines import error_line
from mobilevision.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from mobilevision.tools.planning.candidate import Candidate


@final
@dataclass(frozen=True)
class Trained:
    """A candidate's run so far.

    Attributes:
        candidate: the model.
        folder: the run folder.
        metric: the task's primary metric on val.
        value: its best so far; val also chose the checkpoint.
        score: the value, turned so that more is better.
        epochs: trained.
    """

    candidate: Candidate
    folder: Path
    metric: str
    value: float
    score: float
    epochs: int


def rungs(epochs: int, starters: int) -> list[tuple[int, int]]:
    """How many models train up to how many epochs, rung by rung; the last one trains ``epochs``.

    Args:
        epochs: of the best model.
        starters: models at the beginning.
    """
    found, models, length = [(1, epochs)], 1, epochs
    while models < starters and length > 1:
        models, length = 2 * models, (length + 1) // 2
        found.append((min(models, starters), length))
    first = found[-1]
    return [(starters, first[1]), *reversed(found[:-1])] if len(found) > 1 else [(starters, epochs)]


def choose(front: Sequence[Candidate], starters: int) -> list[Candidate]:
    """Whom to begin with: the most mult-adds of each family, then the next of each, until there are enough."""
    families: dict[tuple[str, ...], list[Candidate]] = {}
    for each in sorted(front, key=lambda each: -each.mult_adds):
        families.setdefault(each.family, []).append(each)
    ranked = [(place, -each.mult_adds, each) for mine in families.values() for place, each in enumerate(mine)]
    return [each for *_, each in sorted(ranked, key=lambda item: item[:2])][:starters]


def halve(front: Sequence[Candidate], epochs: int, starters: int, folder: Path) -> list[Trained]:
    """Train; the same call again takes up what is in the folder.

    Args:
        front: candidates within the budget.
        epochs: of the best model.
        starters: models to begin with, at most.
        folder: of the run folders, one a model.

    Returns:
        Every model that trained, the best first, those that trained longer before the others.

    Raises:
        UserError: none could be trained; the message is the first one's.
        StoppedError: somebody stopped it.
    """
    going = choose(front, starters)
    plan = rungs(epochs, len(going))
    done: dict[Candidate, Trained] = {}
    failed: list[str] = []
    for number, (count, length) in enumerate(plan, 1):
        going = going[:count]
        upto = f"{_models(len(going))} to {length} epoch{'s' * (length > 1)}"
        print(f"\nrung {number} of {len(plan)}: {upto}", flush=True)
        alive = []
        for each in going:
            try:
                done[each] = train(each, folder / each.name, length)
                alive.append(each)
            except StoppedError:
                raise
            except Exception as error:
                failed.append(f"{each.name}: {error_line(error).removeprefix('error: ')}")
                print(error_line(error), file=sys.stderr, flush=True)
        going = sorted(alive, key=lambda each: -done[each].score)
    if not done:
        raise UserError(f"none of the {_models(len(failed))} could be trained; {failed[0]}")
    return sorted(done.values(), key=lambda each: (-each.epochs, -each.score))


def train(candidate: Candidate, path: Path, epochs: int) -> Trained:
    """Train one up to so many epochs, from where it is.

    Raises:
        UserError: for all that the user can mend.
    """
    from mobilevision.config.compose import compose
    from mobilevision.training.resuming import compose_resume
    from mobilevision.training.train import start

    folder = RunFolder(path)
    length = f"trainer.max_epochs={epochs}"
    if folder.metrics_json.exists() and (found := _reached(candidate, folder)).epochs >= epochs:
        print(f"{candidate.name}: {found.metric} {found.value:.4f}, trained already in {path}", flush=True)
        return found
    print(f"\n{candidate.name}", flush=True)
    if folder.config.exists() and any(folder.checkpoints.glob("last*.ckpt")):
        start(compose_resume(path, [length]))
    else:
        folder.config.unlink(missing_ok=True)  # it failed before there was anything to keep
        cfg = compose([*candidate.overrides, length])
        cfg.run_dir = str(path)
        start(cfg)
    return _reached(candidate, folder)


def _reached(candidate: Candidate, folder: RunFolder) -> Trained:
    from mobilevision.callbacks.history import read_history

    info: dict[str, Any] = read_info(folder)
    metric = f"val/{info['primary']}"
    rows = read_history(folder.metrics_csv)
    values = [float(row[metric]) for row in rows if row.get(metric)]
    if not values:
        raise UserError(f"{folder.path}: no {metric} to choose by; data.val_fraction above 0 takes a val from train")
    value = max(values) if info["mode"] == "max" else min(values)
    score = value if info["mode"] == "max" else -value
    return Trained(candidate, folder.path, metric, value, score, max(int(float(row["epoch"])) for row in rows))


def _models(count: int) -> str:
    return f"{count} model{'s' * (count != 1)}"
