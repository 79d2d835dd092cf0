"""From a command line's overrides to the one configuration of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mobilevision.config import parts
from mobilevision.config.check import examine, refuse
from mobilevision.config.groups import FIRST, plain
from mobilevision.config.keys import PARTS, check_claims
from mobilevision.config.kinds import kinds_of
from mobilevision.config.layout import Claim, Layout, leaves
from mobilevision.config.search_path import Source, searching, sources
from mobilevision.errors import UserError
from mobilevision.plugins.former_names import with_current_targets


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
    errors: list[str] = []
    with opened(config_dir) as found:
        try:
            clean, layout, claims = examine(shared, found, complete=complete)
        except UserError as error:
            # Of several tasks, the errors of the parts are told along; which there are, a few choices tell.
            errors = parts.errors_of(error)
            clean, layout, claims = _examine_choices(shared, found, error)
        cfg = _with_current_targets(hydra_compose("config", clean))

        def kinds(group: str, option: str) -> list[Any] | None:
            return kinds_of(group, option, found)

        if not errors:
            _resolve(cfg, layout)
    if cfg.extend is not None:
        raise UserError(f"extend={cfg.extend}: only a training adds parts to a run")
    if PARTS not in layout.choices:
        if given:
            errors.append(
                f"{PARTS}.{next(iter(given))}: only task=multitask has parts; task={layout.choices.get('task')} has"
                f" {', '.join(sorted(layout.choices))}"
            )
        errors += [
            f"{key}: only task=multitask has parts: leave it out"
            for key in ("freeze.parts", "optimizer.part_lr_scale")
            if OmegaConf.select(cfg, key)
        ]
        refuse(errors)
        return cfg
    named = any(line.partition("=")[0].lstrip("+") == PARTS for line in shared)
    by_file = {claim.key.split(".")[1]: claim.at for claim in claims if claim.key.startswith(f"{PARTS}.")}
    example = layout.choices[PARTS] == parts.EMBEDDED and not named
    of_option = {
        key.split(".")[1]: file.at(at) for key, (file, at) in layout.places.items() if key.startswith(f"{PARTS}.")
    }
    composed = parts.compose_parts(
        cfg,
        given,
        embedded=set(cfg[PARTS]) - set(by_file) if example else set(),
        replaced=bool(by_file),
        places=of_option | by_file,
        compose=lambda lines: compose(lines, config_dir=config_dir, complete=complete),
    )
    if errors:
        errors = parts.meant_for_parts(errors, shared, composed, kinds)
    else:
        errors = list(parts.check_shared(cfg, composed.names))
    refuse([*errors, *composed.errors])
    return parts.joined(cfg, composed)


def _examine_choices(
    shared: Sequence[str], found: Sequence[Source], error: UserError
) -> tuple[list[str], Layout, list[Claim]]:
    """What :func:`examine` makes of the overrides that say which parts there are.

    Raises:
        UserError: the error that was found already, where these are wrong, too.
    """
    chosen = [line for line in shared if line.lstrip("+").partition("=")[0] in (*FIRST, PARTS)]
    try:
        return examine(chosen, found, complete=False)
    except UserError:
        raise error from None


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
    hydra = GlobalHydra.instance()
    around, hydra.hydra = hydra.hydra, None  # a run of a sweep composes inside Hydra's own, which there is one of
    try:
        with searching(found), initialize_config_dir(str(found[0].path), version_base="1.3"):
            yield found
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(plain(error)) from error
    finally:
        hydra.hydra = around
