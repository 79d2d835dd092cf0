"""Files of torch.save, read without running anything in them, and only where every byte is as it was written."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from mobilevision.errors import UserError


def load_tensors(path: str | Path) -> Any:
    """What torch.save wrote, on the CPU: tensors and plain values, nothing else is built.

    Raises:
        UserError: the file is damaged.
        Exception: what torch says of a file that it cannot read, or that holds more than tensors and plain values.
    """
    check_tensor_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def check_tensor_file(path: str | Path) -> None:
    """Compare each part of a file of torch.save with the checksum (CRC-32) that torch wrote beside it.

    torch itself reads past them: a damaged block would be other weights. Files in the older format, one pickle, have no
    checksum and are let through.

    Raises:
        UserError: a part is damaged, or the file is an archive that unpacks to more than it is, which torch never
            writes.
    """
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            stored = all(part.compress_type == zipfile.ZIP_STORED for part in parts)
            if not stored or sum(part.file_size for part in parts) > Path(path).stat().st_size:
                raise UserError(f"{path}: not written by torch: it unpacks to more than it is")
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path}: damaged ({error}): copy it again, or take another checkpoint") from error
    if damaged is not None:
        raise UserError(f"{path}: damaged (in its part {damaged}): copy it again, or take another checkpoint")
