"""A few epochs more before a model goes into int8: weights and inputs of layers are rounded, gradients pass as if not.

Quantisation-aware training (Jacob et al. 2018, arXiv 1712.05877, section 3), with batch norm left unfolded: where each
channel that goes out has a step of its own, rounding before and after folding is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mobilevision.errors import UserError

if TYPE_CHECKING:
    from pytorch_lightning import Trainer

    from mobilevision.deploy.precision import Precision
    from mobilevision.engine.build import Built

RATE = 0.1
"""Of the run's own learning rate."""


def finetune(run: str | Path, *, epochs: int, precision: Precision, weight_steps: int) -> Any:
    """Go on with a run's best model for some epochs on its own data, with its own recipe at a lower rate.

    Batch norm keeps its statistics, since the exported graph will have them folded in.

    Args:
        run: the run folder, of which nothing is changed.
        epochs: how many.
        precision: says which layers will stay in float32.
        weight_steps: of a channel's largest weight, as the format will have them.

    Returns:
        The task in evaluation mode on the CPU, its weights already those that int8 can hold.

    Raises:
        UserError: the run's data, or its teacher, is not there any more.
    """
    from pytorch_lightning import seed_everything

    from mobilevision.engine.recording import quiet

    with quiet():
        cfg, built = _again(run)
        task = built.task
        task.hold_statistics = True
        seed_everything(cfg.seed, verbose=False)
        trainer = _trainer(cfg, epochs)
        with simulated_int8(task, precision, weight_steps):
            trainer.fit(task, datamodule=built.data)
    if trainer.interrupted:
        raise UserError("--finetune-epochs: stopped; nothing was written")
    task.distiller = None
    return task.cpu().eval()


def _again(run: str | Path) -> tuple[DictConfig, Built]:
    """The run's model and data as for a training."""
    from mobilevision.engine.build import Built, build_data, instantiate, measure, mixing
    from mobilevision.engine.restore import load_run
    from mobilevision.training.distillation import distil

    restored = load_run(run)
    cfg, task = restored.cfg, restored.task
    augment = instantiate(cfg.augment, drop=("kinds",)) if cfg.get("augment") else None
    data, spec = build_data(cfg), task.data_spec
    try:
        data.setup_data(default_resolution=spec.resolution, crop=task.backbone.preset.crop)
    except UserError as error:
        raise UserError(f"{error} (--finetune-epochs learns from the run's own data)") from error
    data.train_with(batch_size=cfg.data.batch_size, augment=augment)
    factory = task.optimizer_factory
    factory.lr = RATE * factory.lr
    task.mix = mixing(augment)
    built = Built(task=task, data=data, cost=measure(task), cfg=cfg)
    distil(cfg, built)
    return cfg, built


def _trainer(cfg: DictConfig, epochs: int) -> Trainer:
    from mobilevision.callbacks import Divergence, Progress, Randomness
    from mobilevision.engine.build import make_trainer

    one_process = {"devices": 1, "num_nodes": 1, "strategy": "auto"}
    short = {"max_epochs": epochs, "max_steps": -1, "limit_val_batches": 0, "num_sanity_val_steps": 0}
    callbacks = [Randomness(seed=cfg.seed), Divergence(), Progress()]
    return make_trainer(cfg, callbacks, checkpoints=True, changes=one_process | short)


_MOMENTUM = 0.99  # of a range's moving average


@final
class _Weights(nn.Module):
    """A weight [O, ...] on the grid of its rows, whose largest value is ``most`` steps."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, weight: Tensor) -> Tensor:
        step = (weight.detach().flatten(1).abs().amax(dim=1) / self.most).clamp(min=torch.finfo(torch.float32).tiny)
        zeros = torch.zeros_like(step, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, step, zeros, 0, -self.most, self.most)


@final
class _Inputs:
    """A layer's input on 256 steps between a moving average of its least and its largest values; 0 lies on one."""

    def __init__(self) -> None:
        self.low: Tensor | None = None
        self.high: Tensor | None = None

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        values = inputs[0]
        if module.training and values.numel():
            self._see(values.detach())
        if self.low is None or self.high is None:
            return inputs
        step = ((self.high - self.low) / 255).clamp(min=1e-8)
        zero = (-self.low / step).round().to(torch.int32)
        return (torch.fake_quantize_per_tensor_affine(values, step, zero, 0, 255), *inputs[1:])

    def _see(self, values: Tensor) -> None:
        low, high = (end.float() for end in values.aminmax())
        low, high = low.clamp(max=0), high.clamp(min=0)
        if self.low is None or self.high is None:
            self.low, self.high = low, high
        else:
            self.low, self.high = low.lerp(self.low, _MOMENTUM), high.lerp(self.high, _MOMENTUM)


def layer_names(task: nn.Module) -> list[str]:
    """Of the layers that int8 is about, as ``precision.keep`` names them."""
    return [name for name, module in task.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]


@contextmanager
def simulated_int8(task: nn.Module, precision: Precision, most: int) -> Iterator[None]:
    """Let the convolutions and matrix products of a task feel int8 while this lasts; then its weights stay rounded.

    Args:
        task: any module.
        precision: says which layers will stay in float32.
        most: steps of a channel's largest weight, as the format will have them.
    """
    chosen = [task.get_submodule(name) for name in layer_names(task) if not precision.keeps(name)]
    hooks = [module.register_forward_pre_hook(_Inputs()) for module in chosen]
    for module in chosen:
        parametrize.register_parametrization(module, "weight", _Weights(most))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module in chosen:
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
