"""``mobilevision plugins``: what plugins add, and whether it conforms."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from mobilevision.config.compose import compose, opened
from mobilevision.config.groups import options
from mobilevision.config.names import did_you_mean
from mobilevision.config.search_path import Source, files
from mobilevision.errors import UserError
from mobilevision.io.atomic_files import write_json
from mobilevision.io.regular_files import read_text
from mobilevision.io.user_cache import user_cache
from mobilevision.plugins import GROUP, VARIABLE, Plugin, load
from mobilevision.version import __version__

COMPOSED_ONLY = ("trainer", "callbacks", "logger", "experiment")  # these need no model of their own to be tried


def show() -> None:
    """Print a table of all plugins.

    Raises:
        UserError: if two of them bring the same option.
    """
    found = load()
    if not found:
        print(f"no plugins: none is installed (entry point group {GROUP}), and {VARIABLE} names no folder")
        return
    table = Table("name", "source", "adds", "checked")
    for plugin in found:
        adds = ", ".join(added(plugin)) or "code only"
        told = f"[red]broken: {plugin.error}[/red]" if plugin.error else adds
        table.add_row(plugin.name, plugin.origin, told, _checked(plugin))
    Console().print(table)
    with opened():
        pass  # a clash of two options is an error


def added(plugin: Plugin) -> list[str]:
    """The options that a plugin brings, as ``group=option``."""
    if plugin.conf is None:
        return []
    names = (name.rpartition("/") for name in files(Source(plugin.name, plugin.conf)))
    return [f"{group}={option}" for group, _, option in names if group and option != "base"]


def check(name: str, overrides: Sequence[str]) -> None:
    """Run the conformance test on each option of a plugin.

    Raises:
        UserError: if there is no such plugin, it is broken, or something of it fails.
    """
    found = {plugin.name: plugin for plugin in load()}
    if name not in found:
        raise UserError(f"there is no plugin {name}{did_you_mean(name, found)}")
    plugin = found[name]
    if plugin.error:
        raise UserError(f"{plugin}: {plugin.error}")
    tried: list[DictConfig] = []
    parts = sorted(added(plugin), key=lambda option: not option.startswith("task="))
    failed = [option for option in parts if not _passes(option, plugin, overrides, tried)]
    _note_check(plugin, passed=not failed)
    if failed:
        raise UserError(f"plugin {name}: {len(failed)} of its parts failed: {', '.join(failed)}")
    print(f"plugin {name}: everything passed")


def _passes(option: str, plugin: Plugin, overrides: Sequence[str], tried: list[DictConfig]) -> bool:
    """Try one option, unless a config that was tried has it already; print how each part went."""
    group = option.partition("=")[0]
    try:
        chosen = _with_overrides(_around(option, plugin), group, overrides)
        cfg = compose(chosen)
    except UserError as error:
        return _told(option, plugin, [str(error)])
    if group in COMPOSED_ONLY or cfg in tried:
        print(f"{option}: composes" if cfg not in tried else f"{option}: tried above", flush=True)
        return True
    from mobilevision.testing.conformance import conform

    tried.append(cfg)
    outcomes = conform(chosen)
    errors = [outcome.error for outcome in outcomes if outcome.error]
    if _wants_data(errors):
        return _told(option, plugin, errors)
    print(" ".join(chosen), flush=True)
    for outcome in outcomes:
        print(f"  {outcome.name}: {outcome.error or 'passed'}", flush=True)
    return not errors


def _with_overrides(around: list[str], group: str, overrides: Sequence[str]) -> list[str]:
    """An option's overrides and those that are typed; of the latter, keys of another data format are not for it."""
    chosen = [*around, *overrides]
    try:
        compose(chosen, complete=False)
    except UserError:
        if group == "data":
            return [*around, *(each for each in overrides if not each.startswith("data.format."))]
    return chosen


def _wants_data(errors: Sequence[str]) -> bool:
    """Whether nothing is wrong but that nobody said where the data lies."""
    return any("data.root is not set" in error or "data.root has no value" in error for error in errors)


def _told(option: str, plugin: Plugin, errors: Sequence[str]) -> bool:
    """Print why an option was not tried; data of somebody's own is tried where it is given, which is no failure."""
    is_data = option.startswith("data=")
    if not _wants_data(errors):
        print(f"{option}: {errors[0]}", flush=True)
    elif is_data:
        print(f"{option}: composes; it is tried where data.root is given", flush=True)
    else:
        print(f"{option}: its data is to be given: mobilevision plugins check {plugin.name} data.root=...", flush=True)
    return is_data and _wants_data(errors)


def _checks_file() -> Path:
    return user_cache() / "plugin_checks.json"


def _state(plugin: Plugin) -> dict[str, str]:
    """What a check was made of; another version of either says nothing of this one."""
    return {"plugin": plugin.origin, "mobilevision": __version__}


def _checked(plugin: Plugin) -> str:
    """When the last check of this plugin was made, and how it went."""
    try:
        noted = json.loads(read_text(_checks_file()))[plugin.name]
        state, passed, day = noted["of"], bool(noted["passed"]), str(noted["day"])[:10]
    except (OSError, ValueError, KeyError, TypeError):
        return "not yet"
    if state != _state(plugin):
        return "in another version"
    return f"{'passed' if passed else 'failed'} on {day}"


def _note_check(plugin: Plugin, *, passed: bool) -> None:
    """Keep how a check went, for the list; where that cannot be written, the list says nothing of it."""
    file = _checks_file()
    try:
        noted = json.loads(read_text(file)) if file.is_file() else {}
        noted[plugin.name] = {"of": _state(plugin), "passed": passed, "day": date.today().isoformat()}
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, noted)
    except (OSError, ValueError, TypeError, UserError):
        return


def _around(option: str, plugin: Plugin) -> list[str]:
    """Overrides under which an option is part of the configuration: with a task that takes it, its own first."""
    group = option.partition("=")[0]
    if group in {"task", *COMPOSED_ONLY}:
        return [option]
    with opened() as found:
        own = [each.removeprefix("task=") for each in added(plugin) if each.startswith("task=")]
        tasks = [*own, *(task for task in options("task", found) if task not in own)]
    reasons = []
    for task in tasks:
        try:
            compose([f"task={task}", option], complete=False)
        except UserError as error:
            reasons.append(str(error))
        else:
            return [f"task={task}", option]
    raise UserError(f"no task takes it: {reasons[0] if reasons else 'there is none'}")
