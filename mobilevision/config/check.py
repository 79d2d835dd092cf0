"""Every error of a configuration at once, found from yaml and source text alone."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from mobilevision.config.auto_settings import shown
from mobilevision.config.detector_settings import check_weights, implied_by_weights
from mobilevision.config.grammar import parse
from mobilevision.config.groups import FIRST, choose, groups, line_of, unknown_options
from mobilevision.config.keys import check_claims, check_files, check_missing, free_node, type_of
from mobilevision.config.kinds import check_kinds, check_loss, losses_of
from mobilevision.config.layout import Claim, Layout, leaves
from mobilevision.config.names import nearest_key
from mobilevision.config.search_path import Source
from mobilevision.config.settings import seconds_of
from mobilevision.errors import UserError
from mobilevision.io.near_paths import did_you_mean_path

# What must hold between the values of several keys, each of which is in its range.

_ORDERED = (  # the first is at most the second; why
    ("data.cells.coarsest", "data.cells.finest", "cells are cut from the coarsest level down to the finest"),
    ("data.cells.least", "data.cells.most", "a cell with fewer photos is dropped, one with more is cut"),
    ("trainer.check_val_every_n_epoch", "trainer.max_epochs", "val would never be looked at"),
    ("trainer.kwargs.min_epochs", "trainer.max_epochs", "the training ends at the latter"),
    ("trainer.kwargs.min_steps", "trainer.max_steps", "the training ends at the latter"),
)
RELATED = {key for low, high, _ in _ORDERED for key in (low, high)}
RELATED |= {
    "trainer.max_time",
    "data.folds",
    "data.folds_final",
    "trainer.sync_batchnorm",
    "trainer.accelerator",
    "distill.teacher",
    "distill.auto_width",
    "backbone.width",
}
"""The keys whose values are looked at together."""
_OURS = "mobilevision.data.formats."
"""Formats of ours read ``data.root`` as a path; what a plugin's makes of it, the plugin knows."""


def check_roots(cfg: DictConfig) -> None:
    """Find a mistyped ``data.root`` before anything heavy is loaded; whatever else is wrong with it, its format tells.

    Raises:
        UserError: nothing is there, but something of a like name.
    """
    for key in ("data", *(f"parts.{name}.data" for name in cfg.get("parts") or ())):
        root, target = OmegaConf.select(cfg, f"{key}.root"), str(OmegaConf.select(cfg, f"{key}.format._target_") or "")
        fetched = bool(OmegaConf.select(cfg, f"{key}.format.download"))
        if isinstance(root, str) and target.startswith(_OURS) and not fetched and (ending := did_you_mean_path(root)):
            raise UserError(f"{key}.root={root}: no such file or folder{ending}")


_DECIDED = ("task", "data", "head", "loss", "augment", "parts")
"""The groups whose options, and whose being there, depend on the task."""


def check_between(claims: Iterable[Claim], layout: Layout) -> Iterator[str]:
    """A line for every two values that do not go together, after what claims set."""
    values = dict(leaves(_with(claims, layout.values)))
    for low, high, why in _ORDERED:
        first, second = _number(values.get(low)), _number(values.get(high))
        if first is not None and second is not None and first > second >= 0:
            yield f"{low}={first} is above {high}={second}: {why}"
    if isinstance(written := values.get("trainer.max_time"), str):
        try:
            seconds_of(written)
        except UserError as error:
            yield str(error)
    if line := _endless(values):
        yield line
    if values.get("data.folds_final") is True and (_number(values.get("data.folds")) or 0) < 2:
        yield "data.folds_final=true: trains a model after a cross-validation, which data.folds=5, say, asks for"
    if values.get("trainer.sync_batchnorm") is True and values.get("trainer.accelerator") == "cpu":
        yield "trainer.sync_batchnorm=true: works on GPUs only, and trainer.accelerator=cpu"
    if values.get("distill.teacher") == "auto" and "backbone.width" in values:
        wide = values.get("distill.auto_width")
        if reason := type_of("backbone.width", layout).refusal(wide):
            yield f"distill.auto_width={wide}: the teacher has the student's backbone, whose width {reason}"


def _endless(values: Mapping[str, Any]) -> str | None:
    """A line where neither epochs nor steps bound a training: its learning rate would have no end to fall to."""
    epochs, steps = values.get("trainer.max_epochs", "auto"), _number(values.get("trainer.max_steps"))
    if epochs not in (-1, None) or (steps is not None and steps > 0):
        return None
    written = "null" if epochs is None else epochs
    if values.get("trainer.max_time") is not None:
        return f"trainer.max_epochs={written}: leave it out, and a length is chosen that fits into trainer.max_time"
    return f"trainer.max_epochs={written}: trains for ever; give a number of epochs, or trainer.max_steps above 0"


def _with(claims: Iterable[Claim], values: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = copy.deepcopy(dict(values))
    for claim in claims:
        *above, name = claim.key.split(".")
        node = merged
        for part in above:
            below = node.setdefault(part, {})
            node = below if isinstance(below, dict) else {}
        if isinstance(claim.value, dict) and isinstance(node.get(name), dict):
            node[name] = _with((Claim(str(key), value, claim.where) for key, value in claim.value.items()), node[name])
        else:
            node[name] = claim.value
    return merged


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def examine(
    arguments: Sequence[str], found: Sequence[Source], *, complete: bool
) -> tuple[list[str], Layout, list[Claim]]:
    """Check overrides; Hydra must have been initialised with the folders in ``found``.

    Args:
        arguments: overrides as typed.
        found: the folders of configs.
        complete: whether values that are still missing (``???``) are errors, too.

    Returns:
        The overrides as Hydra takes them, the keys there are, and what experiments and overrides set them to.

    Raises:
        UserError: one text with every error.
    """
    errors: list[str] = []
    overrides = parse(arguments, errors)
    known = set(groups(found))
    chosen = [each for each in overrides if is_choice(each, known)]
    rest = [each for each in overrides if each not in chosen and not each.is_hydra_override()]
    layout = choose(chosen, found, errors)
    if layout is not None and (loss := _loss_of_head(layout, chosen)):
        overrides += (added := parse([f"loss={loss}"], errors))
        layout = choose(chosen := [*chosen, *added], found, errors)
    if layout is None:
        refuse(errors)
        raise UserError("this configuration cannot be composed")
    claims = [*layout.claims, *(claim_of(each) for each in rest if not each.is_delete())]
    brought = [f"{key}={shown(value)}" for key, value in implied_by_weights(claims, layout.values).items()]
    overrides += (added := parse(brought, errors))
    claims += [claim_of(each) for each in added]
    open_groups = _undecided(chosen, found)
    known_claims = [claim for claim in claims if claim.key.partition(".")[0] not in open_groups]
    errors += check_values(known_claims, layout)
    errors += (problem for each in rest if each.is_delete() for problem in _deletion(each, layout))
    errors += check_files(layout)
    if not open_groups:
        errors += check_kinds(layout, found)
        errors += check_loss(layout, found)
        errors += check_weights(claims, layout.values)
    if complete and not open_groups:
        errors += check_missing(claims, layout)
    refuse(errors)
    needless = [each for each in chosen if each.value() is None]
    return [_for_hydra(each, layout) for each in overrides if each not in needless], layout, claims


def _undecided(chosen: Sequence[Override], found: Sequence[Source]) -> set[str]:
    """Groups of which nobody knows what they hold, since an option that there is not was chosen.

    What else would be said of them speaks of options that nobody chose. A task and an experiment decide many groups.
    """
    wrong = {each.key_or_group for each in chosen if unknown_options(each, found)}
    return wrong | set(_DECIDED if wrong & set(FIRST) else ())


def _loss_of_head(layout: Layout, chosen: Sequence[Override]) -> str | None:
    """The loss that a head brings along which does not learn by the task's own; None where somebody named one."""
    losses = losses_of(layout)
    named = any(each.key_or_group == "loss" for each in chosen)
    return losses[0] if losses and not named and layout.choices.get("loss") not in losses else None


def check_values(claims: Sequence[Claim], layout: Layout) -> list[str]:
    """A line for every claim that does not fit, else for every two values that do not go together."""
    return list(check_claims(claims, layout)) or list(check_between(claims, layout))


def claim_of(override: Override) -> Claim:
    """What an override sets."""
    return Claim(override.key_or_group, override.value(), str(override.input_line))


def refuse(errors: Sequence[str]) -> None:
    """Raise what there is to raise.

    Raises:
        UserError: with one line for one error, else a line each.
    """
    lines = list(dict.fromkeys(errors))
    if len(lines) == 1:
        raise UserError(lines[0])
    if lines:
        raise UserError(f"{len(lines)} errors in the configuration:\n" + "\n".join(f"  {line}" for line in lines))


def is_choice(override: Override, known: set[str]) -> bool:
    """Whether an override chooses an option of a group."""
    if override.is_delete() or override.is_hydra_override():
        return False
    return override.key_or_group in known and not isinstance(override.value(), dict)


def _deletion(override: Override, layout: Layout) -> list[str]:
    key = override.key_or_group
    if key in layout.choices:
        return [f"{override.input_line}: a group cannot be taken away; choose another option of {key}"]
    if key not in set(layout.dotted()):
        return [f"{override.input_line}: there is no key {key}{nearest_key(key, layout.dotted())}"]
    return []


def _for_hydra(override: Override, layout: Layout) -> str:
    """Without a needless ``+``; with one where a free node gets a new key, or keys may be among what is given."""
    if override.is_delete() or override.is_hydra_override():
        return str(override.input_line)
    new = free_node(override.key_or_group, layout) or isinstance(override.value(), dict)
    return f"++{line_of(override)}" if new else line_of(override)
