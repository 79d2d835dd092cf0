"""Yes and no as people's tools write them."""

from __future__ import annotations

from typing import Any

YES = ("1", "1.0", "true", "yes", "y", "t")
NO = ("0", "0.0", "false", "no", "n", "f", "", "none", "null", "nan")


def flag(value: Any) -> bool | None:
    """Whether ``iscrowd``, ``difficult`` or the like says yes: 1, "0", "false", [0], null; None: neither yes nor no."""
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if value is None or value is True or value is False:
        return bool(value)
    text = str(value).strip().lower()
    return True if text in YES else False if text in NO else None
