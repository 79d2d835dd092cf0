"""An environment of its own for an export whose converter needs another torch than training does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mobilevision.deploy.formats import Format, find_format
from mobilevision.errors import UserError
from mobilevision.exporting.targets import Target, chosen, find_target
from mobilevision.io.user_cache import user_cache
from mobilevision.version import __version__

AUTO, OPTION = "auto", "--environment"
NOTE = "mobilevision-environment.json"
"""In the environment's folder: what was installed, so that another version of mobilevision installs itself anew."""


def export_there(words: Sequence[str], where: str, *, target: str | None, format: str | None) -> int:
    """Run the same command in an environment that has what the format needs, made where there is none yet.

    Args:
        words: what was typed behind ``mobilevision``.
        where: a folder, or ``auto`` for one of the user's cache, by extra.
        target: as of :func:`mobilevision.export`.
        format: likewise.

    Returns:
        The command's exit code.

    Raises:
        UserError: there is no such format, or the environment cannot be made.
    """
    wanted = Target("") if target is None else find_target(target)
    form = find_format(chosen(wanted, {"format": format})["format"])
    folder = user_cache() / "environments" / form.extra if where == AUTO else Path(where).expanduser()
    python = _made(folder, form)
    return subprocess.run([str(python), "-m", "mobilevision", *_without(OPTION, words)], check=False).returncode


def _without(option: str, words: Sequence[str]) -> list[str]:
    """What was typed, without an option and its value."""
    kept, waiting = [], iter(words)
    for word in waiting:
        if word == option:
            next(waiting, None)
        elif not word.startswith(f"{option}="):
            kept.append(word)
    return kept


def _made(folder: Path, form: Format) -> Path:
    """The Python of an environment with the format's extra of this very mobilevision."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = {"mobilevision": __version__, "install": own_requirement(form.extra)}
    note = folder / NOTE
    if python.is_file() and _read(note) == wanted:
        return python
    if folder.exists() and any(folder.iterdir()) and not note.is_file():
        raise UserError(f"--environment {folder}: it holds other things; name a new folder, or {AUTO}")
    print(f"making an environment for format {form.name} in {folder}: some GB, some minutes, once", flush=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({}), encoding="utf-8")  # ours, though not finished
    except OSError as error:
        raise UserError(
            f"--environment {folder}: no folder can be made there ({error.strerror}); name another"
        ) from None
    if not python.is_file():
        _run([sys.executable, "-m", "venv", str(folder)], folder)
    _run([str(python), "-m", "pip", "install", "--quiet", *wanted["install"]], folder)
    note.write_text(json.dumps(wanted), encoding="utf-8")
    return python


def _run(command: Sequence[str], folder: Path) -> None:
    """One step of making it; its last words are the reason where it fails."""
    done = subprocess.run(command, stdout=sys.stdout, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.lower().startswith("error")] or lines[-1:]
        raise UserError(
            f"--environment {folder}: {' '.join(command[1:4])} failed ({' '.join(errors)[:300]}): the package index has"
            " to be reached once; what is there is kept, so the same command goes on"
        )


def own_requirement(extra: str) -> list[str]:
    """What pip installs to have this mobilevision with an extra: from where it was installed itself.

    Raises:
        UserError: it was not installed, but is run from a folder.
    """
    try:
        told = distribution("mobilevision").read_text("direct_url.json")
    except PackageNotFoundError:
        raise UserError("--environment: mobilevision itself is not installed here: pip install -e .") from None
    if told is None:  # from a package index
        return [f"mobilevision[{extra}]=={__version__}"]
    origin: dict[str, Any] = json.loads(told)
    url = str(origin["url"])
    if origin.get("dir_info", {}).get("editable"):
        return ["-e", f"{url2pathname(urlsplit(url).path)}[{extra}]"]
    if vcs := origin.get("vcs_info"):
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    return [f"mobilevision[{extra}] @ {url}"]


def _read(note: Path) -> Any:
    try:
        return json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
