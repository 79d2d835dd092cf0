"""The contract of a task: what it must say, and what it gets for that.

A task joins a backbone, a head and a loss. It says how raw outputs become predictions and what is measured (the
abstract methods), and it names the answer (:mod:`mobilevision.deploy.answers`) that turns a prediction into a row of a
table and draws it; a model exported from the task has the same one. For that it gets training, validation, testing,
checkpoints that know their classes, freezing, cached features, mixing and logging.

Nothing here knows what the head is, so several heads may share one backbone pass: ask the backbone for the union of
their :class:`~mobilevision.spec.Needs` and give each head the same :class:`~mobilevision.spec.Features`.

A batch is a dict:

- ``image``: uint8 [B, C, H, W], 0..255, channels_last in memory; or ``features``, computed of such images before;
- ``target``: what the task's kind of data holds: for ``class`` int64 [B] (float [B, K] once mixed), for ``boxes`` a
  dict of padded tensors (:data:`mobilevision.data.boxes.Target`);
- ``index``: int64 [B], the places in the data set.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric

from mobilevision.backbones import Backbone
from mobilevision.data import Records
from mobilevision.deploy.answers import Answer, answer_named
from mobilevision.deploy.manifest import Port
from mobilevision.distill import Distiller, PartDistillers
from mobilevision.errors import UserError
from mobilevision.heads import Head
from mobilevision.images.framing import Affine
from mobilevision.losses import Loss
from mobilevision.metrics import StageMeter, TaskMetric
from mobilevision.ops.rows import arrays
from mobilevision.optim import OptimizerFactory, Schedule, optimizer_steps
from mobilevision.plugins import class_and_plugin
from mobilevision.spec import DataSpec, Mix, Needs, OutputKind

__all__ = ["Batch", "Stage", "Task"]

Batch = dict[str, Any]
Stage = Literal["val", "test"]


class Task(pl.LightningModule, ABC):
    """A backbone, a head and a loss that learn together.

    Args:
        backbone: features of images.
        head: raw outputs of features.
        loss: named parts of raw outputs and a batch.
        data: what is learnt: kind, classes, side.
        optimizer: makes the optimiser.
        scheduler: makes the schedule of the learning rate.
        mix: mixes images while training, or None.
        channels_last: memory layout of the images and the weights.

    Attributes:
        followed: the metric, without its stage, by which the run chooses.
        followed_mode: whether more or less of it is better.
        distiller: the teacher that training listens to, or None.
        decision: what val chose and predictions need, such as a threshold a class; plain values, kept in checkpoints.
        frozen: whether the backbone is held still.
        hold_statistics: whether batch norm in pretrained layers keeps its statistics.
        frozen_stages: stages of the backbone, from the image on, that never learn.
        epoch_loss: mean training loss of the epoch.
    """

    followed: str
    followed_mode: Literal["max", "min"]

    # What it learns from (class, attributes, identity, coordinate, boxes, or a word of one's own); the metric, without
    # its stage, by which best.ckpt is chosen where the run names no other (see :meth:`follow`); and whether more or
    # less of it is better.
    kind: ClassVar[str]
    primary: ClassVar[str]
    mode: ClassVar[Literal["max", "min"]] = "max"

    # The metric to follow where classes are unbalanced; None: the primary one suits them, too.
    balanced: ClassVar[str | None] = None

    # What the raw outputs are, for whoever compares them with another model's; None: nothing that has a name.
    output_kind: ClassVar[OutputKind | None] = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "emits" in vars(cls):  # the former name of output_kind, which plugins may use
            cls.output_kind = vars(cls)["emits"]

    # Of a task that is made of several, these by name.
    parts: Mapping[str, Task] = MappingProxyType({})

    # What predictions mean, here and of an exported model's outputs: the name of an Answer, ours or a plugin's.
    answers: ClassVar[str] = "numbers"

    # The same for a graph that stops before decoding (see :meth:`raw`); None: decoding always is in the graph.
    raw_answers: ClassVar[str | None] = None

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
        for name in ("kind", "primary"):
            if not hasattr(type(self), name):
                raise UserError(
                    f'{class_and_plugin(type(self))} does not say its {name}: give the class {name} = "..."'
                )
        self.backbone = backbone
        self.head = head
        self.loss = loss
        self.data_spec = data
        self.optimizer_factory = optimizer
        self.schedule = scheduler
        self.mix = mix
        self.distiller: Distiller | PartDistillers | None = None
        self.other_predictions: Callable[[Batch], dict[str, Tensor]] | None = None
        self.decision: dict[str, Any] = {}
        self._other_outputs: Callable[[Batch], Any] | None = None
        self._made_answer: tuple[dict[str, Any], DataSpec, Answer] | None = None
        self.followed, self.followed_mode = self.primary, self.mode
        self.frozen = False
        self.hold_statistics = False
        self.frozen_stages = 0
        self.meters = nn.ModuleDict({stage: StageMeter(self._metric()) for stage in ("val", "test")})
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

    def configure_answer(self, outputs: Sequence[Port] | None = None) -> Answer:
        """A fresh object that says what predictions mean: the one that ``answers`` names.

        Args:
            outputs: of an exported graph, which are then checked; None for the task's own predictions.
        """
        return answer_named(self.answers, f"{type(self).__module__}.{type(self).__qualname__}")(
            classes=self.data_spec.classes,
            decision=self.decision,
            facts=self.facts(),
            outputs=outputs,
            source=f"the exported {type(self).__name__}",
        )

    def describe(self, prediction: Mapping[str, Tensor]) -> dict[str, Any]:
        """One sample's prediction (the tensors of :meth:`decode` without their batch) as a row of plain values."""
        return self.current_answer.describe(arrays(prediction))

    def draw(self, image: Any, prediction: Mapping[str, Tensor], target: Any = None) -> Any:
        """One sample's prediction, and its ground truth where known, on its image.

        Args:
            image: uint8 array [H, W, C].
            prediction: as in :meth:`describe`; boxes in it are in pixels of ``image`` (see :meth:`locate`).
            target: the sample's target, or None; likewise.

        Returns:
            A PIL image.
        """
        return self.current_answer.draw(image, arrays(prediction), arrays(target))

    def truth(self, target: Any) -> str:
        """A sample's target in words, for a table."""
        return self.current_answer.truth(arrays(target))

    def locate(self, values: Any, mapping: Affine) -> Any:
        """A sample's prediction, or its target, with all boxes moved from the input's pixels by ``mapping``."""
        return self.current_answer.locate(values, mapping)

    def outlines(self, prediction: Mapping[str, Tensor], target: Any) -> dict[str, list[dict[str, Any]]]:
        """Boxes that a tracker draws by itself, by layer (prediction, truth): rows of label, box and perhaps score."""
        return self.current_answer.outlines(arrays(prediction), arrays(target))

    def explained(self, outputs: Any) -> Tensor | None:
        """The score of each sample's answer, float [B] with gradients, that activation maps explain; None: it has none.

        Args:
            outputs: of the head.
        """
        del outputs
        return None

    def figures(self, stage: Stage) -> dict[str, Any]:
        """PIL images by name of what the last evaluation showed, such as a confusion matrix."""
        return {}

    def deploy(self, outputs: Any) -> dict[str, Tensor]:
        """:meth:`decode` for a graph that is exported: shapes may depend on nothing but the batch, no NumPy."""
        return self.decode(outputs)

    def facts(self) -> dict[str, Any]:
        """What an answer needs beside outputs, classes and ``decision``, as plain values; kept in model.json.

        Here, what the data says of itself.
        """
        return dict(self.data_spec.facts)

    def raw(self, outputs: Any) -> dict[str, Tensor]:
        """What decoding starts from, named, for a graph of a target that cannot decode."""
        raise NotImplementedError(f"{type(self).__name__} decodes in the graph")

    def raw_facts(self, outputs: Any) -> dict[str, Any]:
        """What whoever decodes :meth:`raw` has to know, as plain values.

        Raises:
            UserError: decoding cannot be left out of the graph, or there is no need to; it says which.
        """
        raise NotImplementedError(f"{type(self).__name__} decodes in the graph")

    def look_at(self, stage: Stage, records: Records) -> None:
        """Be told of the samples that an evaluation is about to measure; most metrics need not know them.

        Args:
            stage: of the evaluation.
            records: the split.
        """

    @property
    def followed_of_parts(self) -> dict[str, tuple[str, Literal["max", "min"]]]:
        """Of a task of several parts, each part's ``part/metric`` that matters most to it, and its direction."""
        return {}

    def decide(self, metric: Any) -> dict[str, Any]:
        """What val chooses and predictions need, as plain values; it becomes ``decision`` after every look at val."""
        return {}

    def _metric(self) -> TaskMetric:
        """The task's metric, which a plugin's may have wrong."""
        metric: Any = self.configure_metrics()
        if not isinstance(metric, TaskMetric):
            raise UserError(
                f"{class_and_plugin(type(self))}.configure_metrics gives a {type(metric).__name__}: it should give a"
                " mobilevision.api.Metric"
            )
        return metric

    # --- what it gets ------------------------------------------------------------------------------------------

    def predict(self, images: Tensor) -> dict[str, Tensor]:
        """Decoded predictions of images [B, C, H, W]."""
        return self.decode(self(images))

    def evaluate_predictions_of(self, predict: Callable[[Batch], dict[str, Tensor]]) -> None:
        """Let val and test measure what another gives for a batch, such as an exported model; it has no loss.

        Args:
            predict: predictions as of :meth:`decode`, on the CPU, for a batch.
        """
        self.other_predictions = predict
        self.meter("val").has_loss = self.meter("test").has_loss = False

    @contextmanager
    def measuring(self, outputs: Callable[[Batch], Any]) -> Iterator[None]:
        """Let val and test measure raw outputs of another model, such as a teacher, while this lasts.

        What val chose (``decision``: thresholds, temperatures) is this model's own, and is left out.

        Args:
            outputs: those of a batch.
        """
        decision, self.decision, self._other_outputs = self.decision, {}, outputs
        try:
            yield
        finally:
            self.decision, self._other_outputs = decision, None

    def follow(self, metric: str) -> None:
        """Choose by another metric than ``primary``: best.ckpt, early stopping, the probe and the gate of exports.

        Args:
            metric: without its stage; ``loss`` is one, too.

        Raises:
            UserError: there is no such metric; with a list of those that there are.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nothing was measured yet
            measured = self.meter("val").metric
            known = sorted({"loss", self.primary, *map(str, measured.compute())})
            measured.reset()
        if metric not in known:
            near = "".join(f"; did you mean {each}?" for each in get_close_matches(metric, known, n=1))
            raise UserError(f"callbacks.best.monitor={metric}: must be auto or one of {', '.join(known)}{near}")
        self.followed = metric
        less = metric == "loss" or metric in measured.errors
        self.followed_mode = self.mode if metric == self.primary else "min" if less else "max"

    def meter(self, stage: Stage) -> StageMeter:
        """What val, or test, has measured."""
        meter = self.meters[stage]
        assert isinstance(meter, StageMeter)
        return meter

    def tables(self, stage: Stage) -> dict[str, list[dict[str, Any]]]:
        """Tables by name of the last evaluation; rows of plain values."""
        return self.meter(stage).tables

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch of val."""
        self._evaluate("val", batch)

    def on_validation_epoch_end(self) -> None:
        """Log what val measured."""
        self._log_metrics("val")
        if not self.trainer.sanity_checking:
            metric = self.meter("val").metric
            with metric.gathered():
                self.decision = self.decide(metric)

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Measure a batch of test, and give its predictions (:meth:`decode`) to callbacks."""
        return self._evaluate("test", batch)

    def on_test_epoch_end(self) -> None:
        """Log what test measured."""
        self._log_metrics("test")

    def on_validation_epoch_start(self) -> None:
        """Start measuring val anew, in all processes with the batch statistics of the first, which are those kept."""
        self.meter("val").reset()
        self._tell_records("val", self.trainer.val_dataloaders)
        if self.trainer.world_size > 1:
            for buffer in self.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def on_test_epoch_start(self) -> None:
        """Start measuring test anew."""
        self.meter("test").reset()
        self._tell_records("test", self.trainer.test_dataloaders)

    def _tell_records(self, stage: Stage, loaders: Any) -> None:
        loader = loaders[0] if isinstance(loaders, list | tuple) else loaders
        records = getattr(getattr(loader, "source", None), "records", None)
        if records is not None:
            self.look_at(stage, records)

    # --- how it learns ----------------------------------------------------------------------------------------

    def extract(self, images: Tensor, more: Needs | None = None) -> Any:
        """What the head takes of images [B, C, H, W]; without gradients while the backbone is frozen.

        Args:
            images: uint8 or float 0..255.
            more: features beside those that the head needs.
        """
        with torch.no_grad() if self.frozen else nullcontext():
            return self.head.extract(self.backbone, images, more)

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
        if self.mix is not None and "image" in batch:
            image, target = self.mix(batch["image"], batch["target"], len(self.data_spec.classes))
            batch = {**batch, "image": image, "target": target}
        if self.distiller is None:
            parts = self.loss(self.outputs(batch), batch)
        else:  # also how far it is from its teacher
            features = self.extract(batch["image"], self.distiller.needs)
            parts = self.distiller(self.outputs({**batch, "features": features}), features, batch, self.loss)
        total = self.added_up(parts)
        self.epoch_loss.update(total.detach())
        if self.global_step % max(getattr(self.trainer, "log_every_n_steps", 1), 1) == 0:
            if len(parts) > 1:
                self.log_dict({f"train/{name}_loss_step": value.detach() for name, value in parts.items()})
            self.log("train/loss_step", total.detach())
            self.log("train/lr_step", self._learning_rate)
        return total

    def added_up(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The sum to be minimised; gradients of zeros where a batch holds nothing that any weight learns from."""
        total = torch.stack(list(losses.values())).sum()
        if not total.requires_grad:
            learning = [0 * parameter.sum() for parameter in self.parameters() if parameter.requires_grad]
            total = total + torch.stack(learning).sum()
        return total

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean loss and the learning rate."""
        # Computed by hand on every process: torchmetrics adds up over them.
        self.log("train/loss", float(self.epoch_loss.compute()))
        self.epoch_loss.reset()
        self.log("train/lr", self._learning_rate)

    @property
    def _learning_rate(self) -> float:
        return float(self.trainer.optimizers[0].param_groups[0]["lr"])

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
        return gathered.reshape(-1, 2).tolist()  # type: ignore[no-any-return]

    @property
    def lr(self) -> float:
        """Peak learning rate, where the learning-rate finder looks for it."""
        return self.optimizer_factory.lr

    @lr.setter
    def lr(self, value: float) -> None:
        self.optimizer_factory.lr = value

    @property
    def current_answer(self) -> Answer:
        """The answer with the classes and val's choices as they are now; made anew only where they are others."""
        made = self._made_answer
        if made is None or made[0] is not self.decision or made[1] is not self.data_spec:
            made = self._made_answer = self.decision, self.data_spec, self.configure_answer()
        return made[2]

    def _evaluate(self, stage: Stage, batch: Batch) -> dict[str, Tensor]:
        loss: Tensor | None = None
        if self.other_predictions is not None:
            prediction = {name: value.to(self.device) for name, value in self.other_predictions(batch).items()}
        else:
            outputs = (self._other_outputs or self.outputs)(batch)
            loss = torch.stack(list(self.loss(outputs, batch).values())).sum()
            prediction = self.decode(outputs)
        self.meter(stage).update(loss, prediction, batch["target"], samples=len(batch["index"]))
        return prediction

    def _log_metrics(self, stage: Stage) -> None:
        self.log_dict({f"{stage}/{name}": value for name, value in self.meter(stage).compute().items()})
        if self.trainer.state.fn != "fit":
            self.meter(stage).tabulate()
