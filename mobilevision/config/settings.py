"""Keys that no class takes as an argument, or whose class states no range, with their types; one record a node.

``conf/`` says what each is for. Which node has which of these stands in :mod:`mobilevision.config.keys`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

from mobilevision.errors import UserError
from mobilevision.ranges import (
    Items,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    PositiveShare,
    Range,
    Seed,
    Share,
    ShareBelowOne,
)


class Settings(NamedTuple):
    """Keys without a group."""

    seed: Seed
    run_dir: str | None
    resume: str | None
    extend: str | None
    channels_last: bool
    allocator: Literal["tuned", "system"]
    compile: bool


class Freeze(NamedTuple):
    """``freeze``."""

    epochs: NonNegativeInt
    cache: bool
    stages: NonNegativeInt | Literal["auto"]
    parts: list[str]
    statistics: bool | Literal["auto"]


class Probe(NamedTuple):
    """``probe``."""

    enabled: bool | Literal["auto"]
    decays: Annotated[list[NonNegativeFloat], Items(min=1)]
    steps: Annotated[int, Range(min=1, max=100_000)]
    folds: Annotated[int, Range(min=2)]


class Pretrain(NamedTuple):
    """``pretrain``."""

    root: str | None
    epochs: PositiveInt | None
    loss: Literal["cross_entropy", "bootstrap", "small_loss"]


class Tune(NamedTuple):
    """``tune``."""

    batch_size: bool
    learning_rate: bool


class Task(NamedTuple):
    """``task``, beside the arguments of its class."""

    name: str
    kind: str


class Data(NamedTuple):
    """``data``, beside the arguments of its class."""

    kinds: list[str]
    folds_final: bool


class Part(NamedTuple):
    """``head``, ``loss`` and ``augment``, beside the arguments of their classes."""

    kinds: list[str]


class Callback(NamedTuple):
    """Every node of ``callbacks``, beside the arguments of its class."""

    enabled: bool


class Distill(NamedTuple):
    """``distill``, beside the arguments of its class."""

    kinds: list[str]
    teacher: str
    weight: NonNegativeFloat
    label_weight: NonNegativeFloat
    cache: bool
    cache_folder: str | None
    auto_width: Annotated[float, Range(above=0, max=4)]


Batches = PositiveInt | PositiveShare
"""So many of the batches of an epoch, or a share of them."""


class Trainer(NamedTuple):
    """``trainer``: ranges of pytorch_lightning.Trainer's arguments."""

    devices: Literal["auto", -1] | PositiveInt | Annotated[list[NonNegativeInt], Items(min=1)] | str
    num_nodes: PositiveInt
    max_epochs: Literal[-1, "auto"] | PositiveInt | None
    max_steps: Literal[-1] | PositiveInt
    limit_train_batches: Batches | None
    limit_val_batches: Batches | None
    limit_test_batches: Batches | None
    overfit_batches: NonNegativeInt | Share
    check_val_every_n_epoch: PositiveInt | None
    val_check_interval: Batches | None
    num_sanity_val_steps: Literal[-1] | NonNegativeInt | None
    log_every_n_steps: NonNegativeInt | None
    accumulate_grad_batches: PositiveInt
    gradient_clip_val: NonNegativeFloat | Literal["auto"] | None
    gradient_clip_algorithm: Literal["norm", "value"] | None
    profiler: Literal["simple", "advanced", "pytorch", "xla"] | None
    kwargs: dict[str, Any]


class TrainerArguments(NamedTuple):
    """``trainer.kwargs``: the same of arguments that ``trainer`` does not list."""

    min_epochs: PositiveInt | None
    min_steps: PositiveInt | None
    fast_dev_run: bool | NonNegativeInt
    limit_predict_batches: Batches | None
    reload_dataloaders_every_n_epochs: NonNegativeInt


class OptimizerArguments(NamedTuple):
    """``optimizer.kwargs``: ranges of arguments that optimisers have in common; others are left to the optimiser."""

    alpha: ShareBelowOne
    beta1: ShareBelowOne
    beta2: ShareBelowOne
    betas: Annotated[Sequence[ShareBelowOne], Items(min=2, max=3)]
    dampening: Share
    eps: PositiveFloat
    foreach: bool
    fused: bool
    initial_accumulator_value: NonNegativeFloat
    lr_decay: NonNegativeFloat
    nesterov: bool
    trust_coeff: PositiveFloat


# How trainer.max_time is written.

MAX_TIME_FORM = "days:hours:minutes:seconds, such as 00:00:10:00"
_MAX_TIME = re.compile(r"(\d+):(\d\d):(\d\d):(\d\d)")


def seconds_of(max_time: object) -> float:
    """``days:hours:minutes:seconds`` in seconds.

    Raises:
        UserError: another form, or no time at all.
    """
    found = _MAX_TIME.fullmatch(str(max_time).strip())
    days, hours, minutes, seconds = map(int, found.groups()) if found else (0, 0, 0, 0)
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total <= 0:
        raise UserError(f"trainer.max_time={max_time}: give {MAX_TIME_FORM}")
    return float(total)
