"""What every test may use: the real data and weights where they are, one thread, no way online."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("OMP_NUM_THREADS", "1")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores Ctrl-C, and so its children
settings.register_profile("seeded", derandomize=True)
settings.load_profile("seeded")


def _shared(folder: str, variable: str) -> Path:
    path = Path(os.environ.get(variable, ROOT.parent / "shared" / folder))
    if not path.is_dir():
        pytest.skip(f"needs the folder {folder}/ of real files: set {variable}")
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real pictures, or skip."""
    return _shared("data", "MOBILEVISION_TEST_DATA")


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """The folder of real pretrained weights, or skip."""
    return _shared("weights", "MOBILEVISION_TEST_WEIGHTS")
