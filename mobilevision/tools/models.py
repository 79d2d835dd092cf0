"""The models that arguments of a command name: configurations, runs and exported models, with what they cost."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
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
from mobilevision.deploy.manifest import Manifest, is_artifact
from mobilevision.errors import UserError
from mobilevision.io.text_columns import side
from mobilevision.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mobilevision.tools.benchmarking.stopwatch import RuntimeModel, TorchModel
    from mobilevision.tools.costs.counting import ClassInfo, Counted


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


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """All the single configurations that some overrides stand for.

    Raises:
        UserError: as :func:`split`.
    """
    plain, listed = split(overrides)
    choices = product(*([f"{key}={value}" for value in values] for key, values in listed.items()))
    return [[*plain, *chosen] for chosen in choices]


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
class Configured:
    """A model that a configuration describes, and what it costs.

    Attributes:
        argument: what the user typed for it, a list of values written out.
        cfg: its configuration.
        class_info: what of the data its head is made for.
        counted: its cost.
    """

    argument: str
    cfg: DictConfig
    class_info: ClassInfo
    counted: Counted

    @property
    def head(self) -> str:
        """``ssdlite`` of ``mobilevision.heads.SSDLiteHead``."""
        return short_head(str(self.cfg.head["_target_"]))

    @property
    def name(self) -> str:
        """Backbone, head and side."""
        return f"{self.counted.backbone} + {self.head} {side(self.counted.resolution)}"

    def timed(self, *, batch: int, threads: int, device: str, fold: bool, channels_last: bool) -> TorchModel:
        """The model with random weights, before ``batch`` images of noise.

        Raises:
            UserError: its batch norms cannot be folded.
        """
        import torch

        from mobilevision.tools.benchmarking.folding import fold as folded
        from mobilevision.tools.benchmarking.stopwatch import TorchModel
        from mobilevision.tools.costs.counting import deployed

        torch.manual_seed(0)
        model, image = deployed(self.cfg, **self.class_info._asdict(), resolution=self.counted.resolution)
        if fold:
            folded(model, image)
        images = torch.randint(0, 256, (batch, *image.shape[1:]), dtype=torch.uint8)
        cost = self.counted.cost.mult_adds
        return TorchModel(model, images, mult_adds=cost, device=device, threads=threads, channels_last=channels_last)


@final
@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        argument: its folder, as the user typed it.
        head: the class of its head.
        format: of its file.
        precision: of its numbers.
        counted: the cost that its model.json states.
    """

    argument: str
    head: str
    format: str
    precision: str
    counted: Counted

    @property
    def name(self) -> str:
        """Backbone, head, side, format, and the precision where it is not float32."""
        smaller = "" if self.precision == "float32" else f" {self.precision}"
        return f"{self.counted.backbone} + {self.head} {side(self.counted.resolution)} {self.format}{smaller}"

    @property
    def how(self) -> str:
        """What runs it, in words."""
        return f"exported: {self.format}, {self.precision}"

    def timed(self, *, batch: int, threads: int, device: str, fold: bool, channels_last: bool) -> RuntimeModel:
        """The model before ``batch`` images of noise; how torch would lay things out does not matter to it.

        Raises:
            UserError: any device but the CPU.
        """
        from mobilevision.tools.benchmarking.stopwatch import RuntimeModel

        del fold, channels_last
        if device != "cpu":
            raise UserError(f"--device {device}: {self.argument} is an exported model, which runs on the CPU")
        cost = self.counted.cost.mult_adds
        return RuntimeModel(Path(self.argument), batch=batch, mult_adds=cost, threads=threads)


def models_of(arguments: Sequence[str], *, outputs: int | None) -> list[Configured | Exported]:
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
    return [exported(name) if of is None else count_model(of, outputs, argument=name) for name, of in named]


def exported(folder: str) -> Exported:
    """The exported model in a folder.

    Raises:
        UserError: model.json cannot be read, or does not say what the model costs.
    """
    from mobilevision.cost import Cost
    from mobilevision.tools.costs.counting import Counted

    manifest = Manifest.read(folder)
    about, how = manifest.about, manifest.preprocessing
    try:
        cost = Cost(int(about["cost"]["parameters"]), int(about["cost"]["mult_adds"]), ())
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{folder}/model.json: about.cost is missing: export the model again") from None
    counted = Counted(cost, str(about.get("backbone")), (how.height, how.width), how.channels, len(manifest.classes))
    return Exported(folder, short_head(str(about.get("head"))), manifest.format, manifest.precision, counted)


def count_model(of: DictConfig | RunFolder, outputs: int | None, *, argument: str = "") -> Configured:
    """Count a composed config, or a run as it was trained.

    Args:
        of: the config, which is changed where ``outputs`` says so; or the run.
        outputs: class scores of the head of a config; see :func:`mobilevision.tools.costs.counting.class_info_of`.
        argument: what the user typed for it.

    Raises:
        UserError: for all that the user can mend.
    """
    from mobilevision.config.loaded import read_config
    from mobilevision.config.used_plugins import load_for
    from mobilevision.tools.costs.counting import class_info_of, class_info_of_run, cost_of

    resolution = None
    cfg = read_config(of.config) if isinstance(of, RunFolder) else of
    load_for(cfg)
    if isinstance(of, RunFolder):
        known, resolution = class_info_of_run(of, str(cfg.task.kind))
        if "weights" in cfg.backbone:
            cfg.backbone.weights = None  # they may have gone, and the side is known
        if "weights" in cfg.head:
            cfg.head.weights = None
    else:
        set_outputs(cfg, outputs)
        known = class_info_of(cfg, outputs)
    return Configured(argument, cfg, known, cost_of(cfg, **known._asdict(), resolution=resolution))


def set_outputs(cfg: DictConfig, outputs: int | None) -> None:
    """Let ``outputs`` take the place of ``head.outputs``, where that is set."""
    if outputs is not None and cfg.head.get("outputs") is not None:
        cfg.head.outputs = outputs


def short_head(name: str) -> str:
    """``ssdlite`` of a head's class, ``SSDLiteHead``, perhaps with its module."""
    return name.rpartition(".")[2].removesuffix("Head").lower()


def _words(argument: str) -> list[str]:
    try:
        return shlex.split(argument)
    except ValueError as error:
        raise UserError(f"{argument}: a quote is not closed") from error
