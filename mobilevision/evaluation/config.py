"""The config of an evaluation: a run's own, with other data or another trainer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mobilevision.config.check import refuse
from mobilevision.config.compose import compose
from mobilevision.config.grammar import parse
from mobilevision.config.keys import PARTS, check_claims
from mobilevision.config.layout import Claim, Layout
from mobilevision.config.parts import names, part_config, split
from mobilevision.errors import UserError

SPLITS = ("test", "val", "train")
_HARMLESS = (
    "data.batch_size",
    "data.eval_batch_size",
    "data.workers",
    "data.prefetch",
    "data.pin_memory",
    "data.on_error",
    "data.resolution",
)


def take_split(overrides: Sequence[str]) -> tuple[str | None, list[str]]:
    """``split=NAME`` out of the overrides.

    Raises:
        UserError: another name than test, val or train.
    """
    rest = [each for each in overrides if not each.startswith("split=")]
    named = [each.partition("=")[2] for each in overrides if each.startswith("split=")]
    if named and named[-1] not in SPLITS:
        raise UserError(f"split={named[-1]}: there is no such split; there are {', '.join(SPLITS)}")
    return (named[-1] if named else None), rest


def changed_config(cfg: DictConfig, overrides: Sequence[str], *, channels: int) -> tuple[DictConfig, bool]:
    """A run's config for an evaluation, and whether the data is other than the run's.

    The trainer is not the run's, which may have had eight GPUs, but ``trainer=auto`` or what the overrides say.

    Args:
        cfg: the run's config.
        overrides: on ``data``, ``data.*``, ``trainer`` and ``trainer.*``; of a run of several parts, also on
            ``parts.NAME.data`` and what is below it.
        channels: channels of the model's input, whatever the data says.

    Raises:
        UserError: with every override that is not possible.
    """
    shared, of_parts = split(overrides)
    errors: list[str] = [
        f"{PARTS}.{name}: there is no such part; the run has {', '.join(names(cfg)) or 'none'}"
        for name in of_parts
        if name not in names(cfg)
    ]
    errors += [
        f"{PARTS}.{name}.{line}: of a part, an evaluation takes data and data.*; the rest is the run's"
        for name, given in of_parts.items()
        for line in given.overrides
        if line.partition("=")[0].partition(".")[0] != "data"
    ]
    parsed = parse(shared, errors)
    keys = {str(each.input_line): each.key_or_group for each in parsed}
    errors += [
        f"{line}: an evaluation takes data, data.*, trainer, trainer.* and split; the rest is the run's"
        for line, key in keys.items()
        if key.partition(".")[0] not in ("data", "trainer")
    ]
    refuse(errors)
    on_data = [each for each in parsed if each.key_or_group.partition(".")[0] == "data"]
    other = any(each.key_or_group not in _HARMLESS for each in on_data)
    swapped = any(each.key_or_group == "data" for each in on_data)
    changed = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
    assert isinstance(changed, DictConfig)
    claims = [Claim(each.key_or_group, each.value(), str(each.input_line)) for each in on_data if not swapped]
    values: Any = OmegaConf.to_container(changed)
    refuse(list(check_claims(claims, Layout(values=values))))
    fresh = compose(
        [f"task={cfg.task.name}"] + [line for line, key in keys.items() if swapped or key.startswith("trainer")]
    )
    changed.trainer = OmegaConf.to_container(fresh.trainer, resolve=True)
    if swapped:
        changed.data = OmegaConf.to_container(fresh.data, resolve=True)
    for claim in claims:
        OmegaConf.update(changed, claim.key, claim.value)
    changed.data.channels = channels
    for name, given in of_parts.items():
        alone, _ = changed_config(part_config(changed, name), given.overrides, channels=channels)
        changed[PARTS][name].data = alone.data
        other = True
    return changed, other
