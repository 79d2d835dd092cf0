"""Paths that are not there, and what was probably meant."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path


def near_path(path: str | os.PathLike[str]) -> Path | None:
    """The path with its first missing part replaced by the likest name in that folder; None where that is not there."""
    wanted = Path(path).expanduser()
    there = next((each for each in wanted.parents if each.is_dir()), None)
    if there is None or wanted.exists():
        return None
    missing, *rest = wanted.relative_to(there).parts
    try:
        names = os.listdir(there)
    except OSError:
        return None
    near = get_close_matches(missing, [name for name in names if not name.startswith(".")], n=1, cutoff=0.75)
    found = there.joinpath(near[0], *rest) if near else None
    return found if found is not None and found.exists() else None


def did_you_mean_path(path: str | os.PathLike[str]) -> str:
    """A message's ending: ``; did you mean PATH?``, or nothing."""
    near = near_path(path)
    return f"; did you mean {near}?" if near is not None else ""
