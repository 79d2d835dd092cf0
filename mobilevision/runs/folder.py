"""The run folder: one place for everything that a run makes."""

from __future__ import annotations

import json
import os
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any, final

from mobilevision.errors import UserError


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
        self.figures = self.path / "figures"
        self.predictions = self.path / "predictions"
        self.report = self.path / "report.html"
        self.log = self.path / "train.log"
        self.skipped = self.path / "skipped.csv"

    @classmethod
    def create(cls, task: str, run_dir: str | None) -> RunFolder:
        """A new folder: ``run_dir``, or ``outputs/<task>/<date_time>``, with a number behind it if that is taken.

        Raises:
            UserError: if ``run_dir`` holds a run already.
        """
        if run_dir is not None:
            folder = cls(run_dir)
            if folder.config.exists():
                raise UserError(f"run_dir={run_dir} holds a run already: resume={run_dir} continues it")
            folder.path.mkdir(parents=True, exist_ok=True)
            return folder
        base = Path("outputs") / task / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        for count in range(1000):
            path = base if count == 0 else base.with_name(f"{base.name}_{count}")
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            return cls(path)
        raise UserError(f"{base}: a thousand runs started in this second; name a folder with run_dir=")

    @classmethod
    def existing(cls, path: str | Path) -> RunFolder:
        """The folder of a run that was started before.

        Raises:
            UserError: if there is no run in it.
        """
        folder = cls(path)
        if not folder.config.is_file():
            if (folder.path / "model.json").is_file():
                raise UserError(f"{path} is an exported model; this takes the run that it was made of")
            if any(folder.path.glob("model.*")):
                raise UserError(f"{path}: model.json is missing: copy the whole folder of the exported model")
            why = "it has no config.yaml" if folder.path.exists() else "there is no such folder"
            raise UserError(f"{path} is not a run folder: {why}")
        return folder

    @property
    def can_go_on(self) -> bool:
        """Whether there is a checkpoint from which the run could be resumed."""
        return self.config.is_file() and any(self.checkpoints.glob("last*.ckpt"))

    def make_way(self) -> None:
        """Let a new run take the folder of one that failed before it had anything to keep."""
        self.config.unlink(missing_ok=True)


FOLDS = "folds.yaml"
"""In the folder of a cross-validation: the config of all its runs."""


def is_cross_validation(path: str | Path) -> bool:
    """Whether a folder is that of a cross-validation, which holds a run folder a fold."""
    return (Path(path) / FOLDS).is_file()


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing: into the same folder, flushed to the disk, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """:func:`write_text` of indented JSON."""
    write_text(path, json.dumps(value, indent=2) + "\n")
