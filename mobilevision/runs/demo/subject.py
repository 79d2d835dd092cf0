"""The exported model that a page is made for: the folder that is named, or one made of a run."""

from __future__ import annotations

from pathlib import Path

from mobilevision.deploy.manifest import NAME, Manifest, is_artifact
from mobilevision.errors import UserError
from mobilevision.runs.exporting.saying import caution
from mobilevision.runs.folder import RunFolder

_FORMAT = "onnx"
_GATE = 500  # test pictures that a run exported for a page is compared on


def exported(model: str | Path, place: Path) -> Path:
    """The folder of a model that browsers can run.

    Args:
        model: folder of an exported model, or of a run. Of a run its export is taken, where there is one that is not
            older than the checkpoint.
        place: folder for an export that has to be made.

    Raises:
        UserError: there is no model, or it is of another format.
    """
    path = Path(model)
    if is_artifact(path):
        return _checked(path)
    folder = RunFolder.existing(path)
    kept = folder.path / "exports" / _FORMAT
    if _is_new(kept, folder):
        print(f"the export of this run is at hand: {kept}")
        return _checked(kept)
    print(f"exporting {path} for the page; `mobilevision export {path}` would keep it")
    from mobilevision.runs.exporting.command import export

    export(path, format=_FORMAT, out=place, gate_samples=_GATE)
    return _checked(place)


def _checked(path: Path) -> Path:
    manifest = Manifest.read(path)
    if manifest.format != _FORMAT:
        raise UserError(
            f"{path}: a model of the format {manifest.format}; browsers run ONNX:"
            f" mobilevision export RUN --format {_FORMAT} --out FOLDER makes one"
        )
    if manifest.answer == "raw_boxes":
        raise UserError(f"{path}: exported with --raw, and the page draws finished boxes: export it without --raw")
    manifest.check(path)
    caution(manifest, path)
    return path


def _is_new(kept: Path, folder: RunFolder) -> bool:
    if not is_artifact(kept) or not folder.best.is_file():
        return False
    return (kept / NAME).stat().st_mtime >= folder.best.stat().st_mtime
