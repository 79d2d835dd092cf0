"""The demo: a page of plain files that runs an exported model in the browser; served here, or written to be hosted."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from mobilevision.deploy.manifest import NAME, Manifest, is_artifact
from mobilevision.errors import UserError
from mobilevision.prediction.opening import caution
from mobilevision.tools.demo.files import SIGN, write_page, written
from mobilevision.tools.demo.runtime import find_runtime
from mobilevision.tools.demo.server import serve
from mobilevision.tracking.run_folder import RunFolder

# The exported model that a page is made for: the folder that is named, or one made of a run.

_FORMAT = "onnx"
_GATE = 500  # test images that a run exported for a page is compared on


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
    from mobilevision.exporting.command import export

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


def demo(
    model: str | Path,
    *,
    out: str | Path | None = None,
    host: str | None = None,
    port: int | None = None,
    runtime: str | Path | None = None,
    examples: str | Path | None = None,
) -> None:
    """Serve the page of a model until it is stopped, or write it.

    Args:
        model: folder of an exported model, or of a run, which is exported first.
        out: folder to write the page into, for any web server; None serves it from here.
        host: address to serve at; ``0.0.0.0`` is every address of this machine, None is 127.0.0.1.
        port: to serve at; 0 takes a free one, None is 8000.
        runtime: folder with onnxruntime-web's files; None takes them from npm, and keeps them.
        examples: folder of images, of which the page offers the first eight.

    Raises:
        UserError: anything that the user can mend.
    """
    if out is not None:
        if host is not None or port is not None:
            raise UserError("--host and --port are about serving, and --out only writes the page: leave them out")
        _check_free(Path(out))
    with tempfile.TemporaryDirectory(prefix="mobilevision-demo-") as work:
        artifact = exported(model, Path(work) / "export")  # first: the runtime may be 33 MB from elsewhere
        found = find_runtime(runtime)
        print(f"onnxruntime-web {found.version} from {found.folder}", flush=True)
        page = Path(work) / "page"
        write_page(page, artifact, found, examples=examples)
        if out is None:
            serve(page, host=host or "127.0.0.1", port=8000 if port is None else port)
        else:
            _put(page, Path(out))


def _check_free(out: Path) -> None:
    """Refuse to write among other things than an earlier page."""
    if out.is_file():
        raise UserError(f"--out {out}: a file of that name is there; name a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / SIGN).is_file():
        what = "is an exported model" if is_artifact(out) else "holds other things"
        raise UserError(f"--out {out}: the folder {what}; name a new one, or that of an earlier page")


def _put(page: Path, out: Path) -> None:
    """Let the page take the place of an earlier one; what else lies in the folder stays."""
    for old in written(out):
        old.unlink()
    shutil.copytree(page, out, dirs_exist_ok=True)
    size = sum(path.stat().st_size for path in page.rglob("*") if path.is_file()) / 1e6
    print(f"page ({size:.1f} MB) in {out}: any web server can hand it out")
