"""The contract of a task: what it must say, and what it gets for that.

A task joins a backbone, a head and a loss. It says four things (the abstract methods): how raw outputs become
predictions, what is measured, how one prediction reads as a row of a table, and how it is drawn. For that it gets
training, validation, testing, checkpoints that know their classes, freezing, cached features, mixing and logging.

Nothing here knows what the head is, so several heads may share one backbone pass: ask the backbone for the union of
their :class:`~mobilevision.spec.Needs` and give each head the same :class:`~mobilevision.spec.Features`.

A batch is a dict:

- ``image``: uint8 [B, C, H, W], 0..255, channels_last in memory; or ``features``, computed of such pictures before;
- ``target``: what the task's kind of data holds; for ``class`` int64 [B] (float [B, K] once mixed);
- ``index``: int64 [B], the places in the data set.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, ClassVar, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric

from mobilevision.backbones import Backbone
from mobilevision.heads import Head
from mobilevision.losses import Loss
from mobilevision.metrics import StageMeter, TaskMetric
from mobilevision.optim import OptimizerFactory, Schedule, optimizer_steps
from mobilevision.spec import DataSpec, Features, Mix

Batch = dict[str, Any]
Stage = Literal["val", "test"]


class Task(pl.LightningModule, ABC):
    """A backbone, a head and a loss that learn together.

    Args:
        backbone: features of pictures.
        head: raw outputs of features.
        loss: named parts of raw outputs and a batch.
        data: what is learnt: kind, classes, side.
        optimizer: makes the optimiser.
        scheduler: makes the schedule of the learning rate.
        mix: mixes pictures while training, or None.
        channels_last: memory layout of the pictures and the weights.
    """

    # What it learns from (class, attributes, identity, coordinate, boxes); the metric, without its stage, by which
    # best.ckpt is chosen; and whether more or less of it is better.
    kind: ClassVar[str]
    primary: ClassVar[str]
    mode: ClassVar[Literal["max", "min"]] = "max"

    def __init__(
        self,
        *,
        backbone: Backbone,
        head: Head,
        loss: Loss,
        data: DataSpec,
        optimizer: OptimizerFactory,
        scheduler: Schedule,
        mix: Mix | None = None,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.loss = loss
        self.data_spec = data
        self.optimizer_factory = optimizer
        self.schedule = scheduler
        self.mix = mix
        self.frozen = False
        self.hold_statistics = False
        self.meters = nn.ModuleDict({stage: StageMeter(self.configure_metrics()) for stage in ("val", "test")})
        self.epoch_loss = MeanMetric()
        if channels_last:
            self.backbone.to(memory_format=torch.channels_last)

    # --- what a task says -------------------------------------------------------------------------------------

    @abstractmethod
    def decode(self, outputs: Any) -> dict[str, Tensor]:
        """Predictions from raw outputs: named tensors, batch first, such as ``probabilities`` [B, K]."""

    @abstractmethod
    def configure_metrics(self) -> TaskMetric:
        """A fresh object that measures predictions of :meth:`decode` against targets."""

    @abstractmethod
    def describe(self, prediction: Mapping[str, Tensor]) -> dict[str, Any]:
        """One sample's prediction (the tensors of :meth:`decode` without their batch) as a row of plain values."""

    @abstractmethod
    def draw(self, image: Any, prediction: Mapping[str, Tensor], target: Any = None) -> Any:
        """One sample's prediction, and its truth where known, on its picture.

        Args:
            image: uint8 array [H, W, C].
            prediction: as in :meth:`describe`.
            target: the sample's target, or None.

        Returns:
            A PIL image.
        """

    def figures(self, stage: Stage) -> dict[str, Any]:
        """PIL images by name of what the last evaluation showed, such as a confusion matrix."""
        return {}

    # --- what it gets ------------------------------------------------------------------------------------------

    def extract(self, images: Tensor) -> Features:
        """Features that the head needs, of pictures [B, C, H, W]; without gradients while the backbone is frozen."""
        with torch.no_grad() if self.frozen else nullcontext():
            features: Features = self.backbone(images, self.head.needs)
        return features

    def forward(self, images: Tensor) -> Any:
        """Raw outputs of pictures [B, C, H, W], uint8 or float 0..255."""
        return self.head(self.extract(images))

    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """Decoded predictions of pictures [B, C, H, W]."""
        return self.decode(self(images))

    def meter(self, stage: Stage) -> StageMeter:
        """What val, or test, has measured."""
        meter = self.meters[stage]
        assert isinstance(meter, StageMeter)
        return meter

    def tables(self, stage: Stage) -> dict[str, list[dict[str, Any]]]:
        """Tables by name of the last evaluation; rows of plain values."""
        return self.meter(stage).tables

    def freeze_backbone(self, frozen: bool) -> None:
        """Hold the backbone still (its batch statistics too), or let it learn again."""
        self.frozen = frozen
        self.train(self.training)

    def train(self, mode: bool = True) -> Task:
        """As every module's; a frozen backbone, or its held statistics, stay in evaluation mode."""
        super().train(mode)
        for module in self.backbone.modules():
            if self.frozen or (self.hold_statistics and isinstance(module, _BatchNorm)):
                module.training = False
        return self

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step; logs every ``trainer.log_every_n_steps`` steps only, since each log costs time."""
        del batch_idx
        if self.mix is not None and "image" in batch:
            image, target = self.mix(batch["image"], batch["target"], len(self.data_spec.classes))
            batch = {**batch, "image": image, "target": target}
        parts = self.loss(self._outputs(batch), batch)
        total = torch.stack(list(parts.values())).sum()
        self.epoch_loss.update(total.detach())
        if self._logs_now():
            if len(parts) > 1:
                self.log_dict({f"train/{name}_loss_step": value.detach() for name, value in parts.items()})
            self.log("train/loss_step", total.detach(), prog_bar=True)
        return total

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean loss and the learning rate."""
        # Computed by hand on every process: torchmetrics adds up over them.
        self.log("train/loss", float(self.epoch_loss.compute()))
        self.epoch_loss.reset()
        self.log("train/lr", self.trainer.optimizers[0].param_groups[0]["lr"])

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch of val."""
        self._evaluate("val", batch)

    def on_validation_epoch_end(self) -> None:
        """Log what val measured."""
        self._log_metrics("val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch of test."""
        self._evaluate("test", batch)

    def on_test_epoch_end(self) -> None:
        """Log what test measured."""
        self._log_metrics("test")

    def on_validation_epoch_start(self) -> None:
        """Start measuring val anew."""
        self.meter("val").reset()

    def on_test_epoch_start(self) -> None:
        """Start measuring test anew."""
        self.meter("test").reset()

    def configure_optimizers(self) -> Any:
        """An optimiser over all weights, frozen ones too, and its schedule, stepped with it."""
        optimizer: Optimizer = self.optimizer_factory(backbone=self.backbone.model, head=self.head)
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
            "epoch_loss": [float(self.epoch_loss.mean_value), float(self.epoch_loss.weight)],
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the running mean of the epoch that was broken off."""
        value, weight = checkpoint["mobilevision"]["epoch_loss"]
        if weight:
            self.epoch_loss.reset()
            self.epoch_loss.mean_value.fill_(value)
            self.epoch_loss.weight.fill_(weight)

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

    def _outputs(self, batch: Batch) -> Any:
        return self.head(batch["features"]) if "features" in batch else self(batch["image"])

    def _evaluate(self, stage: Stage, batch: Batch) -> None:
        outputs = self._outputs(batch)
        loss = torch.stack(list(self.loss(outputs, batch).values())).sum()
        self.meter(stage).update(loss, self.decode(outputs), batch["target"], samples=len(batch["index"]))

    def _log_metrics(self, stage: Stage) -> None:
        self.log_dict({f"{stage}/{name}": value for name, value in self.meter(stage).compute().items()})
        if self.trainer.state.fn != "fit":
            self.meter(stage).tabulate()
