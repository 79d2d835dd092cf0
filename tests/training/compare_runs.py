"""What differs between two run folders that should be the same to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

_PLACE = ("loops", "pytorch-lightning_version")


def differences(one: Path, other: Path) -> list[str]:
    """The files, and the keys of checkpoints, in which two runs differ; none where they are the same.

    Args:
        one: a run folder.
        other: another.
    """
    found = []
    for name in ("metrics.csv", "metrics.json", "tables.json"):
        first, second = one / name, other / name
        if first.exists() != second.exists() or (first.exists() and first.read_bytes() != second.read_bytes()):
            found.append(name)
    for name in ("best.ckpt", "last.ckpt"):
        first, second = one / "checkpoints" / name, other / "checkpoints" / name
        if first.exists() and second.exists():
            found += [f"{name}: {key}" for key in _unequal(_read(first), _read(second))]
        elif first.exists() or second.exists():
            found.append(name)
    return found


def _read(path: Path) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return {key: value for key, value in checkpoint.items() if key not in _PLACE}


def _unequal(one: Any, other: Any, key: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in one.keys() | other.keys():
            yield from _unequal(one.get(name), other.get(name), f"{key}.{name}" if key else str(name))
    elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        for place, pair in enumerate(zip(one, other, strict=True)):
            yield from _unequal(*pair, f"{key}.{place}")
    elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if not torch.equal(one, other):
            yield key
    elif one != other and not (one != one and other != other):
        yield key
