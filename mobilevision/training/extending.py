"""Parts added to a run: its backbone and its parts stay as they are, to the digit; only the new parts learn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf, open_dict

from mobilevision.config import parts
from mobilevision.config.auto_settings import ALL_STAGES
from mobilevision.config.check import refuse
from mobilevision.config.compose import compose
from mobilevision.config.keys import PARTS
from mobilevision.engine.info import read_info
from mobilevision.engine.run_config import read_run_config
from mobilevision.errors import UserError

if TYPE_CHECKING:
    from mobilevision.tasks.base import Task

OF_THE_RUN = ("task", "backbone", "head", "freeze", "pretrain", "probe")
"""Nodes that the run decides; likewise these keys of its data."""
OF_ITS_DATA = ("resolution", "fit", "channels", "white_level")


def compose_extended(
    run_folder: str | Path, overrides: Iterable[str] = (), *, config_dir: str | None = None
) -> DictConfig:
    """The configuration of a run's parts and of new ones beside them.

    Args:
        run_folder: a run of one task, which becomes a part of its own name, or of several.
        overrides: the new parts, ``parts.NAME=TASK`` and what is below it; what is said of the training; and, of the
            parts that are there, where their data lies now.
        config_dir: one more folder of configs.

    Raises:
        UserError: no run, or one text with every override that is not possible.
    """
    folder, base = read_run_config(run_folder, config_dir=config_dir)
    there = _parts_of(base)
    lines = [each for each in overrides if each.lstrip("+").partition("=")[0] != "extend"]
    shared, given = parts.split([each for each in lines if each != "task=multitask"])
    old = {name: given.pop(name) for name in list(given) if name in there}
    new = [line for line in lines if line.lstrip("+~").startswith(tuple(f"{PARTS}.{name}" for name in given))]
    refuse([*_impossible(shared, old, folder.path), *_without_new(given, folder.path)])
    cfg = compose(["task=multitask", f"{PARTS}=none", *shared, *new], config_dir=config_dir)
    with open_dict(cfg):
        cfg[PARTS] = {**there, **cfg[PARTS]}
        for name, part in old.items():
            for line in part.overrides:
                key, _, value = line.partition("=")
                OmegaConf.update(cfg, f"{PARTS}.{name}.{key}", value)
        cfg.backbone = base.backbone
        cfg.backbone.weights = cfg.extend = str(folder.path)
        for key in OF_ITS_DATA:
            cfg.data[key] = base.data.get(key)
        cfg.data.resolution = read_info(folder).get("resolution") or base.data.resolution
        if cfg.data.fit is None and base.task.kind == "boxes":
            cfg.data.fit = "stretch"
        cfg.freeze.stages, cfg.freeze.parts = ALL_STAGES, list(there)
    return cfg


def _parts_of(base: DictConfig) -> dict[str, Any]:
    """The nodes of a run's parts; of one task, its own under its name."""
    values: Any = OmegaConf.to_container(base)
    several = values[PARTS] if parts.names(base) else {str(base.task.name): values}
    kept = [key for key in parts.OWN if key != "distill"]  # who taught them does not matter any more
    return {name: {key: node[key] for key in kept if key in node} for name, node in several.items()}


def _impossible(shared: list[str], old: Mapping[str, parts.Given], path: Path) -> Iterator[str]:
    for line in shared:
        key = line.lstrip("+~").partition("=")[0]
        group, _, below = key.partition(".")
        if group in OF_THE_RUN or (group == "data" and below in OF_ITS_DATA):
            yield f"{line}: what {path} has learnt stays as it is, and its {group} with it: leave it out"
        elif group == PARTS:
            yield f"{line}: the parts are those of {path} and new ones, {PARTS}.NAME=TASK"
    for name, part in old.items():
        if part.adds or part.removed:
            yield f"{PARTS}.{name}: {path} has this part already, which stays as it is: call the new one otherwise"
            continue
        for line in part.overrides:
            if not line.startswith(("data.root=", "data.groups=", "data.format.images=")):
                yield f"{PARTS}.{name}.{line}: this part stays as it is; only where its data lies can be said"


def _without_new(given: Mapping[str, parts.Given], path: Path) -> list[str]:
    if any(part.adds for part in given.values()):
        return []
    return [f"extend={path} adds parts to this run, and none is given: {PARTS}.NAME=TASK"]


def take_over(task: Task, run: str | Path) -> None:
    """Let the parts that a run has begin with its weights, and the backbone, too.

    Args:
        task: of the run's parts and new ones.
        run: the run folder.

    Raises:
        UserError: the run has no weights for a layer that a new part looks at, or its parts learnt other classes.
    """
    from mobilevision.engine.restore import load_run

    restored = load_run(run)
    before = restored.task
    for name, part in (dict(before.parts) or {str(restored.cfg.task.name): before}).items():
        now = task.parts[name]
        if now.data_spec.classes != part.data_spec.classes:
            raise UserError(
                f"{PARTS}.{name}: its data has other classes now ({', '.join(now.data_spec.classes[:8])}) than when"
                f" {run} learnt them ({', '.join(part.data_spec.classes[:8])})"
            )
        now.head.load_state_dict(part.head.state_dict())
        now.loss.load_state_dict(part.loss.state_dict())
    learnt, wanted = before.backbone.state_dict(), task.backbone.state_dict()
    if missing := [key for key in wanted if key not in learnt]:
        layer = missing[0].rpartition(".")[0]
        raise UserError(
            f"extend={run}: its parts had no use for {layer} of the backbone and did not keep it, and a new part looks"
            " at it: train all parts together"
        )
    task.backbone.load_state_dict({key: learnt[key] for key in wanted})
