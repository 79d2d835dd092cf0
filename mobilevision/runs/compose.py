"""From a command line's overrides to the one configuration of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mobilevision.errors import UserError
from mobilevision.runs.config.check import examine, refuse
from mobilevision.runs.config.groups import plain
from mobilevision.runs.config.keys import check_claims
from mobilevision.runs.config.layout import Claim, Layout, leaves
from mobilevision.runs.plugins import refuse_foreign_tasks
from mobilevision.runs.search_path import Source, searching, sources


def compose(overrides: Iterable[str] = (), *, config_dir: str | None = None, complete: bool = True) -> DictConfig:
    """Check and compose a configuration; imports nothing heavy.

    Args:
        overrides: as on the command line, ``["task=classification", "trainer.max_epochs=3"]``.
        config_dir: one more folder of configs to look into.
        complete: whether values that are still missing (``???``) are errors, too.

    Returns:
        The whole configuration, closed against unknown keys.

    Raises:
        UserError: one text with every error that there is.
    """
    with opened(config_dir) as found:
        clean, layout, _ = examine(list(overrides), found, complete=complete)
        cfg = hydra_compose("config", clean)
    _resolve(cfg, layout)
    return cfg


def _resolve(cfg: DictConfig, layout: Layout) -> None:
    """Try every reference such as ``${seed}`` now, when it can still be said which key it stands at."""
    try:
        values: Any = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key}: {str(error).splitlines()[0]}") from error
    written: Any = OmegaConf.to_container(cfg, resolve=False)
    claims = [
        Claim(key, value, f"{key}={value}")
        for (key, value), text in zip(leaves(values), dict(leaves(written)).values(), strict=True)
        if isinstance(text, str) and "${" in text
    ]
    refuse(list(check_claims(claims, layout)))


@contextmanager
def opened(config_dir: str | None = None) -> Iterator[Sequence[Source]]:
    """Hydra over all folders of configs, its errors as ours."""
    refuse_foreign_tasks()
    found = sources(config_dir)
    try:
        with searching(found), initialize_config_dir(str(found[0].path), version_base="1.3"):
            yield found
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(plain(error)) from error
