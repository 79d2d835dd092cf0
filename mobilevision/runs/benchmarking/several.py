"""Overrides that list values, such as ``backbone.width=0.5,1.0``, as all that they stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from mobilevision.errors import UserError
from mobilevision.runs.config.check import refuse
from mobilevision.runs.config.grammar import unreadable


def split(overrides: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Tell overrides of one value from those that list several.

    Args:
        overrides: as on the command line.

    Returns:
        Those of one value as they are, and for the others key -> its values as text.

    Raises:
        UserError: with every override that cannot be read, or has no end of values.
    """
    parser, errors = OverridesParser.create(), list[str]()
    plain: list[str] = []
    listed: dict[str, list[str]] = {}
    for line in overrides:
        try:
            override: Override = parser.parse_override(line)
        except HydraException as error:
            errors.append(unreadable(line, error))
            continue
        if not override.is_sweep_override():
            plain.append(line)
        elif override.is_discrete_sweep():
            listed[override.get_key_element().lstrip("+")] = [str(each) for each in override.sweep_string_iterator()]
        else:
            errors.append(f"{line}: name the values, such as {override.key_or_group}=0.25,0.5")
    refuse(errors)
    return plain, listed


def products(listed: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Every choice of one value a key, as overrides; one empty choice where nothing is listed."""
    yield from product(*([f"{key}={value}" for value in values] for key, values in listed.items()))


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """All the single configurations that some overrides stand for.

    Raises:
        UserError: as :func:`split`.
    """
    plain, listed = split(overrides)
    return [[*plain, *chosen] for chosen in products(listed)]


def refuse_halves(arguments: Sequence[str]) -> None:
    """Several arguments are several models; single overrides of different keys were meant as one.

    Raises:
        UserError: with the quotes that make one of them.
    """
    keys = [each.partition("=")[0].lstrip("+") for each in arguments]
    if len(arguments) > 1 and all("=" in each and " " not in each for each in arguments) and len(set(keys)) > 1:
        one = " ".join(arguments)
        raise UserError(f'each argument is a model of its own here: for one model write them together, "{one}"')
