"""Every error of a configuration at once, found from yaml and source text alone."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.override_parser.types import Override

from mobilevision.errors import UserError
from mobilevision.runs.config.between import check_between
from mobilevision.runs.config.grammar import parse
from mobilevision.runs.config.groups import choose, groups, line_of
from mobilevision.runs.config.keys import check_claims, check_files, check_missing, free_node
from mobilevision.runs.config.kinds import check_kinds
from mobilevision.runs.config.layout import Claim, Layout
from mobilevision.runs.config.names import nearest_key
from mobilevision.runs.search_path import Source


def check(arguments: Sequence[str], found: Sequence[Source], *, complete: bool = True) -> list[str]:
    """Check overrides; Hydra must have been initialised with the folders in ``found``.

    Args:
        arguments: overrides as typed.
        found: the folders of configs.
        complete: whether values that are still missing (``???``) are errors, too.

    Returns:
        The overrides as Hydra takes them.

    Raises:
        UserError: one text with every error.
    """
    return examine(arguments, found, complete=complete)[0]


def examine(
    arguments: Sequence[str], found: Sequence[Source], *, complete: bool
) -> tuple[list[str], Layout, list[Claim]]:
    """As :func:`check`; also gives the keys there are, and what experiments and overrides set them to."""
    errors: list[str] = []
    overrides = parse(arguments, errors)
    known = set(groups(found))
    chosen = [each for each in overrides if is_choice(each, known)]
    rest = [each for each in overrides if each not in chosen and not each.is_hydra_override()]
    layout = choose(chosen, found, errors)
    if layout is None:
        refuse(errors)
        raise UserError("this configuration cannot be composed")
    claims = [*layout.claims, *(claim_of(each) for each in rest if not each.is_delete())]
    errors += check_values(claims, layout)
    errors += (problem for each in rest if each.is_delete() for problem in _deletion(each, layout))
    errors += check_files(layout)
    errors += check_kinds(layout, found)
    if complete:
        errors += check_missing(claims, layout)
    refuse(errors)
    needless = [each for each in chosen if each.value() is None]
    return [_for_hydra(each, layout) for each in overrides if each not in needless], layout, claims


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
    """Without a needless ``+``; with one where a free node gets a new key."""
    if override.is_delete() or override.is_hydra_override():
        return str(override.input_line)
    free = free_node(override.key_or_group, layout)
    return f"++{line_of(override)}" if free else line_of(override)
