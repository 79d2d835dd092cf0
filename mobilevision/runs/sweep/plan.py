"""What a sweep is going to do, kept in its folder: every run of it, in whatever process, finds its own place."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

from mobilevision.runs.folder import write_json

_FILE = "sweep.json"
_LONGEST = 120  # characters of a folder's name


@final
@dataclass(frozen=True)
class Plan:
    """A sweep.

    Attributes:
        folder: of all its runs, ``run_dir=`` or one that the same command finds again.
        keys: what varies, dotted.
        runs: how many there are; 0 where a sweeper finds out as it goes.
    """

    folder: str
    keys: tuple[str, ...]
    runs: int

    def write(self) -> None:
        """Keep it in its folder."""
        write_json(Path(self.folder) / _FILE, asdict(self))

    @classmethod
    def read(cls, folder: str | Path) -> Plan:
        """Undo :meth:`write`."""
        values = json.loads((Path(folder) / _FILE).read_text(encoding="utf-8"))
        return cls(values["folder"], tuple(values["keys"]), values["runs"])

    def place(self, overrides: Sequence[str]) -> Path:
        """The folder of the run with these overrides, named by what varies: ``width-0.25_resolution-128``.

        No ``=`` is in the name: as a value of an override it would have to be quoted.
        """
        chosen = dict(line.lstrip("+").partition("=")[::2] for line in overrides)
        varying = {key: chosen[key] for key in self.keys if key in chosen}
        last = [key.rpartition(".")[2] for key in varying]
        names = [short if last.count(short) == 1 else key for key, short in zip(varying, last, strict=True)]
        parts = [f"{name}-{Path(value).name}" for name, value in zip(names, varying.values(), strict=True)]
        name = re.sub(r"[^\w.+-]+", "-", "_".join(parts)).strip("-.") or "run"
        if len(name) > _LONGEST or any("/" in value for value in varying.values()):
            name = f"{name[:_LONGEST]}_{digest(sorted(varying.items()))}"
        return Path(self.folder) / name


def digest(value: object) -> str:
    """Eight letters that stand for a value."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:8]
