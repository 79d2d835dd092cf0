"""Student beside teacher: both measured on the same test in the same way, how far they agree, and what each costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, final

import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.nn import functional

from mobilevision.distill.objectives import at_size_of_student
from mobilevision.ops.boxes import tensor_iou
from mobilevision.ops.rows import take
from mobilevision.spec import OutputKind, PartOutputs
from mobilevision.training.distillation import taught_configs
from mobilevision.training.teachers import find_teacher

if TYPE_CHECKING:
    from pytorch_lightning import Trainer

    from mobilevision.distill import Distiller, Teacher
    from mobilevision.engine.build import Built
    from mobilevision.tasks.base import Task
    from mobilevision.tracking.run_folder import RunFolder


# How often a student says what its teacher says.

_SURE, _OVERLAP = 0.5, 0.5


@final
class Agreement:
    """Counts over batches.

    Of classes, images of which both name the same; of attributes, answers that are the same; of embeddings, the mean
    cosine; of detectors, those of the teacher's detections (score from 0.5) that the student has, too (class the same,
    IoU from 0.5, any score from half of that).

    Args:
        output_kind: what the outputs are.
        decode: from raw outputs to predictions.
    """

    def __init__(self, output_kind: OutputKind | None, decode: Callable[[Any], dict[str, Tensor]]) -> None:
        self.output_kind, self.decode = output_kind, decode
        self.sums = torch.zeros(2, dtype=torch.float64)

    def add(self, student: Any, teacher: Any) -> None:
        """Raw outputs of both of a batch."""
        if self.output_kind == "softmax":
            teacher = at_size_of_student(teacher, student)
            same = (student.argmax(1) == teacher.argmax(1))[teacher.isfinite().all(dim=1)]
        elif self.output_kind == "sigmoid":
            same = ((student >= 0) == (teacher >= 0))[teacher.isfinite()]
        elif self.output_kind == "embedding" and student.shape == teacher.shape:
            same = functional.cosine_similarity(student.float(), teacher.float())
        elif self.output_kind == "detections":
            same = self._found(self.decode(student), self.decode(teacher))
        else:
            return
        self.sums += torch.tensor([float(same.sum()), float(same.numel())], dtype=torch.float64)

    def value(self, add_up: Callable[[Tensor], Tensor]) -> float | None:
        """The share, over all processes; None where nothing could be compared.

        Args:
            add_up: sums a tensor over the processes.
        """
        agreed, compared = add_up(self.sums.float()).tolist()
        return agreed / compared if compared else None

    def _found(self, student: dict[str, Tensor], teacher: dict[str, Tensor]) -> Tensor:
        flags = [torch.zeros(0, dtype=torch.bool)]
        for place in range(len(teacher["scores"])):
            sure, likely = teacher["scores"][place] >= _SURE, student["scores"][place] >= _SURE / 2
            overlap = tensor_iou(teacher["boxes"][place][sure][:, None], student["boxes"][place][likely])
            same = teacher["labels"][place][sure][:, None] == student["labels"][place][likely]
            flags.append(((overlap >= _OVERLAP) & same).any(dim=1).cpu())
        return torch.cat(flags)


Row = dict[str, Any]

_COSTS = ("parameters", "mult_adds")


class Student(NamedTuple):
    """A task that has a teacher: that of the run, or a part of it.

    Attributes:
        task: what says how its outputs are decoded.
        distiller: with its teacher.
        teacher: the same, for the split that is measured.
        agreement: counts.
    """

    task: Task
    distiller: Distiller
    teacher: Teacher
    agreement: Agreement


def measure_teacher(cfg: DictConfig, trainer: Trainer, built: Built, folder: RunFolder) -> list[Row]:
    """What the teacher reaches on the split on which the student is about to be evaluated.

    The task measures the teacher's outputs as if they were its own, so whatever a task measures is measured of both.
    Of several parts, each is measured by the outputs of its own teacher. Before the student's own test, whose tables
    are those that stay.

    Returns:
        Rows of metric and teacher, then their agreement; none without a teacher, or one whose outputs are not of this
        task.
    """
    from mobilevision.io.tensor_files import read_checkpoint

    task = built.task
    if task.distiller is None:
        return []
    split = "val" if built.data.splits.test is None else "test"
    students = dict(_students(cfg, built, split))
    if not students:
        return []
    kept = next((path for path in (folder.best, folder.last) if path.is_file()), None)
    if kept is not None:
        task.load_state_dict(read_checkpoint(kept)["state_dict"])

    def teachers(batch: dict[str, Any]) -> Any:
        own = task.outputs(batch)
        for name, student in students.items():
            outputs = student.distiller.ask(student.teacher, batch).outputs
            if not name:
                student.agreement.add(own, outputs)
                return outputs
            if name in batch["target"]:
                known = batch["target"][name]["known"]
                student.agreement.add(take(own[name].outputs, known), take(outputs, known))
            own = {**own, name: PartOutputs(outputs)}
        return own

    measure = trainer.validate if split == "val" else trainer.test
    with _unwatched(trainer), task.measuring(teachers):
        measured = measure(task, datamodule=built.data, verbose=False)
    rows = [
        {"metric": name.partition("/")[2], "teacher": value}
        for part in measured
        for name, value in part.items()
        if "" in students or name.split("/")[1] in students
    ]
    for name, student in students.items():
        share = student.agreement.value(lambda sums: trainer.strategy.reduce(sums.to(task.device), reduce_op="sum"))
        if share is not None:
            rows.append({"metric": f"{name}/agreement".lstrip("/"), "student": share, "teacher": None})
    return rows


def _students(cfg: DictConfig, built: Built, split: str) -> Iterator[tuple[str, Student]]:
    """Those whose teacher's outputs are of the same task, by part; the name of a single task is ``""``."""
    configs = taught_configs(cfg)
    for name, distiller in _distillers(built.task).items():
        task = built.task.parts[name] if name else built.task
        if distiller.objective.by_class:
            teacher = _looking(configs[name], replace(built, task=task), distiller, split, part=name)
            if teacher is not None:
                yield name, Student(task, distiller, teacher, Agreement(task.output_kind, task.decode))


def _distillers(task: Task) -> dict[str, Distiller]:
    """By part; that of a single task under the name ``""``."""
    from mobilevision.distill import PartDistillers

    made = task.distiller
    return {} if made is None else made.items() if isinstance(made, PartDistillers) else {"": made}


@contextmanager
def _unwatched(trainer: Trainer) -> Iterator[None]:
    """No callback and no tracker takes part while this lasts: what is measured is not the run's own."""
    callbacks, loggers = trainer.callbacks, trainer.loggers  # type: ignore[attr-defined]
    trainer.callbacks, trainer.loggers = [], []  # type: ignore[attr-defined]
    try:
        yield
    finally:
        trainer.callbacks, trainer.loggers = callbacks, loggers  # type: ignore[attr-defined]


def compare_with_teacher(results: Mapping[str, float], rows: list[Row], built: Built) -> list[Row]:
    """The table of both: metrics, agreement, costs; of several teachers, what they cost together.

    Args:
        results: the student's, ``<stage>/<metric>`` -> value.
        rows: of :func:`measure_teacher`.
        built: the student.
    """
    if built.task.distiller is None:
        return []
    own = {name.partition("/")[2]: value for name, value in results.items()}
    found = [
        {"metric": row["metric"], "student": own.get(row["metric"], row.get("student")), "teacher": row["teacher"]}
        for row in rows
    ]
    costs = cost_together([each.teacher for each in _distillers(built.task).values()])
    for key in _COSTS:
        found.append({"metric": key, "student": getattr(built.cost, key), "teacher": costs.get(key)})
    return found


def cost_together(teachers: Iterable[Teacher]) -> dict[str, int]:
    """Parameters and mult-adds an image of all of them; nothing where one is a table of outputs.

    Of several parts that one run teaches, what the run itself costs: its backbone counts once, and its pass over the
    images once a side.
    """
    from mobilevision.cost import count
    from mobilevision.distill import ModelTeacher

    counted: dict[tuple[Any, ...], int] = {}
    for place, teacher in enumerate(teachers):
        if not isinstance(teacher, ModelTeacher):
            return {}
        backbone = teacher.backbone_digest()
        channels = len(teacher.model.backbone.mean)  # type: ignore[arg-type]
        image = torch.empty(1, channels, *teacher.resolution, dtype=torch.uint8, device="meta")
        for layer in count(teacher.model, image).layers:
            shared = layer.name.startswith("backbone.")
            of, seen_at = (backbone, teacher.resolution) if shared else (place, None)
            counted["parameters", of, layer.name] = layer.parameters
            counted["mult_adds", of, seen_at, layer.name] = layer.mult_adds
    return {key: sum(number for (what, *_), number in counted.items() if what == key) for key in _COSTS}


def _looking(cfg: DictConfig, built: Built, distiller: Distiller, split: str, *, part: str) -> Teacher | None:
    """The teacher for another split than train: what is known by place is looked up anew, a cache asks its source."""
    teacher: Teacher = distiller.teacher
    if teacher.sees_images:
        return teacher
    from mobilevision.errors import UserError

    try:
        records = getattr(built.data.splits, split)
        return find_teacher(cfg, records, output_kind=built.task.output_kind, part=part)
    except UserError:  # a table of the training images only
        return None
