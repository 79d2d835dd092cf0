"""What an argument of the command names: a run, or a configuration."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from mobilevision.deploy.manifest import is_artifact
from mobilevision.errors import UserError
from mobilevision.runs.benchmarking.several import expand, refuse_halves
from mobilevision.runs.compose import compose
from mobilevision.runs.folder import RunFolder

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mobilevision.runs.benchmarking.exported import Exported
    from mobilevision.runs.benchmarking.timed import TorchModel
    from mobilevision.runs.costs.classes import Known
    from mobilevision.runs.costs.counting import Counted


@final
@dataclass(frozen=True)
class Subject:
    """A model whose time is taken.

    Attributes:
        argument: what the user typed for it, a list of values written out.
        cfg: its configuration.
        head: the class of its head.
        known: what of the data its head is made for.
        counted: its cost.
    """

    argument: str
    cfg: DictConfig
    head: str
    known: Known
    counted: Counted

    @property
    def name(self) -> str:
        """Backbone, head and side."""
        return f"{self.counted.backbone} + {self.head} {self.side}"

    @property
    def side(self) -> str:
        """Of the input: 160, or 120x160 (height x width)."""
        height, width = self.counted.resolution
        return f"{height}" if height == width else f"{height}x{width}"

    def timed(self, *, batch: int, threads: int, device: str, fold: bool, channels_last: bool) -> TorchModel:
        """The model with random weights, before ``batch`` pictures of noise.

        Raises:
            UserError: its batch norms cannot be folded.
        """
        import torch

        from mobilevision.runs.benchmarking.folding import fold as folded
        from mobilevision.runs.benchmarking.timed import TorchModel
        from mobilevision.runs.costs.counting import deployed

        torch.manual_seed(0)
        model, picture = deployed(self.cfg, **self.known._asdict(), resolution=self.counted.resolution)
        if fold:
            folded(model, picture)
        pictures = torch.randint(0, 256, (batch, *picture.shape[1:]), dtype=torch.uint8)
        cost = self.counted.cost.mult_adds
        return TorchModel(model, pictures, mult_adds=cost, device=device, threads=threads, channels_last=channels_last)


def subjects(arguments: Sequence[str], *, outputs: int | None) -> list[Subject | Exported]:
    """Every model that the arguments name, counted.

    Args:
        arguments: folders of runs or of exported models, or overrides, those of one model in one argument; values may
            be lists.
        outputs: class scores of heads, for configurations without data.

    Raises:
        UserError: for all that the user can mend.
    """
    refuse_halves(arguments)
    named: list[tuple[str, DictConfig | RunFolder | None]] = []
    for argument in arguments:
        if is_artifact(argument):
            named.append((argument, None))
            continue
        if Path(argument).is_dir() or "=" not in argument:
            named.append((argument, RunFolder.existing(argument)))
            continue
        for overrides in expand(_words(argument)):
            named.append((shlex.join(overrides), compose(overrides, complete=False)))
    return [_exported(argument) if of is None else _counted(argument, of, outputs) for argument, of in named]


def _exported(argument: str) -> Exported:
    from mobilevision.runs.benchmarking.exported import exported

    return exported(argument)


def _counted(argument: str, of: DictConfig | RunFolder, outputs: int | None) -> Subject:
    from mobilevision.runs.config.loaded import read_config
    from mobilevision.runs.costs.classes import known_of, of_run
    from mobilevision.runs.costs.counting import cost_of
    from mobilevision.runs.plugins import load_for

    resolution = None
    if isinstance(of, RunFolder):
        cfg = read_config(of.config)
        load_for(cfg)
        known, resolution = of_run(of, str(cfg.task.kind))
        if "weights" in cfg.backbone:
            cfg.backbone.weights = None  # they may have gone, and time does not depend on them
    else:
        cfg = of
        load_for(cfg)
        if outputs is not None and cfg.head.get("outputs") is not None:
            cfg.head.outputs = outputs
        known = known_of(cfg, outputs)
    return Subject(argument, cfg, short_head(cfg), known, cost_of(cfg, **known._asdict(), resolution=resolution))


def short_head(cfg: DictConfig) -> str:
    """``ssdlite`` of ``mobilevision.heads.SSDLiteHead``."""
    return str(cfg.head["_target_"]).rpartition(".")[2].removesuffix("Head").lower()


def _words(argument: str) -> list[str]:
    try:
        return shlex.split(argument)
    except ValueError as error:
        raise UserError(f"{argument}: a quote is not closed") from error
