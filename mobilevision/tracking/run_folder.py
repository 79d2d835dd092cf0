"""The run folder: one place for everything that a run makes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import final

from mobilevision.errors import UserError
from mobilevision.io.atomic_files import PART, remove_unfinished, unfinished
from mobilevision.io.near_paths import did_you_mean_path
from mobilevision.io.regular_files import append_to, check_own_part
from mobilevision.tracking.processes import is_first_process

_LINKED_WITHIN = "wandb"  # its client keeps links to its newest run in there
_FOLDERS = ("checkpoints", "figures", "predictions", "evaluations", "exports", "tensorboard", _LINKED_WITHIN)


def new_folder(base: Path) -> Path:
    """Make ``base/<date_time>``, with a number behind it if that is taken."""
    start = base / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for count in range(1000):
        path = start if count == 0 else start.with_name(f"{start.name}_{count}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path
    raise UserError(f"{start}: a thousand were made in this second; name a folder, as with run_dir=")


@final
class RunFolder:
    """Paths inside one run's folder.

    Args:
        path: the folder; :meth:`create` makes a new one, this only names it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.metrics_csv = self.path / "metrics.csv"
        self.metrics_json = self.path / "metrics.json"
        self.tables_json = self.path / "tables.json"
        self.info_json = self.path / "info.json"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.checkpoints / "best.ckpt"
        self.last = self.checkpoints / "last.ckpt"
        self.previous = self.checkpoints / "previous.ckpt"
        self.figures = self.path / "figures"
        self.predictions = self.path / "predictions"
        self.report = self.path / "report.html"
        self.log = self.path / "train.log"
        self.skipped = self.path / "skipped.csv"

    @classmethod
    def create(cls, task: str, run_dir: str | None) -> RunFolder:
        """A new folder: ``run_dir``, or ``outputs/<task>/<date_time>``, with a number behind it if that is taken.

        One in which a run failed, or was stopped, before anything was trained, is as good as new.

        Raises:
            UserError: if ``run_dir`` holds a run already, or cannot be made.
        """
        if run_dir is not None:
            folder = cls(run_dir)
            if folder.config.exists() and not folder.nothing_trained:
                raise UserError(f"run_dir={run_dir} holds a run already: resume={run_dir} continues it")
            try:
                folder.path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(f"run_dir={run_dir}: {error.strerror or error}: name another folder") from None
            return folder
        return cls(new_folder(Path("outputs") / task))

    @classmethod
    def existing(cls, path: str | Path) -> RunFolder:
        """The folder of a run that was started before.

        Raises:
            UserError: if there is no run in it.
        """
        folder = cls(path)
        if not folder.config.is_file():
            if is_cross_validation(path):
                raise UserError(f"{path} is a cross-validation, not a run: {_model_of_folds(folder.path)}")
            if (folder.path / "model.json").is_file():
                raise UserError(f"{path} is an exported model; this takes the run that it was made of")
            if any(folder.path.glob("model.*")):
                raise UserError(f"{path}: model.json is missing: copy the whole folder of the exported model")
            if folder.not_begun:
                raise UserError(
                    f"{path}: nothing was trained there, its run was stopped before it began: give the command that"
                    " was to begin it again"
                )
            why = (
                "it has no config.yaml"
                if folder.path.exists()
                else f"there is no such folder{did_you_mean_path(folder.path)}"
            )
            if folder.path.is_dir() and not any(folder.path.iterdir()):
                why = "it has no config.yaml, it is empty"
            raise UserError(f"{path} is not a run folder: {why}")
        return folder

    def check_parts(self) -> None:
        """See that all of this folder lies in it, before anything is written: a folder may come from anybody.

        In a folder that holds a run already, everything is looked at; else what a run is going to write. The folder
        itself may be a link, its user named it.

        Raises:
            UserError: the first part that is a link, a pipe or a device, or a file in place of a folder.
        """
        own = (self.metrics_csv, self.metrics_json, self.tables_json, self.info_json, self.config, self.report)
        for file in (*own, self.log, self.skipped, self.best, self.last, self.previous):
            check_own_part(file, "regular file")
        for name in _FOLDERS:
            check_own_part(self.path / name, "folder")
        holds_run = self.config.exists() or is_cross_validation(self.path)
        for top in [self.path] if holds_run else [self.path / name for name in _FOLDERS]:
            for above, folders, files in os.walk(top):
                for name in (*folders, *files):
                    check_own_part(Path(above, name))
                folders[:] = [name for name in folders if name != _LINKED_WITHIN]

    @property
    def not_begun(self) -> bool:
        """Whether a run was stopped here before its config.yaml was written: only a log."""
        own = {self.log, *unfinished(self.config)}
        there = set(self.path.iterdir()) if self.path.is_dir() else set()
        return bool(there) and there <= own

    @property
    def can_go_on(self) -> bool:
        """Whether there is a checkpoint from which the run could be resumed."""
        return self.config.is_file() and (self.last.is_file() or self.previous.is_file())

    @property
    def nothing_trained(self) -> bool:
        """Whether there is nothing that would be lost if the run began anew: at most its first epoch was begun."""
        if self.metrics_json.exists() or self.last.exists() or self.previous.exists():
            return False
        if not self.best.is_file():  # nor a pipe, which would be waited for
            return True
        from mobilevision.io.tensor_files import read_checkpoint

        try:  # best.ckpt alone: the run ended after it was written, and before the epoch had its last.ckpt
            return bool(read_checkpoint(self.best)["epoch"] == 0)
        except (UserError, KeyError):
            return False

    def clear(self) -> None:
        """Remove what a run left behind in which nothing was trained; without a config.yaml, that is a part of one."""
        if not self.config.exists():
            remove_unfinished(self.config)
            return
        for path in (*self.checkpoints.glob("*.ckpt*"), self.metrics_csv, self.skipped):
            path.unlink(missing_ok=True)
        self.tidy()

    def tidy(self) -> None:
        """Remove what was being written when a process was killed."""
        for path in self.checkpoints.glob(f"*{PART}"):
            path.unlink(missing_ok=True)
        for path in self.path.glob(f".*{PART}"):
            path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out of this folder while one is being trained in it; the lock ends with the process.

        Raises:
            UserError: another process trains in it, or train.log is no regular file.
        """
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        if not is_first_process():
            yield
            return
        with append_to(self.log) as log:
            try:
                # A record lock: worker processes do not inherit it, so that nothing holds it after a kill.
                fcntl.lockf(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EAGAIN):
                    raise UserError(
                        f"{self.path}: another process is training in this folder: wait for its end, or stop it"
                    ) from error
            yield

    def require(self) -> None:
        """Go on only where the run folder still is.

        Raises:
            UserError: it was deleted or moved while the run went on.
        """
        if not self.config.is_file():
            raise UserError(
                f"{self.path} was deleted or moved while its run went on, which ends here;"
                " if it was moved, resume=ITS_NEW_PLACE goes on"
            )


FOLDS = "folds.yaml"
"""In the folder of a cross-validation: the config of all its runs."""
SWEEP = "sweep.json"
"""In the folder of a sweep: what it is going to do."""
FINAL = "final"
"""In the folder of a cross-validation: the folder of the run on everything."""


def is_cross_validation(path: str | Path) -> bool:
    """Whether a folder is that of a cross-validation, which holds a run folder a fold."""
    return (Path(path) / FOLDS).is_file()


def _model_of_folds(path: Path) -> str:
    """Where the model of a cross-validation is, or how one gets it."""
    if RunFolder(path / FINAL).best.is_file():
        return f"its model, of all images, is {path / FINAL}"
    return (
        f"resume={path} data.folds_final=true trains its model, {path / FINAL}; that of one fold is {path / 'fold_1'}"
    )
