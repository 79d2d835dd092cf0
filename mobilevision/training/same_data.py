"""Where the data of a run lies, for whoever goes on with it from another folder; and whether it is still the same."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from mobilevision.config.parts import keys_of_parts
from mobilevision.engine.info import read_info
from mobilevision.errors import UserError

if TYPE_CHECKING:
    from mobilevision.data import DataModule
    from mobilevision.tracking.run_folder import RunFolder

PLACES = (
    "data.root",
    "data.unlabelled",
    "data.groups",
    "data.cells.file",
    "data.format.images",
    "backbone.weights",
    "head.weights",
    "distill.teacher",
    "distill.cache_folder",
    "pretrain.root",
    "extend",
)
"""Keys that name a file or a folder, relative to where the command was typed; some name other things as well."""


_NAMES = ("timm", "keras", "torchvision")  # of weights, whatever files of these names lie here


def with_absolute_paths(cfg: DictConfig) -> DictConfig:
    """A copy that states every path that exists in full, so that it means the same from any folder."""
    cfg = cfg.copy()
    for key in keys_of_parts(cfg, PLACES):
        value = OmegaConf.select(cfg, key, default=None)
        if isinstance(value, str) and value not in _NAMES:
            path = Path(value).expanduser()
            if not path.is_absolute() and path.exists():
                OmegaConf.update(cfg, key, str(path.absolute()))
    return cfg


def fingerprint(data: DataModule, split: str | None = None) -> str:
    """A short text that differs where samples, their order, their targets or their splits do; not with the place.

    Args:
        data: read and split.
        split: of this one alone; what a run was measured on, whatever it was trained on.
    """
    if data.parts:
        return fingerprint_of_parts(data, data.parts, split)
    splits = [(name, records) for name, records in data.splits.items() if split in (None, name)]
    return hashlib.sha256(b"\n".join(_index(splits, data.root))).hexdigest()[:16]


def fingerprint_of_parts(data: DataModule, names: Iterable[str], split: str | None = None) -> str:
    """That of some parts together, as of a run that has these alone."""
    each = {name: fingerprint(data.parts[name], split) for name in names}
    return hashlib.sha256(repr(sorted(each.items())).encode()).hexdigest()[:16]


def require_same(cfg: DictConfig, data: DataModule, folder: RunFolder) -> None:
    """A run goes on with the data that it was begun with, wherever that lies now.

    Raises:
        UserError: it is another data set.
    """
    info = read_info(folder)
    before = info.get("data_fingerprint")
    if before is None or before == fingerprint(data):
        return
    now = {name: len(records) for name, records in data.splits.items()}
    counts = "" if info.get("samples") == now else f" ({_counted(info.get('samples') or {})} then, {_counted(now)} now)"
    where = "data of the parts" if data.parts else f"data.root={cfg.data.root}"
    key = "parts.NAME.data.root= of every part whose data moved" if data.parts else "data.root="
    raise UserError(
        f"{where}: not the data that this run was begun with{counts}: its images, their labels or"
        f" their splits differ; say where that data lies now with {key}, or start a new run on this one"
    )


@contextmanager
def moved_data_told(cfg: DictConfig, folder: RunFolder) -> Iterator[None]:
    """While the data of a run that goes on, or that is extended, is read: where it is gone, that comes first.

    Raises:
        UserError: it is gone.
    """
    try:
        yield
    except UserError as error:
        extended = cfg.get("extend") if cfg.resume is None else None
        keys = keys_of_parts(cfg, ["data.root"]) if cfg.resume is not None or extended is not None else ()
        if extended is not None:  # the new parts' is where it was said to be
            keys = [f"parts.{name}.data.root" for names in cfg.data.format.kept for name in names]
        roots = {key: root for key in keys if (root := OmegaConf.select(cfg, key)) is not None}
        gone = {key: root for key, root in roots.items() if not Path(root).expanduser().exists()}
        if not gone:
            raise
        lay = " and ".join(f"{key}={root}" for key, root in gone.items())
        now = " ".join(f"{key}=WHERE_IT_LIES_NOW" for key in gone)
        if extended is not None:
            raise UserError(f"the data of extend={extended} lay at {lay} and is not there: add {now}") from error
        raise UserError(
            f"the data of this run lay at {lay} and is not there: resume={shlex.quote(str(folder.path))} {now} goes on"
        ) from error


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _index(splits: Iterable[tuple[str, Any]], root: Path | None) -> Iterator[bytes]:
    base = "" if root is None else os.path.join(root if root.is_dir() else root.parent, "")
    for split, records in splits:
        yield split.encode()
        for index in range(len(records)):
            yield records.name(index).removeprefix(base).encode("utf-8", "surrogateescape")
        yield from _values(records.targets)


def _values(targets: Any) -> Iterator[bytes]:
    """The bytes of all arrays that targets are made of."""
    if isinstance(targets, np.ndarray):
        yield targets.tobytes()
    elif isinstance(targets, tuple):
        for each in targets:
            yield from _values(each)
    elif hasattr(targets, "__dict__"):
        for name in sorted(vars(targets)):
            yield from _values(vars(targets)[name])
