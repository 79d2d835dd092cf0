"""The right name beside a wrong one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LISTED = 40  # names that a message can list and still be read
_SEVERAL = 2  # places of one name that are worth proposing


def did_you_mean(wrong: str, right: Iterable[str]) -> str:
    """A message's ending: the nearest name, or else the names there are."""
    names = list(dict.fromkeys(right))
    near = get_close_matches(wrong, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    if not names:
        return ""
    return f"; there are: {', '.join(names[:_LISTED])}{' ...' if len(names) > _LISTED else ''}"


def nearest_key(wrong: str, keys: Iterable[str]) -> str:
    """As :func:`did_you_mean` for dotted keys: the same name elsewhere, a like name at the same place, a like key."""
    known = [key for key in keys if not wrong.startswith(f"{key}.")]
    parent, _, leaf = wrong.rpartition(".")
    beside = [key.rpartition(".")[2] for key in known if key.rpartition(".")[0] == parent]
    near = get_close_matches(leaf, beside, n=1, cutoff=0.7)
    if near:
        return f"; did you mean {parent + '.' if parent else ''}{near[0]}?"
    elsewhere = [key for key in known if key.rpartition(".")[2] == leaf]
    if 0 < len(elsewhere) <= _SEVERAL:
        return f"; did you mean {' or '.join(elsewhere)}?"
    if parent and parent not in known and parent not in _above(known):
        return nearest_key(parent, known)
    like = get_close_matches(wrong, known, n=1, cutoff=0.7)
    leaves = get_close_matches(leaf, {key.rpartition(".")[2] for key in known}, n=1, cutoff=0.8)
    like = like or [key for key in known if leaves and key.rpartition(".")[2] == leaves[0]]
    if like:
        return f"; did you mean {like[0]}?"
    beside = [name for name in beside if not name.startswith("_")]
    return f"; {parent or 'the top'} has: {', '.join(beside[:_LISTED])}" if beside else ""


def _above(keys: Iterable[str]) -> set[str]:
    return {key.rpartition(".")[0] for key in keys}
