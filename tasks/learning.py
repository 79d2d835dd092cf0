"""How a task learns: one step, one optimiser, freezing, and checkpoints that know what they were trained for."""

from __future__ import annotations

from abc import ABC
from contextlib import nullcontext
from typing import Any, Self

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric

from mobilevision.backbones import Backbone
from mobilevision.distill import Distiller
from mobilevision.heads import Head
from mobilevision.losses import Loss
from mobilevision.optim import OptimizerFactory, Schedule, optimizer_steps
from mobilevision.spec import DataSpec, Features, Mix, Needs

Batch = dict[str, Any]


class Learner(pl.LightningModule, ABC):
    """What :class:`mobilevision.tasks.base.Task` does while it learns.

    Attributes:
        backbone: features of images.
        head: raw outputs of features.
        loss: named parts of raw outputs and a batch.
        data_spec: what is learnt: kind, classes, side.
        optimizer_factory: makes the optimiser.
        schedule: makes the schedule of the learning rate.
        mix: mixes images while training, or None.
        distiller: the teacher that training listens to, or None.
        decision: what val chose and predictions need, such as a threshold a class; plain values, kept in checkpoints.
        frozen: whether the backbone is held still.
        hold_statistics: whether batch norm in pretrained layers keeps its statistics.
        frozen_stages: stages of the backbone, from the image on, that never learn.
        epoch_loss: mean training loss of the epoch.
    """

    backbone: Backbone
    head: Head
    loss: Loss
    data_spec: DataSpec
    optimizer_factory: OptimizerFactory
    schedule: Schedule
    mix: Mix | None
    distiller: Distiller | None
    decision: dict[str, Any]
    frozen: bool
    hold_statistics: bool
    frozen_stages: int
    epoch_loss: MeanMetric

    def extract(self, images: Tensor, more: Needs | None = None) -> Features:
        """Features of images [B, C, H, W]; without gradients while the backbone is frozen.

        Args:
            images: uint8 or float 0..255.
            more: features beside those that the head needs.
        """
        needs = self.head.needs if more is None else self.head.needs | more
        with torch.no_grad() if self.frozen else nullcontext():
            features: Features = self.backbone(images, needs)
        return features

    def forward(self, images: Tensor) -> Any:
        """Raw outputs of images [B, C, H, W], uint8 or float 0..255."""
        return self.head(self.extract(images))

    def outputs(self, batch: Batch) -> Any:
        """Raw outputs of a batch, from its images or from features computed of them before."""
        return self.head(batch["features"] if "features" in batch else self.extract(batch["image"]))

    def freeze_backbone(self, frozen: bool) -> None:
        """Hold the backbone still (its batch statistics too), or let it learn again."""
        self.frozen = frozen
        self.train(self.training)

    def freeze_stages(self, count: int) -> None:
        """Hold the lowest ``count`` stages of the backbone still for good, their batch statistics too."""
        self.frozen_stages = count
        for layer in self.backbone.lowest_stages(count):
            layer.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As every module's; a frozen backbone, or held statistics of pretrained layers, stay in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        for layer in self.backbone.lowest_stages(self.frozen_stages) if self.frozen_stages else ():
            layer.training = False
        if self.hold_statistics:
            for part in (self.backbone, self.head.tail):
                for module in part.modules() if part is not None else ():
                    if isinstance(module, _BatchNorm):
                        module.training = False
        return self

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step; logs every ``trainer.log_every_n_steps`` steps only, since each log costs time."""
        del batch_idx
        if self.mix is not None and "image" in batch:
            image, target = self.mix(batch["image"], batch["target"], len(self.data_spec.classes))
            batch = {**batch, "image": image, "target": target}
        parts = self._parts(batch)
        total = torch.stack(list(parts.values())).sum()
        self.epoch_loss.update(total.detach())
        if self._logs_now():
            if len(parts) > 1:
                self.log_dict({f"train/{name}_loss_step": value.detach() for name, value in parts.items()})
            self.log("train/loss_step", total.detach(), prog_bar=True)
        return total

    def _parts(self, batch: Batch) -> dict[str, Tensor]:
        """Parts of the training loss: the task's own, and under a teacher also how far it is from that."""
        parts: dict[str, Tensor]
        if self.distiller is None:
            parts = self.loss(self.outputs(batch), batch)
        else:
            features = self.extract(batch["image"], self.distiller.needs)
            outputs = self.outputs({**batch, "features": features})
            parts = self.distiller(outputs, features, batch, self.loss)
        return parts

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean loss and the learning rate."""
        # Computed by hand on every process: torchmetrics adds up over them.
        self.log("train/loss", float(self.epoch_loss.compute()))
        self.epoch_loss.reset()
        self.log("train/lr", self.trainer.optimizers[0].param_groups[0]["lr"])

    def configure_optimizers(self) -> Any:
        """An optimiser over all weights, frozen ones too, and its schedule, stepped with it."""
        # A loss may have weights of its own, and so may what compares the student with its teacher.
        learnt = nn.ModuleList([part for part in (self.head, self.loss, self.distiller) if part is not None])
        optimizer: Optimizer = self.optimizer_factory(backbone=self.backbone.model, head=learnt)
        # Lightning's own estimate makes the loader too early: a resumed one is then not told where its epoch was.
        total = optimizer_steps(
            batches=len(self.trainer.datamodule.train_dataloader()),  # type: ignore[attr-defined]
            limit=self.trainer.limit_train_batches,
            accumulate=self.trainer.accumulate_grad_batches,
            epochs=self.trainer.max_epochs,
            most=self.trainer.max_steps,
        )
        scheduler: LRScheduler = self.schedule(optimizer, total_steps=total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let the checkpoint know what it was trained for, in plain values."""
        checkpoint["mobilevision"] = {
            "data": self.data_spec.to_dict(),
            "preset": self.backbone.preset.to_dict(),
            "decision": self.decision,
            "epoch_loss": self._epoch_losses(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the running mean of the epoch that was broken off."""
        self.decision = checkpoint["mobilevision"].get("decision", {})
        means = torch.tensor(checkpoint["mobilevision"]["epoch_loss"], dtype=torch.float32).reshape(-1, 2)
        rank, world = (0, 1) if self._trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        if len(means) == world:
            value, weight = means[rank].tolist()
        else:  # another number of processes: the first goes on for all
            value, weight = means.sum(dim=0).tolist() if rank == 0 else (0.0, 0.0)
        self.epoch_loss.reset()
        if weight:
            self.epoch_loss.mean_value.fill_(value)
            self.epoch_loss.weight.fill_(weight)

    def _epoch_losses(self) -> list[list[float]]:
        """For each process, the sum over the epoch's losses so far and their number; called in all of them."""
        own = torch.stack([self.epoch_loss.mean_value, self.epoch_loss.weight]).to(self.device)
        gathered: Any = own if self._trainer is None else self.all_gather(own)  # a task may be saved by itself
        found: list[list[float]] = gathered.reshape(-1, 2).tolist()
        return found

    @property
    def lr(self) -> float:
        """Peak learning rate, where the learning-rate finder looks for it."""
        return self.optimizer_factory.lr

    @lr.setter
    def lr(self, value: float) -> None:
        self.optimizer_factory.lr = value

    def _logs_now(self) -> bool:
        every: int = getattr(self.trainer, "log_every_n_steps", 1)
        return self.global_step % max(every, 1) == 0
