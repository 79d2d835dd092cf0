"""Find a batch size that fits and a learning rate that learns, before the training starts."""

from __future__ import annotations

import copy
import resource
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psutil
import torch
from omegaconf import DictConfig, OmegaConf
from torch.utils._pytree import tree_leaves

from mobilevision.errors import UserError
from mobilevision.runs.folder import RunFolder, write_text
from mobilevision.runs.range_test import range_test

if TYPE_CHECKING:
    from pytorch_lightning import Trainer

    from mobilevision.runs.build import Built

MEMORY_SHARE = 0.6
"""Share of the free memory that a training step may take: workers and the system want some too."""
STEPS_AN_EPOCH = 8
"""A batch so large that an epoch has fewer steps than this would not train."""


def tune(cfg: DictConfig, trainer: Trainer, built: Built, folder: RunFolder) -> None:
    """Run the finders that ``tune`` asks for; what they find is written into the run's config, for a resume."""
    if cfg.resume is not None or not (cfg.tune.batch_size or cfg.tune.learning_rate):
        return
    if trainer.world_size > 1:
        raise UserError("tune.*: find batch size and learning rate on one device first, then give them to trainer=ddp")
    if cfg.tune.batch_size:
        cfg.data.batch_size = built.data.batch_size = find_batch_size(built.task, built.data, device_of(trainer))
        print(f"tune: data.batch_size={cfg.data.batch_size}", flush=True)
    if cfg.tune.learning_rate:
        test = range_test(built.task, built.data, device_of(trainer))
        test.draw(folder.path / "learning_rate.png")
        cfg.optimizer.lr = built.task.lr = test.suggestion() or built.task.lr
        found = "" if test.suggestion() else "the loss fell at no rate within the test; "
        print(f"tune: {found}optimizer.lr={cfg.optimizer.lr:g} (curve: {folder.path}/learning_rate.png)", flush=True)
    cfg.tune.batch_size = cfg.tune.learning_rate = False
    write_text(folder.config, OmegaConf.to_yaml(cfg, resolve=True))


def device_of(trainer: Trainer) -> torch.device:
    """Where the trainer puts the model."""
    return trainer.strategy.root_device


def find_batch_size(task: Any, data: Any, device: torch.device) -> int:
    """The largest power of two that fits into memory and leaves some steps an epoch; 2 at least, for batch norm.

    Memory is bounded before it is used: from two batch sizes the next one's need is extrapolated, since a process
    that takes too much memory on the CPU is killed, not told.
    """
    most = max(len(data.splits.train) // STEPS_AN_EPOCH, 1)
    before = copy.deepcopy(task.state_dict())  # batch norm takes in the pictures of the trial, which are noise
    measure = _memory_of_step(task, device)
    budget = MEMORY_SHARE * _free_memory(device)
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
    _forget(task, device)
    task.load_state_dict(before)
    return size


def _memory_of_step(task: Any, device: torch.device) -> Callable[[int], float]:
    """A function that does one training step with random pictures and gives the bytes that this took."""
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


def _forget(task: Any, device: torch.device) -> None:
    task.to("cpu")
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _taken(device: torch.device) -> float:
    """Peak memory of this process on the device, in bytes."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) * (1 if sys.platform == "darwin" else 1024)


def _free_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return float(psutil.virtual_memory().available)
