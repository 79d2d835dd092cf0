"""An exported model onto the Hugging Face hub, for whoever has a login there."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from mobilevision.deploy.answers import find_answer
from mobilevision.deploy.manifest import CARD, NAME, Manifest, is_artifact
from mobilevision.errors import UserError

_T = TypeVar("_T")
_REPO = re.compile(r"[\w.-]+/[\w.-]+")
PATIENCE = 15.0
"""Seconds after which a hub that does not answer counts as one that cannot be reached."""


def push(folder: str | Path, repo: str, *, private: bool = False, dry_run: bool = False) -> str:
    """Put an exported model into a repository of the Hugging Face hub, in one commit.

    Only the model's own files go: the graph, ``model.json``, the card and what running it takes beside them.

    Args:
        folder: of the exported model.
        repo: ``USER/NAME``; made where it is missing.
        private: whether a repository that is made is seen by its owner only.
        dry_run: only say what would go.

    Returns:
        Where it is now; of a dry run, where it would be.

    Raises:
        UserError: no exported model, one that the gate refused, no login, no network, or a hub that says no.
    """
    check_artifact(folder)
    manifest = Manifest.read(folder)
    if not _REPO.fullmatch(repo):
        raise UserError(f"--repo {repo}: it has to be USER/NAME")
    gate = manifest.about.get("gate")
    if isinstance(gate, dict) and gate.get("passed") is not True:
        raise UserError(f"{folder}: the gate refused this model, so it is not pushed: export one that passes")
    files = own_files(manifest, Path(folder))
    console, place = Console(highlight=False), f"huggingface.co/{repo}"
    for path in files:
        console.print(f"{path.name}  {path.stat().st_size:,} bytes", markup=False)
    if manifest.about.get("gate") is None:
        console.print("not compared with its checkpoint: the card says so, too", style="yellow")
    if dry_run:
        console.print(f"would go to {place}; nothing was sent", soft_wrap=True, markup=False)
        return place
    place = _send(files, repo, private=private, message=f"{manifest.about.get('backbone')}, {manifest.task}")
    console.print(f"pushed to {place}", soft_wrap=True, markup=False)
    return place


def check_artifact(folder: str | Path) -> None:
    """Raise a UserError where a folder is no exported model."""
    if not is_artifact(folder):
        raise UserError(f"{folder}: not an exported model; `mobilevision export RUN --out FOLDER` makes one")


def own_files(manifest: Manifest, folder: Path) -> list[Path]:
    """The files that belong to an exported model, and nothing else that may lie there.

    Raises:
        UserError: one is missing, is a link, or is not what model.json says.
    """
    manifest.check(folder)
    beside = find_answer(manifest, str(folder)).beside
    paths = [folder / name for name in (*(file.name for file in manifest.files), *beside, CARD, NAME)]
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path} is missing: export the model again")
        if path.is_symlink():
            raise UserError(f"{path} is a link: copy the file itself into the folder")
    return paths


def _send(files: list[Path], repo: str, *, private: bool, message: str) -> str:
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    token = get_token()
    if token is None:
        raise UserError("no login to the Hugging Face hub: run `hf auth login`, or set HF_TOKEN (--dry-run needs none)")
    api = HfApi(token=token, library_name="mobilevision")
    try:
        made = within(PATIENCE, lambda: api.create_repo(repo, private=private, exist_ok=True))
        operations = [CommitOperationAdd(path_in_repo=path.name, path_or_fileobj=str(path)) for path in files]
        api.create_commit(repo, operations=operations, commit_message=message)
    except Exception as error:
        raise _in_words(error, repo) from error
    return str(made)


def _in_words(error: Exception, repo: str) -> UserError:
    """What went wrong: the hub's own answer, or that there was none."""
    if isinstance(error, UserError):
        return error
    response: Any = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if status in (401, 403):
        return UserError(f"--repo {repo}: the hub does not let this login write there ({status})")
    why = " ".join(str(error).split())[:160] or type(error).__name__
    if status is not None:
        return UserError(f"--repo {repo}: the hub says no ({status}: {why})")
    return UserError(f"the Hugging Face hub cannot be reached ({why}): nothing was changed; try again with a network")


def within(seconds: float, work: Callable[[], _T]) -> _T:
    """The result of ``work``, if it comes in time.

    Raises:
        UserError: it does not.
    """
    done: list[_T] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            done.append(work())
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)  # one that hangs must not keep the process
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise UserError(f"the Hugging Face hub did not answer within {seconds:g} seconds: try again later")
    return done[0]
