"""Plugins: found without importing them, imported one by one so that a broken one does not take the others along.

Two kinds exist. A pip package states an entry point in the group ``mobilevision.plugins`` that names its package; a
folder is named in the environment variable ``MOBILEVISION_PATH``. A ``conf/`` in either joins the config groups.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import os
import sys
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from mobilevision.plugins.former_names import import_by_former_names

GROUP = "mobilevision.plugins"
VARIABLE = "MOBILEVISION_PATH"
API_VERSION = 1
"""Of :mod:`mobilevision.api`."""


@dataclass(frozen=True)
class Plugin:
    """A plugin as found.

    Attributes:
        name: the entry point's name, or the folder's.
        origin: what brought it, in words.
        modules: what belongs to it, importable by these names.
        conf: its folder of configs, if it has one.
        folder: where its files lie, if that is known.
        error: why it cannot be used, if that is so.
    """

    name: str
    origin: str
    modules: tuple[str, ...] = ()
    conf: Path | None = None
    folder: Path | None = None
    error: str | None = None

    def __str__(self) -> str:
        return f"plugin {self.name} ({self.origin})"


def discover() -> tuple[Plugin, ...]:
    """All plugins, in a fixed order, none of them imported."""
    packages = [_package(point) for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)]
    named = os.environ.get(VARIABLE, "").split(os.pathsep)
    return tuple(packages + [_folder(Path(path)) for path in dict.fromkeys(named) if path])


def plugin_of(file: str | Path) -> Plugin | None:
    """The plugin in whose folder a file lies."""
    place = Path(file).resolve()
    return next((each for each in discover() if each.folder and place.is_relative_to(each.folder.resolve())), None)


def class_and_plugin(part: type) -> str:
    """A class as messages call it, after its plugin where it is of one."""
    try:
        plugin = plugin_of(inspect.getfile(part))
    except (OSError, TypeError):
        plugin = None
    name = f"{part.__module__}.{part.__qualname__}"
    return f"{plugin}: {name}" if plugin else name


def load() -> tuple[Plugin, ...]:
    """Import every plugin; one that fails carries its error, the rest goes on."""
    import_by_former_names()
    return tuple(_import(plugin) for plugin in discover())


def _package(point: EntryPoint) -> Plugin:
    origin = f"package {point.dist.name} {point.dist.version}" if point.dist else "package"
    folder = package_folder(point.module)
    if folder is None:
        return Plugin(point.name, origin, error=f"its entry point names {point.module}, which is not installed")
    conf = folder / "conf"
    error = _other_version(folder / "__init__.py")
    return Plugin(point.name, origin, (point.module,), conf if conf.is_dir() else None, folder, error)


def _other_version(file: Path) -> str | None:
    """What is wrong where a package states for which ``mobilevision.api`` it is written: ``MOBILEVISION_API = 1``."""
    try:
        statements = ast.parse(file.read_text(encoding="utf-8")).body
    except (OSError, ValueError, SyntaxError):  # importing it will tell
        return None
    for statement in statements:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
            if "MOBILEVISION_API" in names and statement.value.value != API_VERSION:
                return (
                    f"it is written for version {statement.value.value!r} of mobilevision.api, and this is version"
                    f" {API_VERSION}: install versions of both that go together"
                )
    return None


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
    return Plugin(path.name, origin, modules, conf if conf.is_dir() else None, path, error)


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
        except (Exception, SystemExit) as error:  # whatever a stranger's module may raise
            return replace(plugin, error=f"{module} does not import: {type(error).__name__}: {error}")
    return plugin
