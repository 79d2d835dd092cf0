"""Costs with units as people write them: ``2M`` parameters, ``15ms``, ``4MB``, ``256k`` of memory."""

from __future__ import annotations

import re

from mobilevision.errors import UserError

_COUNT = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
_TIME = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_SIZE = {"B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
_MEMORY = {**_SIZE, "k": 2.0**10, "K": 2.0**10, "M": 2.0**20, "": 1.0}
KINDS = {
    "params": (_COUNT, "a count such as 2M (k, M or G)"),
    "mult_adds": (_COUNT, "a count such as 300M (k, M or G)"),
    "latency": (_TIME, "a time such as 15ms (us, ms or s)"),
    "size": (_SIZE, "a size such as 4MB (kB, MB, KiB or MiB)"),
    "arena": (_MEMORY, "memory such as 256k (k and M are KiB and MiB)"),
    "flash": (_MEMORY, "memory such as 512k (k and M are KiB and MiB)"),
}
_NUMBER = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*([A-Za-z]*)\s*")


def quantity(name: str, text: str) -> float:
    """A bound's number, in its plain unit: 1, seconds or bytes.

    Raises:
        UserError: with the units there are.
    """
    units, example = KINDS[name]
    found = _NUMBER.fullmatch(text)
    if found is None or found[2] not in units:
        unit = f"; there is no unit {found[2]}" if found is not None and found[2] else ""
        raise UserError(f"--{option(name)} {text}: give {example}{unit}")
    value = float(found[1]) * units[found[2]]
    if value <= 0 or (KINDS[name][0] is _MEMORY and value < 1):
        raise UserError(f"--{option(name)} {text}: give more than nothing, {example}")
    return value


def option(name: str) -> str:
    """``max-mult-adds`` of ``mult_adds``."""
    return f"max-{name.replace('_', '-')}"


def written(name: str, value: float) -> str:
    """A cost as people write it: 1.33M, 14.2ms, 4.10MB."""
    if name == "latency":
        return f"{_short(1e3 * value)}ms"
    unit = "B" if name in ("size", "arena", "flash") else ""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{_short(value / factor)}{letter}{unit}"
    return f"{_short(value)}{unit}"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
