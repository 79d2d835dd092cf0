"""Data workers outlive the signals that are meant for their run, and never the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing import active_children, get_start_method, set_start_method
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil
import pytest
from torch.utils import data
from torch.utils.data import DataLoader, Dataset

from mobilevision.data.workers import leave_stops_to_the_run, with_workers

ROOT = Path(__file__).resolve().parents[2]
HOLDING = """
import sys
from multiprocessing import active_children
from tests.data.test_workers import Numbers, begun

batches = begun(Numbers(stuck_at=4))
print(next(batches), *(worker.pid for worker in active_children()), flush=True)
sys.stdin.read()
"""


class Numbers(Dataset[int]):
    def __init__(self, *, stuck_at: int) -> None:
        self.stuck_at = stuck_at

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        while index == self.stuck_at:
            time.sleep(0.05)
        return index


def begun(numbers: Any) -> Iterator[int]:
    loader: DataLoader[int] = DataLoader(numbers, batch_size=None, num_workers=2, worker_init_fn=leave_stops_to_the_run)
    return with_workers(loader.__iter__)


def working(before: set[BaseProcess]) -> list[BaseProcess]:
    return [child for child in active_children() if child not in before]


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_outlive_what_is_meant_for_the_run(start: str, request: pytest.FixtureRequest) -> None:
    request.addfinalizer(partial(set_start_method, get_start_method(), force=True))
    set_start_method(start, force=True)
    before = set(active_children())
    batches = begun(range(8))
    for worker in working(before):  # one that is about to begin, too
        os.kill(int(worker.pid or 0), signal.SIGTERM)
        os.kill(int(worker.pid or 0), signal.SIGINT)
    found = [next(batches)]
    for worker in working(before):
        os.kill(int(worker.pid or 0), signal.SIGTERM)
    assert [*found, *batches] == list(range(8))


def test_a_worker_that_is_stuck_ends_with_its_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data._utils, "MP_STATUS_CHECK_INTERVAL", 0.2)
    before = set(active_children())
    batches = begun(Numbers(stuck_at=2))
    assert next(batches) == 0
    workers = working(before)
    assert len(workers) == 2
    del batches
    assert not any(worker.is_alive() for worker in workers)


def held() -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """A process with a worker that is stuck and one that is idle, in a session of its own."""
    running = subprocess.Popen(
        [sys.executable, "-c", HOLDING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    assert running.stdout is not None
    _, *pids = running.stdout.readline().split()
    return running, [psutil.Process(int(pid)) for pid in pids]


@pytest.mark.slow
def test_a_run_ends_whatever_its_workers_do() -> None:
    running, workers = held()
    assert len(workers) == 2
    assert running.communicate("", timeout=60) == ("", "")
    assert running.returncode == 0
    assert not any(worker.is_running() for worker in workers)


@pytest.mark.slow
def test_workers_do_not_outlive_a_run_that_is_killed() -> None:
    running, workers = held()
    os.killpg(running.pid, signal.SIGTERM)  # nobody in that run hears it
    assert running.wait(timeout=60) == -signal.SIGTERM
    os.killpg(running.pid, signal.SIGTERM)  # the one that is stuck; the other may be gone by itself
    assert psutil.wait_procs(workers, timeout=60)[1] == []
