"""Parts added to a run: its backbone and its parts stay as they are, to the digit; only the new parts learn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf, open_dict

from mobilevision.config import parts
from mobilevision.config.auto_settings import ALL_STAGES, AUTO
from mobilevision.config.check import refuse
from mobilevision.config.compose import compose
from mobilevision.config.keys import PARTS
from mobilevision.engine.info import read_info
from mobilevision.engine.run_config import read_run_config
from mobilevision.errors import UserError
from mobilevision.io.printable_text import listed
from mobilevision.training.same_data import fingerprint, fingerprint_of_parts

if TYPE_CHECKING:
    from mobilevision.engine.build import Built
    from mobilevision.tasks.base import Task
    from mobilevision.tracking.run_folder import RunFolder

OF_THE_RUN = ("task", "backbone", "head", "freeze", "pretrain", "probe")
"""Nodes that the run decides; likewise these keys of its data."""
OF_ITS_DATA = ("resolution", "fit", "channels", "white_level", "seed", "folds", "fold")
_OF_NEW_PARTS = "task.teachers_see"
"""What is said of the new parts all the same: those of the run have no teachers here."""


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
    if base.data.get("fold") is not None:
        raise UserError(f"extend={folder.path}: this is a fold of a cross-validation: extend a run of its own")
    there = _parts_of(base)
    if not parts.names(base) and not parts.is_part_name(name := next(iter(there))):
        raise UserError(
            f"extend={folder.path}: its task is called {name}, which no part can be: train the parts together"
        )
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
        kept = [list(names) for names in base.data.format.get("kept") or []] if parts.names(base) else []
        cfg.data.format.kept = [*kept, [name for name in there if not any(name in names for names in kept)]]
    if auto := [name for name in parts.names(cfg) if OmegaConf.select(cfg, f"{PARTS}.{name}.distill.teacher") == AUTO]:
        raise UserError(
            f"{PARTS}.{auto[0]}.distill.teacher=auto: the backbone is that of {folder.path}, and none is trained for a"
            f" teacher: train one by itself and name its run, {PARTS}.{auto[0]}.distill.teacher=RUN"
        )
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
        if (key != _OF_NEW_PARTS and group in OF_THE_RUN) or (group == "data" and below in OF_ITS_DATA):
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


def take_over(built: Built, run: str | Path) -> None:
    """Let the parts that a run has begin with its weights and what its val chose, and the backbone, too.

    Args:
        built: the run's parts and new ones.
        run: the run folder.

    Raises:
        UserError: the run has no weights for a layer that a new part looks at, or its parts learnt other classes.
    """
    from mobilevision.engine.restore import load_run

    restored, task = load_run(run), built.task
    before = restored.task
    learnt_parts = dict(before.parts) or {str(restored.cfg.task.name): before}
    for name, part in learnt_parts.items():
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
    new = [name for name in built.data.parts if name not in learnt_parts]
    _say_what_learns(task, list(learnt_parts), new)
    task.decision = {name: part.decision for name, part in learnt_parts.items() if part.decision}
    built.data.splits.notes += _notes(built, restored.folder, list(learnt_parts), several=bool(before.parts))


def _say_what_learns(task: Task, learnt: list[str], new: list[str]) -> None:
    backbone = task.backbone
    if backbone.report is not None:
        backbone.report = replace(backbone.report, classes=None)  # no head takes the classifier of the file
    backbone.note([f"taken over, to stay as they are: backbone, {listed(learnt, 4)}; learning: {listed(new, 4)}"])


def _notes(built: Built, run: RunFolder, names: list[str], *, several: bool) -> Iterator[str]:
    """What is to be known of figures: data of the parts that is not what they learnt from, boxes that are cut off."""
    data, before = built.data, read_info(run).get("data_fingerprint")
    if before not in (None, fingerprint_of_parts(data, names) if several else fingerprint(data.parts[names[0]])):
        yield (
            f"{listed(names, 4)}: not the data that {run.path} has learnt from: their images, labels or splits differ,"
            " so what is measured of these parts may be of images that they have learnt from"
        )
    cut = [name for name, part in data.parts.items() if part.kind == "boxes" and data.fit == "crop"]
    if new := [name for name in cut if name not in names]:
        yield (
            f"{listed(new, 4)}: data.fit=crop, as {run.path} has learnt: objects beside the centre of an image are not"
            " seen; trained together, all parts see whole images"
        )
