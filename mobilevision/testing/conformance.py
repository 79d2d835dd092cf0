"""Compose, one step, overfit a handful, checkpoint and back, predict, export: a task that passes these works in a run.

In a test of a plugin::

    from mobilevision.testing import check

    def test_conforms() -> None:
        check(["task=mine", "backbone.width=0.25"])
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from mobilevision.config.compose import compose
from mobilevision.data.multitask import NONE, MultitaskTargets
from mobilevision.deploy.formats import find_format
from mobilevision.deploy.graph import Graph
from mobilevision.deploy.precision import FLOAT32
from mobilevision.engine.build import Built, build
from mobilevision.engine.restore import load_run
from mobilevision.errors import UserError
from mobilevision.io.atomic_files import write_text
from mobilevision.ops.rows import take
from mobilevision.testing.contract import check_answer, check_metric
from mobilevision.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from mobilevision.tasks.base import Task

SAMPLES = 8
STEPS = 60
AGREE = 0.97
"""Of what the task says, its exported graph has to say so much."""
LEARNT = 0.5
"""Overfitting has to bring the loss of a handful of samples below this share of where it began."""


@dataclass(frozen=True)
class Outcome:
    """How one part of the test went.

    Attributes:
        name: the part.
        error: what was wrong; None where nothing was.
    """

    name: str
    error: str | None = None


def check(overrides: Iterable[str] = ()) -> None:
    """Run the conformance test and raise AssertionError with all that failed."""
    failed = [f"{outcome.name}: {outcome.error}" for outcome in conform(overrides) if outcome.error]
    assert not failed, "\n".join(failed)


def conform(overrides: Iterable[str] = ()) -> list[Outcome]:
    """Run the conformance test on what the overrides compose; parts that need a failed one are left out.

    Args:
        overrides: as on the command line, such as ``["task=mine", "backbone.width=0.25"]``.
    """
    subject: list[Any] = []
    outcomes = [_attempt("compose", lambda: subject.append(compose([*overrides, "data.workers=0"])))]
    if outcomes[-1].error is None:
        outcomes.append(_attempt("build", lambda: subject.append(build(subject[0]))))
    if outcomes[-1].error is not None:
        return outcomes
    built = subject[1]
    batch = handful(built)
    parts: list[tuple[str, Callable[[], None]]] = [
        ("one step", lambda: one_step(built, batch)),
        ("features", lambda: works_on_features(built, batch)),
        ("overfit", lambda: overfits(built, batch)),
        ("measure", lambda: measures(built, batch)),
        ("checkpoint", lambda: comes_back(built.cfg, built, batch)),
        ("predict", lambda: predicts(built, batch)),
    ]
    if _can_export():
        parts.append(("export", lambda: exports(built, batch)))
    return outcomes + [_attempt(name, part) for name, part in parts]


def handful(built: Built) -> dict[str, Any]:
    """A batch of a few unaugmented training samples; of several parts, some that each of them knows."""
    source = built.data.eval_dataloader("train").source
    rows = list(range(min(SAMPLES, len(source))))
    targets = source.records.targets
    if isinstance(targets, MultitaskTargets):
        of_parts = [np.flatnonzero(column != NONE)[:SAMPLES].tolist() for column in targets.rows.T]
        rows = sorted({row for part in of_parts for row in part})
    batch: dict[str, Any] = source.__getitems__([(0, index) for index in rows])
    return batch


def one_step(built: Built, batch: dict[str, Any]) -> None:
    """The loss is a finite number, and every weight gets a gradient."""
    task = built.task.train()
    task.zero_grad(set_to_none=True)
    _loss(task, batch).backward()  # type: ignore[no-untyped-call]
    idle = [name for name, weight in task.named_parameters() if weight.requires_grad and weight.grad is None]
    assert not idle, f"no gradient reaches {', '.join(idle[:5])}{' ...' if len(idle) > 5 else ''}"


@torch.no_grad()
def works_on_features(built: Built, batch: dict[str, Any]) -> None:
    """Features handed to the head give what the images give."""
    task = built.task.eval()
    features = task.extract(batch["image"])
    _same(task.decode(task.head(features)), task.predict(batch["image"]), "from features and from images")


def overfits(built: Built, batch: dict[str, Any]) -> None:
    """A few dozen steps on a handful of samples bring their loss down."""
    torch.manual_seed(0)
    task = built.task.train()
    optimizer = torch.optim.AdamW(task.parameters(), lr=2e-3)
    losses: list[float] = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = _loss(task, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-5:]) < LEARNT * losses[0], f"the loss fell from {losses[0]:.3f} to {losses[-1]:.3f} only"


@torch.no_grad()
def measures(built: Built, batch: dict[str, Any]) -> None:
    """The metrics are numbers, and the primary one is among them."""
    task = built.task.eval()
    values = check_metric(task, task.predict(batch["image"]), batch["target"])
    assert not any(math.isinf(float(value)) for value in values.values()), f"infinite metric among {values}"


@torch.no_grad()
def comes_back(cfg: DictConfig, built: Built, batch: dict[str, Any]) -> None:
    """A checkpoint, read without running anything in it, gives the same predictions."""
    task = built.task.eval()
    with tempfile.TemporaryDirectory() as place:
        folder = RunFolder(place)
        write_text(folder.config, OmegaConf.to_yaml(cfg, resolve=True))
        checkpoint: dict[str, Any] = {"state_dict": task.state_dict()}
        task.on_save_checkpoint(checkpoint)
        Path(folder.checkpoints).mkdir()
        torch.save(checkpoint, folder.best)
        again = load_run(place).task
    _same(again.predict(batch["image"]), task.predict(batch["image"]), "before and after the checkpoint")


@torch.no_grad()
def predicts(built: Built, batch: dict[str, Any]) -> None:
    """Predictions come batch first, read as a row of plain values, and are drawn."""
    task = built.task.eval()
    predictions = task.predict(batch["image"])
    for index in range(len(batch["index"])):
        image = batch["image"][index].permute(1, 2, 0).contiguous().numpy()
        check_answer(task, image, take(predictions, index), take(batch["target"], index))


def exports(built: Built, batch: dict[str, Any]) -> None:
    """The task as an ONNX graph, in its runtime, says what the task says."""
    task = built.task.eval()
    graph = Graph(task, shape=tuple(batch["image"].shape[1:]))
    form, pixels = find_format("onnx"), batch["image"].contiguous().numpy()
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / form.file
        form.write(graph, path, FLOAT32)
        theirs = form.open(path, outputs=graph.names)(pixels)
    answer = task.configure_answer(graph.outputs)
    with torch.inference_mode():
        mine = {name: value.numpy() for name, value in zip(graph.names, graph(batch["image"]), strict=True)}
    pairs = [[{name: each[name][row] for name in mine} for each in (mine, theirs)] for row in range(len(pixels))]
    same, of = (sum(values) for values in zip(*(answer.agree(*pair) for pair in pairs), strict=True))
    assert same >= AGREE * of, f"task and file agree on {same / of:.3f} of: {answer.agreement}"


def _can_export() -> bool:
    try:
        find_format("onnx").can_write("float32")
    except UserError:
        return False
    return True


def _loss(task: Task, batch: dict[str, Any]) -> Tensor:
    loss = torch.stack(list(task.loss(task.outputs(batch), batch).values())).sum()
    assert torch.isfinite(loss), f"the loss is {float(loss)}"
    return loss


def _same(one: dict[str, Tensor], other: dict[str, Tensor], where: str) -> None:
    for name, value in one.items():
        difference = float((value.float() - other[name].float()).abs().max()) if value.numel() else 0.0
        assert difference < 1e-5, f"{name} differs by {difference:.2g} {where}"


def _attempt(name: str, part: Callable[[], object]) -> Outcome:
    try:
        part()
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        return Outcome(name, text if isinstance(error, AssertionError) else f"{type(error).__name__}: {text}")
    return Outcome(name)
