"""Names of what belongs to one of several parts: ``part/name``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def of_part(values: Mapping[str, T], part: str) -> dict[str, T]:
    """What belongs to one part, without its name."""
    start = f"{part}/"
    return {key.removeprefix(start): value for key, value in values.items() if key.startswith(start)}


def with_parts(by_part: Mapping[str, Mapping[str, T]]) -> dict[str, T]:
    """What belongs to each part, each under the part's name."""
    return {f"{part}/{key}": value for part, values in by_part.items() for key, value in values.items()}
