"""A few epochs more before a model goes into int8, in which it feels the rounding."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

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

    from mobilevision.deploy.simulated_int8 import simulated_int8
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
