"""From a composed config to objects: data, backbone, head, loss, task, each told of those before; and the trainer."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mobilevision.config.auto_settings import AUTO, Decision, decide, decided, facts_of, idle_parts, without_training
from mobilevision.config.parts import names, part_config
from mobilevision.errors import UserError
from mobilevision.plugins import class_and_plugin, plugin_of
from mobilevision.spec import DataSpec, Needs

if TYPE_CHECKING:
    from pytorch_lightning import Callback, Trainer

    from mobilevision.backbones import Backbone
    from mobilevision.cost import Cost
    from mobilevision.data import DataModule
    from mobilevision.heads import Head
    from mobilevision.tasks.base import Task
    from mobilevision.tracking.run_folder import RunFolder

# Keys of an option's yaml that say what it fits; they are for the checks, not for the class.
_KINDS = ("kinds",)
_OF_DATA = (*_KINDS, "folds_final")
_MONITOR = "callbacks.best.monitor"
_OF_TASK = ("kind", "name")
_INTERFACES = {  # imported where they are asked for, since most need torch
    "Backbone": "mobilevision.backbones",
    "DataFormat": "mobilevision.data.data_format",
    "Head": "mobilevision.heads",
    "Loss": "mobilevision.losses",
    "Task": "mobilevision.tasks.base",
}
_LEARNS = ("loss", "distiller")  # parts of a task that may have weights of their own and predict nothing


@dataclass(frozen=True)
class Built:
    """What a config became.

    Attributes:
        task: the LightningModule, a :class:`mobilevision.tasks.base.Task`.
        data: the data module, read and split.
        cost: parameters and mult-adds at the run's side.
        cfg: the config with what was ``auto`` decided.
        decisions: what was decided, and why.
    """

    task: Task
    data: DataModule
    cost: Cost
    cfg: DictConfig
    decisions: tuple[Decision, ...] = ()


def instantiate(node: Any, *, drop: tuple[str, ...] = (), **arguments: Any) -> Any:
    """The object that a config node describes; ``arguments`` are handed on as they are."""
    from hydra.utils import instantiate as hydra_instantiate
    from omegaconf.errors import OmegaConfBaseException

    values: Any = OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else node
    plain: dict[str, Any] = {key: value for key, value in values.items() if key not in drop}
    try:
        target = hydra_instantiate({"_target_": plain.pop("_target_"), "_partial_": True}, _convert_="all")
        keywords = {key: _nested(value) for key, value in plain.items()}
        return target(**keywords, **arguments)
    except (OmegaConfBaseException, UserError) as error:
        raise UserError(str(error)) from error
    except Exception as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from error
        raise


def make_part(node: Any, base: str, key: str, *, drop: tuple[str, ...] = _KINDS, **arguments: Any) -> Any:
    """An object that a config node describes, if it is one of the interface that its place in a model asks for.

    Args:
        node: of the config.
        base: name of the interface in :mod:`mobilevision.api`.
        key: of the config.
        drop: keys that are not for the class.
        **arguments: handed on as they are.

    Raises:
        UserError: it is none, a head that says no needs, or a plugin's class that cannot be made.
    """
    import torch
    from hydra.utils import get_object

    made, interface, target = None, getattr(import_module(_INTERFACES[base]), base), get_object(node["_target_"])
    if not isinstance(target, type) or issubclass(target, interface):
        try:
            made = instantiate(node, drop=drop, **arguments)
        except UserError:
            raise
        except Exception as error:
            shapes_only = torch.get_default_device().type == "meta"  # costs try it with values then
            if shapes_only or plugin_of(inspect.getfile(target)) is None:
                raise
            text = f"{type(error).__name__}: {' '.join(str(error).split())}"
            given = f"it is made with {', '.join(arguments)} and the keys of its YAML, all by keyword"
            raise UserError(f"{key}: {class_and_plugin(target)}: {text}; {given}") from error
        target = type(made)
    if not isinstance(made, interface):
        raise UserError(
            f"{key}: {class_and_plugin(target)} is no {base}: derive the class from mobilevision.api.{base}"
        )
    if base == "Head" and not isinstance(getattr(made, "needs", None), Needs):
        fix = "give it needs = Needs(pooled=True), or Needs(strides=(8, 16))"
        raise UserError(f"{key}: {class_and_plugin(target)} does not say what it needs of the backbone: {fix}")
    return made


def _nested(value: Any) -> Any:
    return instantiate(value) if isinstance(value, Mapping) and "_target_" in value else value


def build(cfg: DictConfig, *, run_dir: Path | None = None) -> Built:
    """Everything that a training needs, from its config; what is ``auto`` in it is decided here.

    Args:
        cfg: a composed and checked config.
        run_dir: where the data module lists the files it skips.

    Raises:
        UserError: if data, weights or head cannot be had or do not fit; the message names the key and the fix.
    """
    from pytorch_lightning.utilities.seed import isolate_rng

    backbone = build_backbone(cfg)
    data = build_data(cfg)
    side = default_side(cfg, backbone)
    small = check_side(cfg, backbone)
    spec = data.setup_data(default_resolution=(side, side), crop=backbone.preset.crop, run_dir=run_dir)
    data.splits.notes += small
    data.idle = frozenset(idle_parts(cfg))
    with isolate_rng(
        include_cuda=False
    ):  # else a run repeated from its config, which decides nothing, begins otherwise
        facts = facts_of(cfg, backbone, data, probes=not spec.parts and _takes_pooled(cfg, backbone, spec))
        of_parts = {}
        for name, module in data.parts.items():
            alone = part_config(cfg, name)
            pooled = _takes_pooled(alone, backbone, module.spec)
            of_parts[name] = facts_of(alone, backbone, module, probes=pooled)
        decisions = decide(cfg, facts, of_parts)
    cfg = decided(cfg, decisions)
    augment = build_augment(cfg, data)
    data.train_with(batch_size=cfg.data.batch_size, augment=augment)
    task = build_task(cfg, spec, backbone, mix=mixing(augment))
    return Built(
        task=task, data=data, cost=measure(task), cfg=cfg, decisions=tuple(each for each in decisions if each.why)
    )


def build_augment(cfg: DictConfig, data: DataModule) -> Any:
    """The augmentation of a run, or that of each of its parts; None where there is none.

    Raises:
        UserError: one that does not go with the data, or that mixes images of several parts.
    """
    if not data.parts:
        return instantiate(cfg.augment, drop=_KINDS) if cfg.get("augment") else None
    made = {}
    for name, module in data.parts.items():
        made[name] = build_augment(part_config(cfg, name), module)
        if mixing(made[name]) is not None:
            raise UserError(
                f"parts.{name}.augment.mixup, cutmix: what images of several parts show is not mixed; set both to 0"
            )
        train = data.splits.train
        if getattr(made[name], "mosaic", 0) and train is not None and train.targets.shares(name):
            raise UserError(
                f"parts.{name}.augment.mosaic joins four images, and what other parts know is of one of them: set it"
                " to 0"
            )
        try:
            module.train_with(batch_size=cfg.data.batch_size, augment=made[name])
        except UserError as error:
            raise UserError(f"parts.{name}: {error}") from error
    from mobilevision.data.multitask import MultitaskAugment

    return MultitaskAugment(made)


def _takes_pooled(cfg: DictConfig, backbone: Backbone, spec: DataSpec) -> bool:
    """Whether the head takes pooled features and no maps; one that knows only once it is built is built for that."""
    from hydra.utils import get_class

    needs = getattr(get_class(cfg.head["_target_"]), "needs", None)
    if not isinstance(needs, Needs):
        needs = make_part(without_training(cfg).head, "Head", "head", backbone=backbone.spec, data=spec).needs
    return bool(needs.pooled and not needs.strides)


def check_val(cfg: DictConfig, data: DataModule) -> None:
    """Without a val (``data.val_fraction=0``), nothing may ask for one.

    Raises:
        UserError: no test either, or an option that chooses by val.
    """
    if data.splits.val is not None:
        return
    few = f"add images: of {len(data.splits.train or ())} none can be spared for a val"
    fix = few if data.val_fraction else "data.val_fraction above 0 takes one from train"
    if data.splits.test is None:
        raise UserError(f"the data has neither val nor test, so nothing can be measured: {fix}")
    stopping = cfg.callbacks.get("early_stopping")
    if stopping is not None and stopping.enabled:
        raise UserError(f"callbacks.early_stopping chooses by val, and the data has none: {fix}")
    data.splits.notes.append("no val: the last epoch's weights are kept, and nothing is chosen on the way")


def build_backbone(cfg: DictConfig, *, checkpoint_preset: Mapping[str, Any] | None = None) -> Backbone:
    """The backbone for images of ``data.channels``, with its pretrained weights.

    Args:
        cfg: the run's config.
        checkpoint_preset: values of the preset of a checkpoint, whose weights are still to be loaded, in place of the
            config's preset and of pretrained weights, the head's among them. A backbone whose factory takes no preset
            gets its normalisation.
    """
    from hydra.utils import get_class, get_method

    from mobilevision.backbones.detector_weights import load_body, read_detector
    from mobilevision.backbones.keras_weights import published_side
    from mobilevision.backbones.presets import Preset

    node = OmegaConf.to_container(cfg.backbone, resolve=True)
    assert isinstance(node, dict)
    if checkpoint_preset is not None and "weights" in node:
        node["weights"] = None
    if node.get("weights") == "keras":  # of several sides, those for the images' own
        node["weights"] = f"keras-{published_side(cfg.data.resolution)}"
    parameters = inspect.signature(get_method(node["_target_"])).parameters.values()
    takes = any(each.name == "preset" or each.kind is each.VAR_KEYWORD for each in parameters)
    if checkpoint_preset is not None and takes:
        node["preset"] = dict(checkpoint_preset)
    detector = None
    if checkpoint_preset is None and cfg.head.get("weights") is not None:
        head: Any = get_class(cfg.head["_target_"])
        detector = read_detector(cfg.head.weights, published=head.published, side=_shorter(cfg.data.resolution))
        node["preset"] = node.get("preset") or detector.preset.to_dict()
    backbone: Backbone = make_part(node, "Backbone", "backbone", drop=(), channels=cfg.data.channels)
    if detector is not None:
        load_body(backbone, detector)
    if checkpoint_preset is not None and not takes:
        backbone.set_preset(Preset.from_dict(checkpoint_preset))
    return backbone


def default_side(cfg: DictConfig, backbone: Backbone) -> int:
    """Side of the input where ``data.resolution`` is null: what the head is made for, else what the weights expect."""
    from hydra.utils import get_class

    heads = [part_config(cfg, name).head for name in names(cfg)] or [cfg.head]
    own = max(getattr(get_class(head["_target_"]), "side", None) or 0 for head in heads)
    if own and any(head.get("layout") == "torchvision" for head in heads):  # some of its detectors see larger images
        return max(own, backbone.preset.side)
    return own or backbone.preset.side


def _shorter(resolution: Any) -> int | None:
    return resolution if resolution is None or isinstance(resolution, int) else int(min(resolution))


def check_side(cfg: DictConfig, backbone: Backbone) -> list[str]:
    """Whether ``data.resolution`` goes with the backbone, whose last map has one place for each ``stride`` pixels.

    Returns:
        What to say of a side below that stride, which trains, but on padding more than on the image.

    Raises:
        UserError: a side below half of the stride: several stages would look at one and the same place.
    """
    given, stride = cfg.data.resolution, max(backbone.spec.strides, default=0)
    side = _shorter(given)
    if side is None or side >= stride:
        return []
    message = f"data.resolution={given}: the backbone's last map has one place for {stride} x {stride} pixels"
    if 2 * side < stride:
        raise UserError(f"{message}: give {stride} or more (images are resized to it)")
    return [f"{message}; at {stride} and above more is learnt"]


def build_data(cfg: DictConfig) -> DataModule:
    """The data module, nothing read yet."""
    parts = {name: build_data(part_config(cfg, name)) for name in names(cfg)}
    node = without_training(cfg).data
    if not parts:
        form = make_part(node.format, "DataFormat", "data.format", drop=())
        single: DataModule = instantiate(node, drop=(*_OF_DATA, "format"), format=form)
        return single
    several: DataModule = instantiate(node, drop=(*_OF_DATA, "format"), format=instantiate(node.format, parts=parts))
    return several


def build_task(cfg: DictConfig, spec: DataSpec, backbone: Backbone, *, mix: Any = None) -> Any:
    """The task over ``backbone`` for data of ``spec``.

    The head takes over the weights' classifier or detector if it fits, and the last stage if it needs it; of the
    backbone, layers that the head takes nothing from are dropped.
    """
    cfg = without_training(cfg)
    head = build_head(cfg, spec, backbone)
    if head.needs.tail:
        head.take_tail(backbone.split_tail())
    try:
        backbone.keep(head.needs)
    except UserError as error:
        raise UserError(f"head: {class_and_plugin(type(head))}: {error}") from error
    if parts := _build_parts(cfg, spec, backbone, head):
        losses = {name: part.loss for name, part in parts.items()}
        loss = instantiate(cfg.loss, drop=_KINDS, data=spec, parts=losses)
        task = _task(cfg, spec, backbone, head, loss, mix=mix, parts=parts)
    else:
        task = _task(cfg, spec, backbone, head, _build_loss(cfg, spec, head), mix=mix)
    if (metric := OmegaConf.select(cfg, _MONITOR)) not in (None, AUTO):
        task.follow(str(metric).removeprefix("val/"))
    return task


def build_head(cfg: DictConfig, spec: DataSpec, backbone: Backbone) -> Head:
    """The head of a task, or those of its parts as one, with the weights' classifier where it fits.

    Raises:
        UserError: data of other parts than the config's, or a head that does not go with the backbone.
    """
    if set(names(cfg)) != set(spec.parts):
        raise UserError(f"the config has the parts {', '.join(names(cfg))}, the data {', '.join(spec.parts) or 'none'}")
    parts: dict[str, Any] = {}
    for name, own in spec.parts.items():
        shared, alone = replace(own, fit=spec.fit), part_config(cfg, name)
        try:
            parts[name] = build_head(alone, shared, backbone)
        except UserError as error:
            raise UserError(f"parts.{name}: {error}") from error
    more: dict[str, Any] = {"parts": parts} if parts else {}
    head = make_part(cfg.head, "Head", "head", backbone=backbone.spec, data=spec, **more)
    if backbone.classifier is not None:
        head.load_classifier(*backbone.classifier)
    if backbone.detector is not None and backbone.report is not None:
        backbone.note(head.load_detector(backbone.detector, source=backbone.report.source))
    built: Head = head
    return built


def _build_loss(cfg: DictConfig, spec: DataSpec, head: Head) -> Any:
    loss = make_part(cfg.loss, "Loss", "loss", data=spec)
    if head.dimensions is not None:
        loss.take_width(head.dimensions)
    return loss


def _build_parts(cfg: DictConfig, spec: DataSpec, backbone: Backbone, heads: Any) -> dict[str, Task]:
    """The tasks that share ``backbone``, by part, each on its own of ``heads``; none of a single task."""
    parts: dict[str, Task] = {}
    for name in spec.parts:
        alone, head = part_config(cfg, name), heads.parts[name]
        part = _task(alone, head.data_spec, backbone, head, _build_loss(alone, head.data_spec, head))
        if part.balanced is not None and alone.loss.get("class_weights") == "balanced":
            part.follow(part.balanced)
        parts[name] = part
    return parts


def _task(
    cfg: DictConfig, spec: DataSpec, backbone: Backbone, head: Head, loss: Any, *, mix: Any = None, **parts: Any
) -> Any:
    return make_part(
        cfg.task,
        "Task",
        "task",
        drop=_OF_TASK,
        backbone=backbone,
        head=head,
        loss=loss,
        data=spec,
        optimizer=instantiate(cfg.optimizer, pretrained=backbone.report is not None),
        scheduler=instantiate(cfg.scheduler),
        mix=mix,
        channels_last=cfg.channels_last,
        **parts,
    )


def mixing(augment: Any) -> Any:
    """The augmentation's batch mixing as the task calls it, or None where it mixes nothing."""
    return augment.mix if augment is not None and augment.mixes else None


def measure(task: Task) -> Cost:
    """Cost of one image at the run's side, of what predicts: what only training has is not in it."""
    import torch

    from mobilevision.cost import count

    spec: DataSpec = task.data_spec
    found = count(task, torch.empty(1, spec.channels, *spec.resolution, dtype=torch.uint8, device="meta"))
    layers = tuple(row for row in found.layers if row.name.partition(".")[0] not in _LEARNS)
    return replace(found, parameters=sum(row.parameters for row in layers), layers=layers)


def build_callbacks(cfg: DictConfig, task: Task, folder: RunFolder) -> list[Any]:
    """The enabled callbacks; one that asks for ``folder``, ``monitor``, ``mode`` or ``seed`` is given it."""
    from hydra.utils import get_method

    known = {"folder": folder, "monitor": f"val/{task.followed}", "mode": task.followed_mode, "seed": cfg.seed}
    made = []
    for key, node in cfg.callbacks.items():
        if node is None or not node.enabled:
            continue
        if key == "best":
            node = OmegaConf.masked_copy(node, [name for name in node if name != "monitor"])  # the task follows it
        asked = inspect.signature(get_method(node["_target_"])).parameters
        given = {name: value for name, value in known.items() if name in asked and name not in node}
        made.append(instantiate(node, drop=("enabled",), **given))
    return made


def make_trainer(
    cfg: DictConfig,
    callbacks: Sequence[Callback],
    *,
    checkpoints: bool = False,
    logger: Any = False,
    changes: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Trainer:
    """``Trainer(...)`` with the keys of the node ``trainer``: ``conf/trainer/auto.yaml`` has them and the class itself.

    A training (``training/train.py``), an evaluation (``evaluation/evaluate.py``) and the fine-tuning of an export
    (``exporting/finetuning.py``) differ by the arguments alone.

    Args:
        cfg: the run's config; ``trainer.max_time`` is not Lightning's to keep (see ``training/time_budget.py``).
        callbacks: in the order in which they are called.
        checkpoints: whether one of them saves checkpoints.
        logger: the tracker; False for none.
        changes: values in place of the config's; keys that the config's Trainer does not have are left out.
        **arguments: further ones, as objects.

    Raises:
        UserError: values that do not go together, in one line.
    """
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    node: Any = OmegaConf.to_container(cfg.trainer, resolve=True)
    node.update(node.pop("kwargs", None) or {})
    node.pop("max_time", None)
    node |= {key: value for key, value in (changes or {}).items() if key in node}
    try:
        trainer: Trainer = instantiate(
            node,
            callbacks=list(callbacks),
            logger=logger,
            enable_checkpointing=checkpoints,
            enable_progress_bar=False,  # ours is a callback
            **arguments,
        )
    except (MisconfigurationException, ValueError) as error:
        raise UserError(f"trainer: {str(error).splitlines()[0]}") from error
    return trainer
