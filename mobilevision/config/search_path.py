"""Where configs are looked for: our own folder, then each plugin's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from mobilevision.errors import UserError
from mobilevision.plugins import discover

PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Source:
    """A folder of configs and who brought it."""

    owner: str
    path: Path


def main_folder() -> Path:
    """Our own configs: inside the package once installed from a wheel, beside it in a checkout."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


def sources(config_dir: str | None = None) -> tuple[Source, ...]:
    """Every folder of configs, ours first.

    Args:
        config_dir: one more folder, as Hydra's ``--config-dir`` names it.

    Raises:
        UserError: if two folders bring the same option.
    """
    found = list(installed())
    if config_dir is not None:
        if not Path(config_dir).is_dir():
            raise UserError(f"--config-dir {config_dir}: there is no such folder")
        found.append(Source(f"--config-dir {config_dir}", Path(config_dir).resolve()))
    _refuse_clashes(found)
    return tuple(found)


def installed() -> tuple[Source, ...]:
    """Our own folder of configs and that of every plugin that is found, clashes and all."""
    plugins = (Source(plugin.name, plugin.conf) for plugin in discover() if plugin.conf)
    return Source("mobilevision", main_folder()), *plugins


def files(source: Source) -> Iterator[str]:
    """The names of a folder's configs, such as ``backbone/mobilenet_v1``."""
    for path in sorted(source.path.rglob("*.yaml")):
        yield path.relative_to(source.path).with_suffix("").as_posix()


def _refuse_clashes(found: Iterable[Source]) -> None:
    owners: dict[str, str] = {}
    for source in found:
        for name in files(source):
            if name in owners:
                group, _, option = name.rpartition("/")
                raise UserError(
                    f"{group}={option} is brought by {owners[name]} and by {source.owner}: "
                    "rename or uninstall one of them (`mobilevision plugins` lists them)"
                )
            owners[name] = source.owner


_active: tuple[Source, ...] = ()


@final
class MobilevisionSearchPath(SearchPathPlugin):
    """Adds the active plugins' folders behind ours."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra whenever it starts."""
        for source in _active[1:]:
            search_path.append(provider=source.owner, path=f"file://{source.path}")


@contextmanager
def searching(found: tuple[Source, ...]) -> Iterator[None]:
    """Hydra looks into these folders, too, as long as this lasts."""
    global _active
    before, _active = _active, found
    Plugins.instance().register(MobilevisionSearchPath)
    try:
        yield
    finally:
        _active = before
