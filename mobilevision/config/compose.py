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

from mobilevision.config import parts
from mobilevision.config.check import examine, refuse
from mobilevision.config.former_names import with_current_targets
from mobilevision.config.groups import plain
from mobilevision.config.keys import PARTS, check_claims
from mobilevision.config.layout import Claim, Layout, leaves
from mobilevision.config.search_path import Source, searching, sources
from mobilevision.errors import UserError


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
    shared, given = parts.split(list(overrides))
    with opened(config_dir) as found:
        clean, layout, claims = examine(shared, found, complete=complete)
        cfg = _with_current_targets(hydra_compose("config", clean))
    _resolve(cfg, layout)
    if PARTS not in layout.choices:
        if given:
            raise UserError(
                f"{PARTS}.{next(iter(given))}: only task=multitask has parts; task={layout.choices.get('task')} has"
                f" {', '.join(sorted(layout.choices))}"
            )
        return cfg
    named = any(line.partition("=")[0].lstrip("+") == PARTS for line in shared)
    by_file = {claim.key.split(".")[1] for claim in claims if claim.key.startswith(f"{PARTS}.")}
    example = layout.choices[PARTS] == parts.EMBEDDED and not named
    return parts.with_parts(
        cfg,
        given,
        embedded=set(cfg[PARTS]) - by_file if example else set(),
        replaced=bool(by_file),
        compose=lambda lines: compose(lines, config_dir=config_dir, complete=complete),
    )


def _with_current_targets(cfg: DictConfig) -> DictConfig:
    """The same, or a copy in which what a plugin's configs name as earlier versions did has its current name."""
    written: Any = OmegaConf.to_container(cfg, resolve=False)
    if (current := with_current_targets(written)) == written:
        return cfg
    renamed: DictConfig = OmegaConf.create(current)
    OmegaConf.set_struct(renamed, True)
    return renamed


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
    found = sources(config_dir)
    try:
        with searching(found), initialize_config_dir(str(found[0].path), version_base="1.3"):
            yield found
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(plain(error)) from error
