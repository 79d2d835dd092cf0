"""The keys at the top of the configuration and their types; ``conf/config.yaml`` says what each is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Settings:
    """Keys without a group."""

    seed: int
    run_dir: str | None
    resume: str | None
    channels_last: bool
    allocator: Literal["tuned", "system"]
    compile: bool


@dataclass(frozen=True)
class Freeze:
    """``freeze``."""

    epochs: int
    cache: bool
    stages: int | Literal["auto"]
    statistics: bool | Literal["auto"]


@dataclass(frozen=True)
class Probe:
    """``probe``."""

    enabled: bool | Literal["auto"]
    decays: list[float]
    steps: int
    folds: int


@dataclass(frozen=True)
class Pretrain:
    """``pretrain``."""

    root: str | None
    epochs: int | None
    loss: Literal["cross_entropy", "bootstrap", "small_loss"]


@dataclass(frozen=True)
class Tune:
    """``tune``."""

    batch_size: bool
    learning_rate: bool
