"""How many classes a head is made for, when only its cost is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mobilevision.errors import UserError
from mobilevision.runs.folder import RunFolder
from mobilevision.runs.info import read_info

if TYPE_CHECKING:
    from collections.abc import Sequence

WITHOUT_DATA = "--outputs N counts without data"


def classes_of(cfg: DictConfig, outputs: int | None) -> int:
    """Classes of what a config describes.

    Args:
        cfg: composed.
        outputs: class scores of the head, of a detector with background; None: of a detector ``head.outputs``, where
            that is set, else what the data set holds.

    Raises:
        UserError: the data set is not there, or the head has no class scores.
    """
    if cfg.task.kind == "identity":  # the length of its vector is a key, whoever the identities are
        if outputs is not None:
            raise UserError(f"--outputs {outputs}: head={_head(cfg)} gives a vector; head.dimensions sets its length")
        return 2
    known = cfg.head.get("outputs") if outputs is None else outputs
    if known is not None:
        least = 2 if cfg.task.kind == "boxes" else 1
        if known < least:
            raise UserError(f"--outputs {known}: at least {least}{', background included' if least == 2 else ''}")
        return int(known) - (least - 1)
    return _of_data(cfg)


def of_run(folder: RunFolder) -> dict[str, Any]:
    """What a run was trained for: ``classes`` and ``resolution``, from its info.json or its checkpoint.

    Raises:
        UserError: neither of them says it.
    """
    info = read_info(folder)
    if {"classes", "resolution"} <= set(info):
        return info
    from mobilevision.runs.callbacks import read_checkpoint

    file = next((path for path in (folder.best, folder.last) if path.is_file()), None)
    known = read_checkpoint(file).get("mobilevision") if file is not None else None
    if known is None:
        raise UserError(f"{folder.path}: neither info.json nor a checkpoint says what the run is for")
    data: dict[str, Any] = known["data"]
    return data


def _of_data(cfg: DictConfig) -> int:
    from mobilevision.runs.build import build_data

    missing = [key for key in OmegaConf.missing_keys(cfg) if key.startswith("data.")]
    if missing:
        raise UserError(f"{' and '.join(sorted(missing))}: not set; {WITHOUT_DATA}")
    try:
        names: Sequence[str] = build_data(cfg).setup_data().classes
    except UserError as error:
        raise UserError(f"{error}; {WITHOUT_DATA}") from error
    return len(names)


def _head(cfg: DictConfig) -> str:
    return str(cfg.head["_target_"]).rpartition(".")[2]
