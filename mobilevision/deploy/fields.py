"""Reading plain values that somebody else wrote, with one line for whatever is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar, final

from mobilevision.errors import UserError

_T = TypeVar("_T")
_LARGEST = 2**1000
_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true/false",
}


@final
class Fields:
    """The fields of an object in a JSON file.

    Args:
        values: the object.
        where: what messages call it, such as ``cats/model.json: input``.
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.values, self.where = values, where

    def take(self, name: str, kind: type[_T], *, least: float | None = None) -> _T:
        """A field of this type.

        Raises:
            UserError: it is missing, of another type, or less than ``least``.
        """
        if name not in self.values:
            raise UserError(f"{self.where}: {name} is missing; export the model again")
        value: Any = self.values[name]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value) if abs(value) < _LARGEST else math.inf
        if isinstance(value, float) and not math.isfinite(value):
            raise self.wrong(name, "it has to be a finite number")
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.wrong(name, f"it has to be {_NAMES.get(kind, kind.__name__)}")
        if least is not None and value < least:  # type: ignore[operator]
            raise self.wrong(name, f"it has to be at least {least}")
        return value

    def inner(self, name: str) -> Fields:
        """The fields of an object in this one."""
        return Fields(self.take(name, dict), f"{self.where}: {name}")

    def each(self, name: str) -> list[Fields]:
        """The fields of every object in a list."""
        rows = self.take(name, list)
        if not all(isinstance(row, dict) for row in rows):
            raise self.wrong(name, "it has to be a list of objects")
        return [Fields(row, f"{self.where}: {name}[{place}]") for place, row in enumerate(rows)]

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        found = self.take(name, list)
        if not all(isinstance(each, str) for each in found):
            raise self.wrong(name, "it has to be a list of texts")
        return tuple(found)

    def wrong(self, name: str, why: str) -> UserError:
        """The error for a field whose value cannot be used."""
        return UserError(f"{self.where}: {name}={str(self.values.get(name))[:40]}: {why}")
