"""From ``distill.teacher`` to a teacher: a run, a checkpoint, a timm model, a table of outputs."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from mobilevision.data.formats.table_rows import USUAL
from mobilevision.errors import UserError
from mobilevision.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from mobilevision.data import Records
    from mobilevision.distill import Teacher
    from mobilevision.tasks.base import Task


# A table of a teacher's outputs: a path, then a column a class (probabilities, or raw outputs).

_ASIDE = {*USUAL["path"], *USUAL["identity"], *USUAL["split"], "index"}
_SMALLEST = 1e-6  # a probability of 0 has no logit


def of_table(path: Path, records: Records, *, output_kind: Any) -> Teacher:
    """The teacher that a table holds.

    An image is found by the end of its path, as much of it as the table states. Images that are not in the table
    are not taught by it. Numbers between 0 and 1 are probabilities where the task's outputs are logits.

    Args:
        path: comma, semicolon, tab or bar between columns; a header with the classes' names.
        records: the samples whose outputs are wanted.
        output_kind: what the student's outputs are.

    Raises:
        UserError: a table that cannot be read, or in which no image is found.
    """
    from mobilevision.distill import KnownOutputs

    if not path.is_file():
        raise UserError(f"distill.teacher={path}: there is no such table")
    try:
        classes, rows = read(path)
    except csv.Error as error:
        raise UserError(f"distill.teacher={path}: not a table that can be read ({error})") from error
    places, unsure = _places(rows)
    found = [_find(records.name(index), places, unsure) for index in range(len(records))]
    if not any(place is not None for place in found):
        raise UserError(
            f"distill.teacher={path}: none of the data's images is in the table; it states {next(iter(rows))},"
            f" the data {records.name(0)}"
        )
    values = torch.tensor(list(rows.values()), dtype=torch.float32)
    values = torch.cat([logits(values, output_kind), torch.full((1, len(classes)), torch.nan)])
    order = torch.tensor([len(rows) if place is None else place for place in found])
    missing = sum(place is None for place in found)
    name = f"{path} ({missing:,} of {len(found):,} images are not in it)" if missing else str(path)
    return KnownOutputs(rows=values[order], classes=classes, name=name)


def read(path: Path) -> tuple[tuple[str, ...], dict[str, list[float]]]:
    """The names of the columns, and path -> their values, NaN where a cell is empty.

    Raises:
        UserError: no column of paths, or a cell that is no number.
    """
    with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
        first = stream.readline()
        stream.seek(0)
        reader = csv.reader(stream, delimiter=max(",;\t|", key=first.count))
        head = [cell.strip() for cell in next(reader, [])]
        low = [cell.lower() for cell in head]
        named = [low.index(name) for name in USUAL["path"] if name in low]
        if not named:
            raise UserError(f"{path}: no column with the paths; its header is {', '.join(head[:8]) or 'empty'}")
        columns = [place for place, name in enumerate(low) if name not in _ASIDE]
        rows: dict[str, list[float]] = {}
        for cells in reader:
            if any(cells):
                if len(cells) != len(head):
                    raise UserError(f"{path}:{reader.line_num}: {len(cells)} cells, the header has {len(head)}")
                rows[cells[named[0]].strip().replace("\\", "/")] = [
                    _number(cells[place], f"{path}:{reader.line_num}: {head[place]}") for place in columns
                ]
    if not rows or not columns:
        raise UserError(f"{path}: the table holds no outputs")
    return tuple(head[place] for place in columns), rows


def logits(values: Tensor, output_kind: Any) -> Tensor:
    """Probabilities [n, K] as logits, where the task's outputs are such; anything else as it is."""
    finite = values[values.isfinite()]
    if output_kind not in ("softmax", "sigmoid") or finite.numel() == 0 or finite.min() < 0 or finite.max() > 1:
        return values
    sure = values.clamp(_SMALLEST, 1 - _SMALLEST)
    return sure.log() if output_kind == "softmax" else sure.logit()


def _number(cell: str, where: str) -> float:
    try:
        return float(cell) if cell.strip() else float("nan")
    except ValueError:
        raise UserError(f"{where}={cell}: is no number") from None


def _places(rows: dict[str, list[float]]) -> tuple[dict[str, int], dict[str, int]]:
    """Path -> row; and file name -> row where only one path ends so."""
    names = Counter(path.rpartition("/")[2] for path in rows)
    last = {path.rpartition("/")[2]: place for place, path in enumerate(rows)}
    return {path: place for place, path in enumerate(rows)}, {name: last[name] for name in names if names[name] == 1}


def _find(name: str, places: dict[str, int], last: dict[str, int]) -> int | None:
    parts = name.replace("\\", "/").split("/")
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((places[end] for end in ends if end in places), last.get(parts[-1]))


_PREFIX = "timm:"
_TABLES = (".csv", ".tsv", ".txt")


def find_teacher(cfg: DictConfig, records: Records, *, output_kind: Any, part: str = "") -> Teacher:
    """The teacher that ``distill.teacher`` names.

    Args:
        cfg: the student's config.
        records: the samples to be taught; a table is matched with them by path.
        output_kind: what the outputs of the student's task are.
        part: the student, where it is a part of several tasks.

    Raises:
        UserError: nothing of that name, or something that cannot teach this student.
    """
    import timm

    given = str(cfg.distill.teacher)
    path = Path(given).expanduser()
    if given.startswith(_PREFIX):
        return of_timm(given.removeprefix(_PREFIX), int(cfg.data.channels))
    if path.suffix.lower() in _TABLES:
        return of_table(path, records, output_kind=output_kind)
    if path.suffix == ".ckpt":
        if not path.is_file() or path.stem not in ("best", "last"):
            raise UserError(f"distill.teacher={given}: give best.ckpt or last.ckpt of a run, where they lie in it")
        return of_run(path.parent.parent, cfg, which=path.stem, part=part)
    if path.is_dir():
        return of_run(path, cfg, part=part)
    if "/" not in given and timm.is_model(given.partition(".")[0]):
        return of_timm(given, int(cfg.data.channels))
    raise UserError(
        f"distill.teacher={given}: no such run folder, checkpoint or table, and no model of timm's (timm:NAME)"
    )


def of_run(path: Path, cfg: DictConfig, *, which: Any = "best", part: str = "") -> Teacher:
    """A run of ours as a teacher; of several tasks, the part of the student's kind, or of those the one called so.

    Raises:
        UserError: no run, one that was broken off, or one of another task or other channels.
    """
    from mobilevision.distill import ModelTeacher
    from mobilevision.engine.restore import load_run

    folder = RunFolder(path)
    if not folder.metrics_json.is_file() and folder.config.is_file():
        raise UserError(f"distill.teacher={path}: this run has not come to its end; resume={path} brings it there")
    only_last = which == "best" and not folder.best.is_file() and folder.last.is_file()
    restored = load_run(path, which="last" if only_last else which)
    task = _of_kind(restored.task, cfg.task.kind, path, part)
    spec = task.data_spec
    compares = cfg.distill["_target_"].rpartition(".")[2] not in ("Embeddings", "FeatureMaps")
    if compares and spec.kind != cfg.task.kind:
        raise UserError(
            f"distill.teacher={path}: it was trained for {restored.cfg.task.name}, which learns from {spec.kind};"
            f" the student, {cfg.task.name}, learns from {cfg.task.kind}"
        )
    if spec.channels != cfg.data.channels:
        raise UserError(
            f"distill.teacher={path}: it looks at images of {spec.channels} channels, the student at"
            f" {cfg.data.channels}: set data.channels={spec.channels}"
        )
    return ModelTeacher(
        backbone=task.backbone, head=task.head, resolution=spec.resolution, classes=spec.classes, name=str(path)
    )


def _of_kind(task: Task, kind: str, path: Path, name: str) -> Task:
    """The part of a model of several tasks that learns from ``kind``, of several the one of this name; a task as it is.

    Raises:
        UserError: none, or several.
    """
    if not task.parts or kind == task.kind:
        return task
    found = {each: part for each, part in task.parts.items() if part.kind == kind}
    if len(found) > 1 and name in found:
        return found[name]
    if len(found) != 1:
        parts = ", ".join(f"{each} ({part.kind})" for each, part in task.parts.items())
        called = ", and none of these is called as the student's part" if found else ""
        raise UserError(
            f"distill.teacher={path}: one of its parts has to learn from {kind}, as the student does, and"
            f" {len(found) or 'none'} of them do{called}: {parts}"
        )
    return next(iter(found.values()))


def of_timm(name: str, channels: int) -> Teacher:
    """A timm model with its own classifier; ImageNet's classes go by their first names.

    Raises:
        UserError: no such model, or one whose weights bring no classifier.
    """
    from mobilevision.backbones import timm_backbone
    from mobilevision.backbones.imagenet import CLASSES, imagenet_names
    from mobilevision.distill import ModelTeacher
    from mobilevision.heads import LinearHead
    from mobilevision.spec import DataSpec

    backbone = timm_backbone(name=name, weights="timm", channels=channels)
    if backbone.classifier is None:
        raise UserError(f"distill.teacher={_PREFIX}{name}: its weights bring no classifier that could teach")
    weight, bias = backbone.classifier
    side, count = backbone.preset.side, len(bias)
    names = imagenet_names() if count == CLASSES else tuple(map(str, range(count)))
    spec = DataSpec("class", names, channels, (side, side))
    head = LinearHead(backbone=backbone.spec, data=spec)
    head.load_classifier(weight, bias)
    return ModelTeacher(
        backbone=backbone, head=head, resolution=(side, side), classes=spec.classes, name=f"{_PREFIX}{name}"
    )
