"""Find a batch size that fits and a learning rate that learns, before the training starts."""

from __future__ import annotations

import copy
import math
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import torch
from omegaconf import DictConfig, OmegaConf
from torch.utils._pytree import tree_leaves

from mobilevision.errors import UserError
from mobilevision.io.atomic_files import write_text
from mobilevision.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from pytorch_lightning import Trainer

    from mobilevision.data import DataModule
    from mobilevision.engine.build import Built
    from mobilevision.tasks.base import Task


# The learning-rate range test (Smith 2015, arXiv 1506.01186): raise the rate at every step, watch the loss.

LOW, HIGH, STEPS = 1e-6, 1.0, 100
SMOOTH = 0.9
"""Share of the running mean of the loss that a step keeps."""
DIVERGED = 3.0
"""A loss so many times the best one ends the test."""
FELL = 0.98
"""A loss has fallen where it came below this share of the first one."""
MARGIN = 10.0
"""The suggestion stays so many times below the rate at which the loss was lowest."""


@dataclass(frozen=True)
class RangeTest:
    """Rates and the smoothed loss at each.

    Attributes:
        rates: learning rates, rising.
        losses: running mean of the loss up to that step, corrected for its start.
    """

    rates: list[float]
    losses: list[float]

    def suggestion(self) -> float | None:
        """A tenth of the rate at which the loss was lowest, to one digit; None where it never fell."""
        best = min(range(len(self.losses)), key=self.losses.__getitem__)
        return float(f"{self.rates[best] / MARGIN:.0e}") if self.losses[best] < FELL * self.losses[0] else None

    def draw(self, path: Path) -> None:
        """The curve as an image, with the suggestion marked where there is one."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.plot(self.rates, self.losses)
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss, smoothed")
        if (rate := self.suggestion()) is None:
            axes.set_title("the loss fell at no rate")
        else:
            axes.axvline(rate, color="tab:red", linestyle="--", label=f"suggested: {rate:g}")
            axes.legend()
        figure.savefig(path)


def range_test(task: Task, data: DataModule, device: torch.device) -> RangeTest:
    """Train for some steps at a rising rate; the task is left as it was.

    Args:
        task: a :class:`mobilevision.tasks.base.Task`.
        data: its data module, set up.
        device: where to train.
    """
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    with trial(task, device) as optimizer:
        scales = [group["lr"] / task.lr for group in optimizer.param_groups]
        for step, batch in zip(range(STEPS), endless_batches(data), strict=False):
            rates.append(LOW * (HIGH / LOW) ** (step / (STEPS - 1)))
            for group, scale in zip(optimizer.param_groups, scales, strict=True):
                group["lr"] = rates[-1] * scale
            mean = SMOOTH * mean + (1 - SMOOTH) * train_step(task, optimizer, batch, device)
            losses.append(mean / (1 - SMOOTH ** (step + 1)))
            if not math.isfinite(losses[-1]) or losses[-1] > DIVERGED * min(losses):
                break
    finite = [index for index, loss in enumerate(losses) if math.isfinite(loss)]
    return RangeTest([rates[index] for index in finite], [losses[index] for index in finite])


@contextmanager
def trial(task: Task, device: torch.device) -> Iterator[torch.optim.Optimizer]:
    """An optimiser for some training steps outside the trainer, after which the task is as it was before them."""
    before, training = copy.deepcopy(task.state_dict()), task.training
    task.to(device).train()
    yield task.optimizer_factory(backbone=task.backbone.model, head=task.head)
    task.load_state_dict(before)
    task.zero_grad(set_to_none=True)
    task.train(training)


def train_step(task: Task, optimizer: torch.optim.Optimizer, batch: dict[str, Any], device: torch.device) -> float:
    """One plain step outside the trainer; gives the loss."""
    optimizer.zero_grad()
    moved = task.transfer_batch_to_device(batch, device, 0)
    loss = torch.stack(list(task.loss(task.outputs(moved), moved).values())).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss.detach())


def endless_batches(data: DataModule) -> Iterator[dict[str, Any]]:
    """Training batches, epoch after epoch."""
    loader = data.train_dataloader()
    epoch = 0
    while True:
        loader.epochs.set_epoch(epoch)
        yield from loader
        epoch += 1


MEMORY_SHARE = 0.6
"""Share of the free memory that a training step may take: workers and the system want some too."""
STEPS_AN_EPOCH = 8
"""A batch so large that an epoch has fewer steps than this would not train."""


def tune(cfg: DictConfig, trainer: Trainer, built: Built, folder: RunFolder) -> DictConfig:
    """Run the finders that ``tune`` asks for.

    Returns:
        The config with what they found, which is also written into the run folder, for a resume.
    """
    if cfg.resume is not None or not (cfg.tune.batch_size or cfg.tune.learning_rate):
        return cfg
    if trainer.world_size > 1:
        raise UserError("tune.*: find batch size and learning rate on one device first, then give them to trainer=ddp")
    cfg, device = cfg.copy(), trainer.strategy.root_device
    if cfg.tune.batch_size:
        cfg.data.batch_size = built.data.batch_size = find_batch_size(built.task, built.data, device)
        print(f"tune: data.batch_size={cfg.data.batch_size}", flush=True)
    if cfg.tune.learning_rate:
        test = range_test(built.task, built.data, device)
        test.draw(folder.path / "learning_rate.png")
        cfg.optimizer.lr = built.task.lr = test.suggestion() or built.task.lr
        found = "" if test.suggestion() else "the loss fell at no rate within the test; "
        print(f"tune: {found}optimizer.lr={cfg.optimizer.lr:g} (curve: {folder.path}/learning_rate.png)", flush=True)
    cfg.tune.batch_size = cfg.tune.learning_rate = False
    write_text(folder.config, OmegaConf.to_yaml(cfg, resolve=True))
    return cfg


def find_batch_size(task: Task, data: DataModule, device: torch.device) -> int:
    """The largest power of two that fits into memory and leaves some steps an epoch; 2 at least, for batch norm.

    Memory is bounded before it is used: from two batch sizes the next one's need is extrapolated, since a process
    that takes too much memory on the CPU is killed, not told.
    """
    most = max(len(data.splits.train or ()) // STEPS_AN_EPOCH, 1)
    before = copy.deepcopy(task.state_dict())  # batch norm takes in the images of the trial, which are noise
    measure = _memory_of_step(task, device)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    budget = MEMORY_SHARE * float(free)
    size, used = 2, measure(2)
    while 2 * size <= most:
        try:
            need = measure(2 * size)
        except torch.cuda.OutOfMemoryError:
            break
        per_sample = max((need - used) / size, 0.0)
        size, used = 2 * size, need
        if used + per_sample * size > budget:
            break
    task.to("cpu")
    if device.type == "cuda":
        torch.cuda.empty_cache()
    task.load_state_dict(before)
    return size


def _memory_of_step(task: Task, device: torch.device) -> Callable[[int], float]:
    """A function that does one training step with random images and gives the bytes that this took."""
    spec = task.data_spec
    task.to(device).train()
    before = _taken(device)

    def measure(size: int) -> float:
        images = torch.randint(0, 256, (size, spec.channels, *spec.resolution), dtype=torch.uint8, device=device)
        outputs = task(images.to(memory_format=torch.channels_last))
        # Any scalar of the outputs makes the backward pass that the real loss makes.
        leaves = [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, torch.Tensor) and leaf.requires_grad]
        loss = torch.stack([leaf.float().square().mean() for leaf in leaves]).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        task.zero_grad(set_to_none=True)
        return _taken(device) - before

    return measure


def _taken(device: torch.device) -> float:
    """Peak memory of this process on the device, in bytes."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) * (1 if sys.platform == "darwin" else 1024)
