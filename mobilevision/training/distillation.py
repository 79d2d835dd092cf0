"""Distillation joined to a run: what ``distill=`` says becomes a part of the task's loss."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from mobilevision.config.parts import keys_of_parts, names, part_config
from mobilevision.engine.build import instantiate
from mobilevision.engine.info import read_info
from mobilevision.engine.run_config import read_run_config
from mobilevision.errors import UserError
from mobilevision.io.tensor_files import load_tensors
from mobilevision.tracking.run_folder import RunFolder
from mobilevision.training.same_data import fingerprint
from mobilevision.training.teachers import find_teacher

if TYPE_CHECKING:
    from mobilevision.data import Records
    from mobilevision.distill import Distiller, ModelOutputs, Objective, Teacher
    from mobilevision.engine.build import Built
    from mobilevision.tasks.base import Task


# A teacher's outputs on the disk: computed once, used by every epoch and every run that looks at the same images.

_CHANGES = ("flip", "color_jitter", "rand_augment", "erasing", "mixup", "cutmix")


def cached(cfg: DictConfig, built: Built, teacher: Teacher) -> Teacher:
    """The teacher's outputs of train and of the unlabelled images, read from the disk or computed and kept there.

    They are those of the unaugmented images, so the student must see these: ``augment=none``. What they were computed
    of is kept with them: the teacher's weights, the images (names, sizes and times of their files), and how these are
    cut. In the default folder each such combination has a file of its own. In ``distill.cache_folder`` there is one
    file, which is refused when anything is not as it was.

    Raises:
        UserError: augmented images, a teacher of which vectors cannot be kept, or a cache of something else.
    """
    from mobilevision.distill import KnownOutputs

    if not teacher.sees_images:
        return teacher
    if not all(unaugmented(each) for each in _of_all(built, "augment")):
        raise UserError(
            "distill.cache=true keeps the outputs of the images as they are, and augmentation changes them at every"
            " epoch: augment=none, or distill.cache=false"
        )
    key = key_of(cfg, built, teacher)
    path = _path(cfg, key)
    outputs = _read(path, key) if path.is_file() else None
    if outputs is None:
        outputs = compute(built, teacher)
        _write(path, key, outputs)
        print(f"teacher: outputs of {len(outputs):,} images kept in {path}", flush=True)
    else:
        print(f"teacher: outputs of {len(outputs):,} images from {path}", flush=True)
    return KnownOutputs(rows=outputs, classes=teacher.classes, name=teacher.name)


def unaugmented(augment: Any) -> bool:
    """Whether training sees the images as an evaluation does."""
    if augment is None:
        return True
    return augment.get("crop_scale", 0) is None and not any(augment.get(key) for key in _CHANGES)


def _of_all(built: Built, key: str) -> list[Any]:
    """What the config says at a key, and at that key of every part."""
    return [OmegaConf.select(built.cfg, each) for each in keys_of_parts(built.cfg, [key])]


def key_of(cfg: DictConfig, built: Built, teacher: Teacher) -> dict[str, str]:
    """What the outputs depend on, as texts."""
    spec = built.task.data_spec
    how = {"side": list(spec.resolution), "fit": spec.fit, "channels": spec.channels}
    how["crop"] = built.task.backbone.preset.crop
    formats = [OmegaConf.to_container(each, resolve=True) for each in _of_all(built, "data.format")]
    drawn = {"format": formats if built.data.parts else formats[0], "seed": cfg.data.seed}
    return {
        "teacher": teacher.digest(),
        "data": digest(built.data.train_and_unlabelled_dataloader().source.records, json.dumps(drawn, sort_keys=True)),
        "crop": json.dumps(how, sort_keys=True),
    }


def digest(records: Records, more: str) -> str:
    """A short text that differs where an image was added, taken away, moved or written anew."""
    found = hashlib.sha256(more.encode())
    for index in range(len(records)):
        name = records.name(index)
        found.update(name.encode("utf-8", "surrogateescape"))
        try:
            state = os.stat(name)
        except (OSError, ValueError):
            continue  # drawn, or in an archive: its name and format say what it is
        found.update(f"{state.st_size} {state.st_mtime_ns}".encode())
    return found.hexdigest()[:16]


@torch.no_grad()
def compute(built: Built, teacher: Teacher) -> Tensor:
    """Raw outputs float32 [n, K] of every image in order; NaN for those that had to be left out.

    Raises:
        UserError: outputs that are no vectors.
    """
    from mobilevision.spec import Needs

    loader = built.data.train_and_unlabelled_dataloader()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows: Tensor | None = None
    for batch in loader:
        outputs = teacher({**batch, "image": batch["image"].to(device)}, Needs()).outputs
        if not isinstance(outputs, Tensor) or outputs.ndim != 2:
            raise UserError("distill.cache=true keeps vectors; a detector's outputs are too many: distill.cache=false")
        if rows is None:
            rows = torch.full((len(loader.source), outputs.shape[1]), torch.nan)
        rows[batch["index"]] = outputs.float().cpu()
    assert rows is not None
    return rows


def _path(cfg: DictConfig, key: dict[str, str]) -> Path:
    if cfg.distill.cache_folder is not None:
        return Path(cfg.distill.cache_folder).expanduser() / "outputs.pt"
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    return Path("outputs") / "teacher_cache" / f"{name}.pt"


def _read(path: Path, key: dict[str, str]) -> Tensor:
    try:
        kept = load_tensors(path)
        before, outputs = dict(kept["key"]), kept["outputs"]
    except Exception as error:
        raise UserError(f"{path}: not a readable cache of a teacher's outputs: remove it") from error
    if changed := [name for name in key if before.get(name) != key[name]]:
        raise UserError(
            f"{path}: computed with another {' and another '.join(changed)} than this run's: remove it, or name another"
            " distill.cache_folder"
        )
    if not isinstance(outputs, Tensor) or outputs.ndim != 2 or not outputs.is_floating_point():
        raise UserError(f"{path}: not a readable cache of a teacher's outputs: remove it")
    return outputs


def _write(path: Path, key: dict[str, str], outputs: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    torch.save({"key": key, "outputs": outputs}, part)
    os.replace(part, path)


SHARED = ("kinds", "teacher", "weight", "label_weight", "cache", "cache_folder", "auto_width")


def distil(cfg: DictConfig, built: Built) -> None:
    """Give the task, or each of its parts, the distiller that ``distill=`` asks for.

    Raises:
        UserError: a teacher that cannot teach this student, or options that do not go with one.
    """
    taught = taught_configs(cfg)
    unlabelled = cfg.data.get("unlabelled")
    if not taught and unlabelled is not None:
        first = next(iter(names(cfg)), None)
        where = f"parts.{first}." if first else ""
        way = "detections" if (part_config(cfg, first) if first else cfg).task.kind == "boxes" else "outputs"
        raise UserError(
            f"data.unlabelled={unlabelled}: images without labels teach nothing by themselves: add"
            f" {where}distill={way} {where}distill.teacher=RUN, or leave them out"
        )
    if not taught:
        return
    from mobilevision.distill import PartDistillers

    if unlabelled is not None and any((each or {}).get("mosaic") for each in _of_all(built, "augment")):
        raise UserError("data.unlabelled: augment.mosaic mixes labelled images with others: set it to 0")
    if not names(cfg):
        built.task.distiller = _distiller(cfg, built)
        return
    made = {}
    for name, alone in taught.items():
        if name in (cfg.freeze.get("parts") or ()):
            raise UserError(
                f"parts.{name}.distill: freeze.parts holds the head of {name} still, so its teacher would not be heard:"
                f" leave {name} out of one of them"
            )
        try:
            made[name] = _distiller(alone, replace(built, task=built.task.parts[name]), part=name)
        except UserError as error:
            raise UserError(f"parts.{name}: {error}") from error
    joint: Any = built.task
    joint.distiller = PartDistillers(made, sides=joint.heads.sides, every_image=joint.teachers_see == "every_image")


def taught_configs(cfg: DictConfig) -> dict[str, DictConfig]:
    """The configs of what has a teacher: of the parts by name, of a single task under the name ``""``."""
    alone = {name: part_config(cfg, name) for name in names(cfg)} or {"": cfg}
    return {name: each for name, each in alone.items() if each.get("distill") is not None}


def _distiller(cfg: DictConfig, built: Built, *, part: str = "") -> Distiller:
    """Of a task, or of a part of one.

    Args:
        cfg: of the task.
        built: with the task, and the data of all parts.
        part: its name, where it is one.
    """
    records = built.data.train_and_unlabelled_dataloader().source.records
    teacher = find_teacher(cfg, records, output_kind=built.task.output_kind, part=part)
    check(cfg, built, teacher)
    if cfg.distill.cache:
        teacher = cached(cfg, built, teacher)
    notes = [f"teacher: {teacher.name}, {in_words(cfg)}", *_tested_otherwise(cfg, built, part)]
    built.data.splits.notes += [f"{part}{': ' * bool(part)}{note}" for note in notes]
    return make(cfg, built, teacher)


def _tested_otherwise(cfg: DictConfig, built: Built, part: str) -> Iterator[str]:
    """What to know of figures where a run of one task teaches that has cut the student's data in another way."""
    given = Path(str(cfg.distill.teacher)).expanduser()
    folder = RunFolder(given.parent.parent if given.suffix == ".ckpt" else given)
    marks, root = read_info(folder).get("split_fingerprints"), cfg.data.get("root")
    if root is None or not isinstance(marks, dict):
        return
    _, theirs = read_run_config(folder.path)
    if names(theirs) or theirs.data.get("root") is None or not _same_place(root, theirs.data.root):
        return
    data = built.data.parts[part] if part else built.data
    split = "val" if data.splits.test is None else "test"
    if marks.get(split) != fingerprint(data, split):
        yield (
            f"the teacher has cut the same data otherwise, so it may have learnt from images of this run's"
            f" {split}: its figures, and in part the student's, may be too good"
        )


def _same_place(one: Any, other: Any) -> bool:
    return Path(str(one)).expanduser().resolve() == Path(str(other)).expanduser().resolve()


def in_words(cfg: DictConfig) -> str:
    """What is imitated and its weight, in words."""
    name = cfg.distill["_target_"].rpartition(".")[2].lower()
    return f"its {name} count {cfg.distill.weight:g}, the labels {cfg.distill.label_weight:g}"


def make(cfg: DictConfig, built: Built, teacher: Teacher) -> Distiller:
    """The distiller of a task under a teacher; both look at one empty image first, which shows their shapes."""
    from mobilevision.distill import Distiller, order

    task = built.task
    objective: Objective = instantiate(cfg.distill, drop=SHARED, output_kind=task.output_kind)
    places = None
    if objective.by_class and task.output_kind != "embedding" and teacher.classes:
        places = order(task.data_spec.classes, teacher.classes, output_kind=task.output_kind, name=teacher.name)
    distiller = Distiller(
        teacher=teacher,
        objective=objective,
        order=places,
        label_weight=cfg.distill.label_weight,
        weight=cfg.distill.weight,
    )
    batch = built.data.eval_dataloader("train", shard=False).source.__getitems__([(0, 0)])
    distiller.prepare(student_outputs(task, distiller, batch), batch)
    return distiller


def student_outputs(task: Task, distiller: Distiller, batch: Any) -> ModelOutputs:
    """The student's outputs of a batch, in evaluation mode."""
    from mobilevision.distill import ModelOutputs

    training = task.training
    task.eval()
    with torch.no_grad():
        features = task.extract(batch["image"], distiller.needs)
        outputs = ModelOutputs(task.head(features), features)
    task.train(training)
    return outputs


def check(cfg: DictConfig, built: Built, teacher: Teacher) -> None:
    """Refuse what does not go with a teacher.

    Raises:
        UserError: naming the option and the fix.
    """
    if cfg.freeze.epochs and cfg.freeze.cache:
        raise UserError(
            "freeze.cache=true gives features without images, and a teacher needs these: freeze.cache=false"
        )
    augment = built.data.augment
    if augment is None:
        return
    if augment.mixes and (not teacher.sees_images or cfg.distill.cache):
        raise UserError(
            "augment.mixup, augment.cutmix: outputs that were computed before are not those of mixed images:"
            " set both to 0, or let the teacher look (a run, distill.cache=false)"
        )
    if cfg.data.get("unlabelled") is not None and augment.mixes:
        raise UserError("data.unlabelled: augment.mixup and cutmix mix labelled images with others: set them to 0")
