"""Where an exported model goes: nothing else is overwritten, and what breaks off leaves nothing that looks finished."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mobilevision.deploy.answers import find_answer
from mobilevision.deploy.manifest import CARD, NAME, Manifest, is_artifact
from mobilevision.errors import UserError
from mobilevision.ops.regular_files import check_own_part


def target_of(out: str | Path | None, home: Path | None, name: str) -> Path:
    """The folder for a model.

    Args:
        out: what the user says.
        home: the run folder, if there is one.
        name: of the folder in there, where the user says nothing.

    Raises:
        UserError: neither is there, or other things than an earlier export lie in it.
    """
    if out is None and home is None:
        raise UserError("--out: weights have no run folder to lie in; name a folder for the model")
    target = Path(out) if out is not None else Path(home or "") / "exports" / name
    if out is None:
        check_own_part(target.parent, "folder")
    for place in (target, refused(target)):
        if out is None:
            check_own_part(place, "folder")
        if place.is_file():
            raise UserError(f"--out {target}: {place} is a file; name another folder")
        if place.is_dir() and any(place.iterdir()) and not is_artifact(place):
            raise UserError(f"--out {target}: {place} holds other things; name a new folder, or an earlier export")
    return target


def refused(target: Path) -> Path:
    """Where a model goes that the gate refuses."""
    return target.with_name(f"{target.name}.failed")


@contextmanager
def workplace(target: Path) -> Iterator[Path]:
    """A folder beside the target, gone afterwards.

    Raises:
        UserError: no folder can be made there.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise UserError(f"--out {target}: no folder can be made there ({error.strerror}); name another") from None
    with folder as work:
        yield Path(work)


def put(work: Path, names: Sequence[str], target: Path, *, failed: bool) -> Path:
    """Move files to where they belong, in this order, and say where that is; a refused model is told by its name."""
    place = refused(target) if failed else target
    if is_artifact(place):
        _clear(place)
    place.mkdir(parents=True, exist_ok=True)
    for name in names:
        os.replace(work / name, place / name)
    return place


def _clear(place: Path) -> None:
    """Take an earlier export away, and the evaluations of it: nothing there is to be taken for the new one's."""
    try:
        earlier = Manifest.read(place)
        names = {file.name for file in earlier.files} | set(find_answer(earlier, str(place)).beside)
    except UserError:  # of another version, or broken
        names = set()
    for name in (NAME, CARD, *names):
        (place / name).unlink(missing_ok=True)
    shutil.rmtree(place / "evaluations", ignore_errors=True)
