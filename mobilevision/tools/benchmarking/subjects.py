"""What an argument of the command names: a run, or a configuration."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, final

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from mobilevision.config.check import refuse
from mobilevision.config.compose import compose
from mobilevision.config.grammar import unreadable
from mobilevision.deploy.manifest import is_artifact
from mobilevision.errors import UserError
from mobilevision.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mobilevision.tools.benchmarking.exported import Exported
    from mobilevision.tools.benchmarking.timed import TorchModel
    from mobilevision.tools.costs.classes import Known
    from mobilevision.tools.costs.counting import Counted


# Overrides that list values, such as ``backbone.width=0.5,1.0``, as all that they stand for.


def split(overrides: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Tell overrides of one value from those that list several.

    Args:
        overrides: as on the command line.

    Returns:
        Those of one value as they are, and for the others key -> its values as text.

    Raises:
        UserError: with every override that cannot be read, or has no end of values.
    """
    parser, errors = OverridesParser.create(), list[str]()
    plain: list[str] = []
    listed: dict[str, list[str]] = {}
    for line in overrides:
        try:
            override: Override = parser.parse_override(line)
        except HydraException as error:
            errors.append(unreadable(line, error))
            continue
        if not override.is_sweep_override():
            plain.append(line)
        elif override.is_discrete_sweep():
            listed[override.get_key_element().lstrip("+")] = [str(each) for each in override.sweep_string_iterator()]
        else:
            errors.append(f"{line}: name the values, such as {override.key_or_group}=0.25,0.5")
    refuse(errors)
    return plain, listed


def products(listed: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Every choice of one value a key, as overrides; one empty choice where nothing is listed."""
    yield from product(*([f"{key}={value}" for value in values] for key, values in listed.items()))


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """All the single configurations that some overrides stand for.

    Raises:
        UserError: as :func:`split`.
    """
    plain, listed = split(overrides)
    return [[*plain, *chosen] for chosen in products(listed)]


def refuse_halves(arguments: Sequence[str]) -> None:
    """Several arguments are several models; single overrides of different keys were meant as one.

    Raises:
        UserError: with the quotes that make one of them.
    """
    keys = [each.partition("=")[0].lstrip("+") for each in arguments]
    if len(arguments) > 1 and all("=" in each and " " not in each for each in arguments) and len(set(keys)) > 1:
        one = " ".join(arguments)
        raise UserError(f'each argument is a model of its own here: for one model write them together, "{one}"')


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
        """The model with random weights, before ``batch`` images of noise.

        Raises:
            UserError: its batch norms cannot be folded.
        """
        import torch

        from mobilevision.tools.benchmarking.folding import fold as folded
        from mobilevision.tools.benchmarking.timed import TorchModel
        from mobilevision.tools.costs.counting import deployed

        torch.manual_seed(0)
        model, image = deployed(self.cfg, **self.known._asdict(), resolution=self.counted.resolution)
        if fold:
            folded(model, image)
        images = torch.randint(0, 256, (batch, *image.shape[1:]), dtype=torch.uint8)
        cost = self.counted.cost.mult_adds
        return TorchModel(model, images, mult_adds=cost, device=device, threads=threads, channels_last=channels_last)


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
    from mobilevision.tools.benchmarking.exported import exported

    return exported(argument)


def _counted(argument: str, of: DictConfig | RunFolder, outputs: int | None) -> Subject:
    from mobilevision.config.loaded import read_config
    from mobilevision.config.plugins import load_for
    from mobilevision.tools.costs.classes import known_of, of_run
    from mobilevision.tools.costs.counting import cost_of

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
