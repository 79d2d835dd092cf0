"""Reading overrides one by one, and the quoting that Hydra's grammar wants where a plain path breaks it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException


def parse(arguments: Iterable[str], errors: list[str]) -> list[Override]:
    """The overrides that can be read; the others go into ``errors`` with the way to write them."""
    parser = OverridesParser.create()
    overrides = []
    for argument in arguments:
        try:
            override = parser.parse_override(argument)
        except HydraException as error:
            errors.append(unreadable(argument, error))
            continue
        if argument.endswith("=") and argument.count("=") == 1:  # as an unset variable of a shell leaves it
            errors.append(f"{argument} has no value: give one, or {argument}null")
        elif override.is_sweep_override():
            errors.append(_sweep(argument))
        else:
            overrides.append(override)
    return overrides


def quoted(argument: str) -> str:
    """``key=value`` as a shell has to be given it so that the value is taken as it is."""
    key, _, value = argument.partition("=")
    if '"' not in value:
        text = f'"{value}"' if not value.endswith("\\") else f'"{value}\\"'
    elif "'" not in value:
        text = f"'{value}'"
    else:
        text = '"' + value.replace('"', '\\"') + '"'
    return f"{key}='{text}'" if "'" not in text else shlex.quote(f"{key}={text}")


def unreadable(argument: str, error: HydraException) -> str:
    """What to write instead of an override that Hydra's grammar refuses."""
    key, equals, value = argument.partition("=")
    if not equals:
        return f"{argument}: an override reads key=value or group=option"
    if key != key.strip() or value != value.lstrip():
        return f"{argument}: no blanks round the equals sign: {key.strip()}={value.strip()}"
    if not value.strip() or not key.strip("+~").replace(".", "").replace("_", "").replace("/", "").isalnum():
        reason = str(error).splitlines()[0]
        return f"{argument}: cannot be read: {reason}"
    if value[0] in "[{\"'":
        return f"{argument}: cannot be read as a list, mapping or quoted text; as plain text write {quoted(argument)}"
    return f"{argument}: such characters have a meaning of their own here; quote the value: {quoted(argument)}"


def _sweep(argument: str) -> str:
    key, _, value = argument.partition("=")
    return (
        f"{argument}: a comma lists the values of a sweep, which needs -m; "
        f"a list is {key}=[{value}], plain text {quoted(argument)}"
    )
