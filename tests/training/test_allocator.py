"""The allocator keeps its memory: a step that repeats does not fault its pages in again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from mobilevision.training.train import tune_allocator
if sys.argv[1] == "tuned":
    assert tune_allocator()
assert "torch" not in sys.modules
for turn in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [bytearray(b"x") * (40 << 20) for _ in range(4)]
    del blocks
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


def faults(mode: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS, mode], check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_blocks_are_kept() -> None:
    assert 5 * faults("tuned") < faults("system")  # how many there are depends on the kernel's page size


def test_elsewhere_nothing_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    from mobilevision.training.train import tune_allocator

    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    assert not tune_allocator()
