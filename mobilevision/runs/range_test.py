"""The learning-rate range test (Smith 2015, arXiv 1506.01186): raise the rate at every step, watch the loss.

Lightning has one; it smooths from zero and takes the slope over the rate instead of over its logarithm, and on little
data names rates at which training diverges.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

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
        """The curve as a picture, with the suggestion marked where there is one."""
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


def range_test(task: Any, data: Any, device: torch.device) -> RangeTest:
    """Train for some steps at a rising rate; the task is left as it was.

    Args:
        task: a :class:`tasks.base.Task`.
        data: its data module, set up.
        device: where to train.
    """
    before = copy.deepcopy(task.state_dict())
    task.to(device).train()
    optimizer = task.optimizer_factory(backbone=task.backbone.model, head=task.head)
    scales = [group["lr"] / task.lr for group in optimizer.param_groups]
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    for step, batch in zip(range(STEPS), endless_batches(data), strict=False):
        rates.append(LOW * (HIGH / LOW) ** (step / (STEPS - 1)))
        for group, scale in zip(optimizer.param_groups, scales, strict=True):
            group["lr"] = rates[-1] * scale
        mean = SMOOTH * mean + (1 - SMOOTH) * train_step(task, optimizer, batch, device)
        losses.append(mean / (1 - SMOOTH ** (step + 1)))
        if not math.isfinite(losses[-1]) or losses[-1] > DIVERGED * min(losses):
            break
    task.load_state_dict(before)
    task.zero_grad(set_to_none=True)
    finite = [index for index, loss in enumerate(losses) if math.isfinite(loss)]
    return RangeTest([rates[index] for index in finite], [losses[index] for index in finite])


def train_step(task: Any, optimizer: torch.optim.Optimizer, batch: dict[str, Any], device: torch.device) -> float:
    """One plain step outside the trainer; gives the loss."""
    optimizer.zero_grad()
    moved = task.transfer_batch_to_device(batch, device, 0)
    loss = torch.stack(list(task.loss(task.outputs(moved), moved).values())).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss.detach())


def endless_batches(data: Any) -> Iterator[dict[str, Any]]:
    """Training batches, epoch after epoch."""
    loader = data.train_dataloader()
    epoch = 0
    while True:
        loader.epochs.set_epoch(epoch)
        yield from loader
        epoch += 1
