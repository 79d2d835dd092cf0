"""One run folder for all processes of a run, however they were started."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

_VARIABLE = "MOBILEVISION_RUN_DIR"
_KEY = "mobilevision/run_dir"


def is_first_process() -> bool:
    """Whether this is the only process of a run, or the first of several."""
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"


def shared_folder(create: Callable[[], Path]) -> Path:
    """The run folder: made by the first process, told to the others.

    Lightning starts further processes with the first one's environment; torchrun starts all at once, and its own
    key-value store tells them.

    Args:
        create: makes the folder; called in the first process only.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:  # first: a variable may be left from a run of whoever called torchrun
        return _through_torchrun(create)
    if os.environ.get("LOCAL_RANK", "0") != "0" and _VARIABLE in os.environ:
        return Path(os.environ[_VARIABLE])
    path = create()
    os.environ[_VARIABLE] = str(path.resolve())
    return path


def _through_torchrun(create: Callable[[], Path]) -> Path:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = TCPStore(address, port, is_master=False)
    if int(os.environ["RANK"]) == 0:
        path = create().resolve()
        store.set(_KEY, str(path))
        return path
    return Path(store.get(_KEY).decode())
