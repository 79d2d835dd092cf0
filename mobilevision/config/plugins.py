"""Plugins: found without importing them, imported one by one so that a broken one does not take the others along.

Two kinds exist. A pip package states an entry point in the group ``mobilevision.plugins`` that names its package; a
folder is named in the environment variable ``MOBILEVISION_PATH``. A ``conf/`` in either joins the config groups.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from mobilevision.config.former_names import import_by_former_names
from mobilevision.errors import UserError

GROUP = "mobilevision.plugins"
VARIABLE = "MOBILEVISION_PATH"


@dataclass(frozen=True)
class Plugin:
    """A plugin as found.

    Attributes:
        name: the entry point's name, or the folder's.
        origin: what brought it, in words.
        modules: what belongs to it, importable by these names.
        conf: its folder of configs, if it has one.
        error: why it cannot be used, if that is so.
    """

    name: str
    origin: str
    modules: tuple[str, ...] = ()
    conf: Path | None = None
    error: str | None = None


def discover() -> tuple[Plugin, ...]:
    """All plugins, in a fixed order, none of them imported."""
    packages = [_package(point) for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)]
    named = os.environ.get(VARIABLE, "").split(os.pathsep)
    return tuple(packages + [_folder(Path(path)) for path in dict.fromkeys(named) if path])


def load() -> tuple[Plugin, ...]:
    """Import every plugin; one that fails carries its error, the rest goes on."""
    import_by_former_names()
    return tuple(_import(plugin) for plugin in discover())


def used(cfg: DictConfig) -> dict[str, str]:
    """The plugins of which a config builds something, each with where it came from."""
    wanted = {str(target).partition(".")[0] for _, target in targets(cfg)}
    tops = {each: {module.partition(".")[0] for module in each.modules} for each in discover()}
    return {each.name: each.origin for each, names in tops.items() if wanted & names}


def require(plugins: Any, of: Path) -> None:
    """Refuse a run whose plugins are not there.

    Args:
        plugins: name -> where it came from, as of :func:`used`, as read from a file; anything else names none.
        of: the run folder.

    Raises:
        UserError: naming the first that is missing.
    """
    there = {each.name for each in discover()}
    for name, origin in plugins.items() if isinstance(plugins, dict) else ():
        if name not in there:
            folder = str(origin).removeprefix("folder ")
            fix = f"{VARIABLE}={folder}, or where it lies now" if folder != origin else "install it again"
            raise UserError(f"{of}: this run was made with the plugin {name} ({origin}), which is not there: {fix}")


def load_for(cfg: DictConfig) -> None:
    """Import every plugin before a run; say which ones are left out.

    Raises:
        UserError: if the run builds something of a plugin that does not import.
    """
    wanted = {str(target).partition(".")[0] for _, target in targets(cfg)}
    for plugin in load():
        if plugin.error is None:
            continue
        if wanted & {module.partition(".")[0] for module in plugin.modules}:
            raise UserError(f"plugin {plugin.name} ({plugin.origin}): {plugin.error}")
        print(f"plugin {plugin.name} ({plugin.origin}) is left out: {plugin.error}", file=sys.stderr, flush=True)


def targets(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every ``_target_`` with its dotted key."""
    if isinstance(node, DictConfig | ListConfig):
        node = OmegaConf.to_container(node, resolve=False)
    if isinstance(node, dict):
        for key, value in node.items():
            name = f"{prefix}.{key}" if prefix else str(key)
            if key == "_target_":
                yield name, value
            else:
                yield from targets(value, name)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from targets(value, f"{prefix}[{index}]")


def _package(point: EntryPoint) -> Plugin:
    origin = f"package {point.dist.name} {point.dist.version}" if point.dist else "package"
    folder = package_folder(point.module)
    if folder is None:
        return Plugin(point.name, origin, error=f"its entry point names {point.module}, which is not installed")
    conf = folder / "conf"
    return Plugin(point.name, origin, (point.module,), conf if conf.is_dir() else None)


def _folder(path: Path) -> Plugin:
    path = path.expanduser().resolve()
    origin = f"folder {path}"
    if not path.is_dir():
        return Plugin(path.name, origin, error=f"{VARIABLE} names {path}, which is not a folder")
    if str(path) not in sys.path:
        sys.path.append(str(path))
    found = [*path.glob("*.py"), *(init.parent for init in path.glob("*/__init__.py"))]
    names = {each.stem for each in found if each.stem.isidentifier() and not each.stem.startswith(("_", "test_"))}
    modules = tuple(sorted(names - {"setup", "conftest", "conf", "tests"}))
    hidden = [name for name in modules if not _comes_from(name, path)]
    conf = path / "conf"
    error = f"its {hidden[0]} is hidden by another module of that name: rename it" if hidden else None
    return Plugin(path.name, origin, modules, conf if conf.is_dir() else None, error)


def _comes_from(module: str, folder: Path) -> bool:
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve().is_relative_to(folder)


def package_folder(module: str) -> Path | None:
    """The folder of a package, found without importing it."""
    top, *below = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))).joinpath(*below)
    return folder if folder.is_dir() else None


def _import(plugin: Plugin) -> Plugin:
    if plugin.error:
        return plugin
    for module in plugin.modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever a stranger's module may raise
            return replace(plugin, error=f"{module} does not import: {type(error).__name__}: {error}")
    return plugin
