"""Which option each group takes: options that do not exist, and groups that the task does not have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.default_element import ResultDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, MissingConfigException
from hydra.types import RunMode

from mobilevision.config.layout import File, Layout, file_of, lay_out
from mobilevision.config.names import did_you_mean
from mobilevision.config.search_path import Source, files
from mobilevision.plugins import discover

FIRST = ("task", "experiment")  # these decide which groups there are


BASE = "base"  # a file that a group's options build on, not an option


def options(group: str, found: Sequence[Source]) -> list[str]:
    """Every option of a group, plugins' too."""
    names = (name.rpartition("/") for source in found for name in files(source))
    return sorted(option for place, _, option in names if place == group and option != BASE)


def groups(found: Sequence[Source]) -> list[str]:
    """Every group that has options."""
    return sorted({name.rpartition("/")[0] for source in found for name in files(source)} - {""})


def choose(overrides: Sequence[Override], found: Sequence[Source], errors: list[str]) -> Layout | None:
    """The layout under these group overrides; wrong ones are named in ``errors`` and left out."""
    good = [each for each in overrides if _check(each, found, errors)]
    good.sort(key=lambda each: FIRST.index(each.key_or_group) if each.key_or_group in FIRST else len(FIRST))
    named = [each for each in good if each.value() is not None]
    try:
        layout: Layout | None = _compute(named, found)
    except (ConfigCompositionException, MissingConfigException):
        layout = _fitting(named, found, errors)
    for each in good:
        group = each.key_or_group
        if each.value() is None and layout is not None and layout.choices.get(group) is not None:
            there = ", ".join(options(group, found))
            errors.append(f"{line_of(each)}: a group cannot be taken away; choose one of: {there}")
    return layout


def line_of(override: Override) -> str:
    """An override as text without its ``+``."""
    return str(override.input_line).lstrip("+")


def unknown_options(override: Override, found: Sequence[Source]) -> list[Any]:
    """What an override chooses that its group does not have."""
    value, there = override.value(), options(override.key_or_group, found)
    chosen = value if isinstance(value, list) else [value]
    return [option for option in chosen if option is not None and str(option) not in there]


def _check(override: Override, found: Sequence[Source], errors: list[str]) -> bool:
    group, value = override.key_or_group, override.value()
    there, wrong = options(group, found), unknown_options(override, found)
    chosen = value if isinstance(value, list) else [value]
    for option in wrong:
        near = did_you_mean(str(option), there)
        if group == "data" and (Path(str(option)).exists() or {"/", "."} & set(str(option))):
            near = f"; your own images are data=auto data.root={option}"
        more = f"; or backbone=timm backbone.name={option}" if group == "backbone" and "there are" in near else ""
        errors.append(f"{group}={option}: there is no such {group}{near}{more}{_broken_plugins()}")
    before = len(errors)
    if group == "experiment" and not wrong:
        for option in chosen:
            if option is not None and (file := file_of(f"experiment/{option}", found)):
                check_defaults(file, found, errors)
    return not wrong and len(errors) == before


def _broken_plugins() -> str:
    """What keeps plugins from bringing their options."""
    broken = [f"{each.name}: {each.error}" for each in discover() if each.error and each.conf is None]
    return f" (a plugin is broken: {'; '.join(broken)})" if broken else ""


def check_defaults(file: File, found: Sequence[Source], errors: list[str]) -> None:
    """Name the groups and options in a file's defaults that do not exist."""
    for index, entry in enumerate(file.defaults):
        if not isinstance(entry, dict):
            continue
        where = file.at(f"defaults[{index}]")
        for key, option in entry.items():
            group = str(key).split()[-1].split("@")[0].lstrip("/")
            there = options(group, found)
            if group.startswith("hydra"):
                continue
            if not there:
                errors.append(f"{where}: {key}: there is no group {group}{did_you_mean(group, groups(found))}")
            elif option is not None and not isinstance(option, list) and str(option) not in there:
                errors.append(f"{where}: {group}={option}: there is no such {group}{did_you_mean(str(option), there)}")


def _compute(overrides: Sequence[Override], found: Sequence[Source]) -> Layout:
    loader = GlobalHydra.instance().config_loader()
    result = loader.compute_defaults_list("config", [line_of(each) for each in overrides], RunMode.RUN)
    choices: dict[str, Any] = {
        group: option for group, option in result.overrides.known_choices.items() if not group.startswith("hydra/")
    }
    defaults: list[ResultDefault] = result.defaults
    return lay_out(defaults, choices, found)


def _fitting(overrides: Sequence[Override], found: Sequence[Source], errors: list[str]) -> Layout | None:
    """Take the overrides one after another, leave out and name those that do not go with the ones before."""
    kept: list[Override] = []
    try:
        layout = _compute(kept, found)
    except (ConfigCompositionException, MissingConfigException) as error:
        errors.append(plain(error))
        return None
    for each in overrides:
        try:
            layout = _compute([*kept, each], found)
        except MissingConfigException as error:
            errors.append(f"{line_of(each)}: {plain(error)}")
        except ConfigCompositionException as error:
            errors.append(_misfit(each, layout, error))
        else:
            kept.append(each)
    return layout


def _misfit(override: Override, layout: Layout, error: ConfigCompositionException) -> str:
    if override.key_or_group in FIRST:
        return f"{line_of(override)}: {plain(error)}"
    task = layout.choices.get("task")
    return (
        f"{line_of(override)}: task={task} has no {override.key_or_group}; it has: {', '.join(sorted(layout.choices))}"
    )


def plain(error: Exception) -> str:
    """Hydra's message on one line, without its search path."""
    text = str(error).partition("Config search path")[0]
    cause = f" {error.__cause__}" if error.__cause__ and not text.strip() else ""
    return " ".join((text + cause).split())
