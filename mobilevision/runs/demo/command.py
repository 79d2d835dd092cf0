"""The demo: a page of plain files that runs an exported model in the browser; served here, or written to be hosted."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from mobilevision.deploy.manifest import is_artifact
from mobilevision.errors import UserError
from mobilevision.runs.demo.files import SIGN, write_page, written
from mobilevision.runs.demo.runtime import find_runtime
from mobilevision.runs.demo.server import serve
from mobilevision.runs.demo.subject import exported


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
        examples: folder of pictures, of which the page offers the first eight.

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
