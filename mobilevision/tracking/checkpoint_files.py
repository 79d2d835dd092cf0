"""Checkpoint files: written whole or not at all, and read without running anything in them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, final

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from mobilevision.errors import UserError
from mobilevision.io.atomic_files import PART
from mobilevision.io.error_lines import system_error
from mobilevision.io.tensor_files import read_checkpoint
from mobilevision.tracking.run_folder import RunFolder


@final
class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place, flushes it to the disk and renames it: all of it or nothing.

    The last.ckpt before stays as previous.ckpt, for the day when a disk ruins the newer one; at no moment is there
    none of the two.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """As Lightning's, on a local disk.

        Raises:
            UserError: it cannot be written whole.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + PART)
        try:
            with part.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except BaseException as error:
            part.unlink(missing_ok=True)
            short = isinstance(error, RuntimeError) and "inline_container" in str(error)  # torch's word for it
            if short and system_error(error) is None:  # a full disk says so itself
                why = "is there room, and do files have no limit of size (ulimit -f)?"
                raise UserError(f"{target}: the checkpoint could not be written whole: {why}") from error
            raise
        if target.name == "last.ckpt" and target.exists():
            _keep(target)
        os.replace(part, target)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """As Lightning's, where every byte is as it was written."""
        return read_checkpoint(path)


def _keep(path: Path) -> None:
    spare = path.with_name(f"previous.ckpt{PART}")
    spare.unlink(missing_ok=True)
    try:
        os.link(path, spare)
    except OSError:  # a file system without hard links
        os.replace(path, spare)
    os.replace(spare, path.with_name("previous.ckpt"))
    spare.unlink(missing_ok=True)  # renaming a link to what is there already does nothing


def newest_readable(folder: RunFolder) -> tuple[Path, dict[str, Any]]:
    """The checkpoint to resume from: last.ckpt, or the one before where that is missing or ruined; and what it holds.

    Raises:
        UserError: if none can be read.
    """
    for path in (folder.last, folder.previous):
        if path.is_file():
            try:
                return path, read_checkpoint(path)
            except UserError:
                continue
    raise UserError(
        f"{folder.path}: no checkpoint to go on from can be read: move {folder.checkpoints} away, and"
        f" resume={folder.path} starts anew"
    )
