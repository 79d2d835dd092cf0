"""What is searched: width, side, version and head, each unless the user sets it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, final

import yaml
from omegaconf import DictConfig, OmegaConf

from mobilevision.config.compose import compose
from mobilevision.config.groups import options
from mobilevision.config.kinds import kinds_of
from mobilevision.config.search_path import sources
from mobilevision.errors import UserError
from mobilevision.tools.models import split

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH, SIDE = "backbone.width", "data.resolution"
BACKBONES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "mobilenet_v1": {},
    "mobilenet_v2": {},
    "mobilenet_v3_small": {},
    "mobilenet_v3": {},
    "mobilenet_v4": {"backbone.variant": ("conv_small", "conv_medium")},
}
SIDES, DETECTOR_SIDES = (128, 160, 192, 224), (160, 192, 224, 256, 320)


@final
@dataclass(frozen=True)
class Combination:
    """The models that differ in width and side alone.

    Attributes:
        fixed: the user's overrides of one value.
        knobs: the other choices, key -> value.
        cfg: composed with them.
        widths: to try; None: as composed.
        sides: to try, as text; None: as composed.
    """

    fixed: tuple[str, ...]
    knobs: Mapping[str, str]
    cfg: DictConfig
    widths: Sequence[str] | None
    sides: Sequence[str] | None

    def __len__(self) -> int:
        return len(self.widths or " ") * len(self.sides or " ")

    def models(self) -> Iterator[tuple[dict[str, str], DictConfig]]:
        """Each choice of width and side: all knobs, and the configuration."""
        for width, side in product(self.widths or (None,), self.sides or (None,)):
            cfg, knobs = self.cfg.copy(), dict(self.knobs)
            for key, text in ((WIDTH, width), (SIDE, side)):
                if text is not None:
                    knobs[key] = text
                    OmegaConf.update(cfg, key, _value(key, text))
            yield knobs, cfg


def combinations(overrides: Sequence[str]) -> tuple[list[Combination], list[str]]:
    """Compose every choice of backbone, head and whatever else is listed; mistakes come before heavy imports.

    Args:
        overrides: the user's; one value settles a knob, a list is what is searched of it.

    Returns:
        What can be composed, and why the rest cannot.

    Raises:
        UserError: nothing can be composed.
    """
    fixed, listed = split(overrides)
    settled = {line.lstrip("+").partition("=")[0] for line in fixed}
    widths, sides = listed.pop(WIDTH, None), listed.pop(SIDE, None)
    first = compose([*fixed, *(f"{key}={values[0]}" for key, values in listed.items())], complete=False)
    found, refused = [], list[str]()
    for knobs in _choices(settled, listed, str(first.task.kind)):
        try:
            cfg = compose([*fixed, *(f"{key}={value}" for key, value in knobs.items())], complete=False)
        except UserError as error:
            refused.append(" ".join(str(error).split()))
            continue
        mine = None if WIDTH in settled or "width" not in cfg.backbone else widths or _widths(cfg)
        both = None if SIDE in settled else sides or _sides(cfg)
        found.append(Combination(tuple(fixed), knobs, cfg, mine, both))
    if not found:
        raise UserError(refused[0])
    return found, refused


def _choices(settled: set[str], listed: Mapping[str, Sequence[str]], kind: str) -> Iterator[dict[str, str]]:
    """Choices of all but width and side; the order of keys is that of a command line."""
    rest = {key: values for key, values in listed.items() if key not in ("backbone", "head")}
    heads: Sequence[str | None] = [None] if "head" in settled else listed.get("head") or heads_for(kind)
    names: Sequence[str | None] = [None] if "backbone" in settled else listed.get("backbone") or list(BACKBONES)
    for backbone, head in product(names, heads):
        more = {} if backbone is None else BACKBONES.get(backbone, {})
        more = {**{key: values for key, values in more.items() if key not in settled}, **rest}
        base = {key: value for key, value in (("backbone", backbone), ("head", head)) if value is not None}
        for chosen in product(*more.values()):
            yield {**base, **dict(zip(more, chosen, strict=True))}


def heads_for(kind: str) -> list[str]:
    """The heads that learn from targets of a kind, plugins' too."""
    found = sources(None)
    return [name for name in options("head", found) if kind in (kinds_of("head", name, found) or ())]


def _widths(cfg: DictConfig) -> list[str] | None:
    """The widths that papers publish of an architecture; None where we know of none."""
    from mobilevision.backbones import mobilenets, mobilenetv1

    node: Any = cfg.backbone
    known: dict[str, Sequence[float]] = {
        "mobilenet_v1": mobilenetv1.TYPICAL_WIDTHS,
        "mobilenet_v2": mobilenets.V2_WIDTHS,
        "mobilenet_v3": mobilenets.V3_WIDTHS.get(str(node.get("size")), (1.0,)),
        "mobilenet_v4": mobilenets.V4_WIDTHS.get(str(node.get("variant")), (1.0,)),
    }
    widths = known.get(str(node["_target_"]).rpartition(".")[2])
    return None if widths is None else [f"{each:g}" for each in widths]


def _sides(cfg: DictConfig) -> list[str]:
    """The usual ones, and the data's own where it has one."""
    usual = DETECTOR_SIDES if cfg.task.kind == "boxes" else SIDES
    own = {cfg.data.resolution} if isinstance(cfg.data.resolution, int) else set[int]()
    return [str(each) for each in sorted({*usual, *own})]


def _value(key: str, text: str) -> Any:
    value = yaml.safe_load(text)
    numbers = value if isinstance(value, list) and key == SIDE else [value]
    kinds = (int, float) if key == WIDTH else (int,)
    if not all(isinstance(each, kinds) and not isinstance(each, bool) for each in numbers):
        raise UserError(f"{key}={text}: give {'a number' if key == WIDTH else 'a side or [height, width] in pixels'}")
    return value
