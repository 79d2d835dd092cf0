"""How many classes a head is made for, when only its cost is asked for."""

from __future__ import annotations

from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from mobilevision.engine.info import read_info
from mobilevision.errors import UserError
from mobilevision.spec import DataSpec
from mobilevision.tracking.run_folder import RunFolder

WITHOUT_DATA = "--outputs N counts without data"


class Known(NamedTuple):
    """What of the data a head is made for.

    Attributes:
        classes: how many; of a detector without background.
        cells: of Earth, as a :class:`mobilevision.spec.DataSpec` carries them, where the classes are such.
    """

    classes: int
    cells: dict[str, Any] | None = None


def known_of(cfg: DictConfig, outputs: int | None) -> Known:
    """What a config's head is made for.

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
        return Known(2)
    known = cfg.head.get("outputs") if outputs is None else outputs
    if known is not None:
        least = 2 if cfg.task.kind == "boxes" else 1
        if known < least:
            raise UserError(f"--outputs {known}: at least {least}{', background included' if least == 2 else ''}")
        return Known(int(known) - (least - 1))
    return _of_data(cfg)


def of_run(folder: RunFolder, kind: str) -> tuple[Known, tuple[int, int]]:
    """What a run was trained for, and (height, width) of its input: from its info.json, else from its checkpoint.

    Raises:
        UserError: neither of them says it.
    """
    info = read_info(folder)
    if kind == "coordinate" or not {"classes", "resolution"} <= set(info):  # only checkpoints know the cells
        info = _of_checkpoint(folder)
    try:
        height, width = (int(side) for side in info["resolution"])
        return Known(len(info["classes"]), info.get("cells")), (height, width)
    except (TypeError, ValueError) as error:
        raise UserError(f"{folder.info_json}: not what a run of ours says of itself ({error})") from error


def _of_checkpoint(folder: RunFolder) -> dict[str, Any]:
    from mobilevision.io.tensor_files import read_checkpoint

    file = next((path for path in (folder.best, folder.last) if path.is_file()), None)
    known = read_checkpoint(file).get("mobilevision") if file is not None else None
    if known is None:
        raise UserError(f"{folder.path}: no info.json and no checkpoint that say what the run is for")
    try:
        return DataSpec.from_dict(known["data"]).to_dict()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{file}: not a checkpoint of mobilevision ({error})") from error


def _of_data(cfg: DictConfig) -> Known:
    from mobilevision.engine.build import build_data

    missing = [key for key in OmegaConf.missing_keys(cfg) if key.startswith("data.")]
    if missing:
        raise UserError(f"{' and '.join(sorted(missing))}: not set; {WITHOUT_DATA}")
    try:
        spec = build_data(cfg).setup_data()
    except UserError as error:
        raise UserError(f"{error}; {WITHOUT_DATA}") from error
    return Known(len(spec.classes), spec.cells)


def _head(cfg: DictConfig) -> str:
    return str(cfg.head["_target_"]).rpartition(".")[2]
