"""Names that somebody else chose, as text that neither a terminal nor a spreadsheet takes for an instruction."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

# C0 and C1 controls, DEL, line and paragraph separators, marks that turn the direction of writing, lone surrogates.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_FORMULA = re.compile("'*[=+\\-@\t\n\uff1d\uff0b\uff0d\uff20]")
_QUOTED = re.compile("'+[=+\\-@\t\n\uff1d\uff0b\uff0d\uff20]")


def visible(text: object, *, keep: str = "") -> str:
    r"""A text with its control characters escaped as ``\x1b``; those in ``keep``, such as a line's end, stay."""
    return _UNSEEN.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), str(text))


def listed(names: Sequence[str], most: int) -> str:
    """The first ``most`` of some names, the rest counted."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def plain_name(name: str) -> str:
    """A class's name without case, ``_``, ``-`` and quotes, for comparing."""
    return " ".join(re.sub(r"[_\-]+", " ", name).casefold().replace("'", "").split())


def cell(value: Any) -> Any:
    r"""A value of a CSV that a spreadsheet may open: a text that it would compute begins with ``'``, as there.

    A carriage return, which Python's csv leaves unquoted though it ends a row, is written as ``\r``.
    """
    if not isinstance(value, str):
        return value
    text = value.replace("\r", r"\r")
    return f"'{text}" if _FORMULA.match(text) else text


def cells(row: Mapping[str, Any]) -> dict[str, Any]:
    """:func:`cell` of a row's names and values."""
    return {cell(name): cell(value) for name, value in row.items()}


def uncell(text: str) -> str:
    """Undo :func:`cell`."""
    return text[1:] if _QUOTED.match(text) else text


def uncells(row: Mapping[str, str | None]) -> dict[str, str]:
    """Undo :func:`cells`; what is missing is an empty text."""
    return {uncell(name or ""): uncell(value or "") for name, value in row.items()}


def is_name(text: str | None) -> bool:
    """Whether it is the name of a file in this very folder, and no way out of it."""
    return text not in (None, "", ".", "..") and not set("/\\\0") & set(text or "")


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
