"""Processes that load data: what signals do to them, how they end, and what is said where one died."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import active_children, get_start_method, resource_tracker
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from types import FrameType
from typing import TypeVar, final
from weakref import WeakMethod

from mobilevision.errors import DeadWorkerError

_STOPS = (signal.SIGINT, signal.SIGTERM)
_SECONDS_TO_DIE = 5.0
DEAD_WORKER = "DataLoader worker"
"""In the RuntimeError that torch raises when one died: from its signal handler, wherever the main thread is."""

Batches = TypeVar("Batches")


def dead_worker(workers: int) -> DeadWorkerError:
    """What to say of that."""
    return DeadWorkerError(
        "a data worker died, most often for want of memory: free some, or take fewer with"
        f" data.workers={workers // 2}; resume= goes on where the run was"
    )


def with_workers(start: Callable[[], Batches]) -> Batches:
    """What ``start`` gives, whose processes never keep this one from ending although they do not hear SIGTERM.

    Args:
        start: starts processes that call :func:`leave_stops_to_the_run`, and gives what they work for.
    """
    before = set(active_children())
    try:
        with _held_back():
            batches = start()
    except BaseException:
        _kill(set(active_children()) - before)
        raise
    workers = [child for child in active_children() if child not in before]
    for worker in workers:  # no cycle of references: each worker has open files
        setattr(worker, "terminate", _Kill(worker))  # noqa: B010
    if workers:  # at this process's end before multiprocessing waits for them
        Finalize(batches, _kill, args=(workers,), exitpriority=100)
    return batches


def leave_stops_to_the_run(worker: int) -> None:
    """SIGINT and SIGTERM pass this worker by as long as its run lives.

    Terminals send Ctrl-C, and schedulers SIGTERM, to every process: workers that die of it break the step that the run
    is about to finish. The run ends its workers when it is done; of its sudden death torch tells them.
    """
    del worker
    run = os.getppid()

    def end_without_its_run(number: int, frame: FrameType | None) -> None:
        if os.getppid() != run:
            os._exit(0)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, end_without_its_run)
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.siginterrupt(signal.SIGTERM, False)  # a library that reads a file does not see it
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)


@final
class _Kill:
    def __init__(self, worker: BaseProcess) -> None:
        self._kill = WeakMethod(worker.kill)

    def __call__(self) -> None:
        if kill := self._kill():
            kill()


@contextmanager
def _held_back() -> Iterator[None]:
    """Signals wait for this; processes started inside get none until they have said what to do with them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    if get_start_method() != "fork":
        resource_tracker.ensure_running()  # else the first worker starts it, which lets signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _kill(workers: Iterable[BaseProcess]) -> None:
    alive = [worker for worker in workers if worker.is_alive()]
    if not alive:
        return
    watched = hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread()
    # At the process's end torch still watches over them, and would raise for each.
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL) if watched else None
    try:
        for worker in alive:
            worker.kill()
        for worker in alive:
            worker.join(_SECONDS_TO_DIE)
    finally:
        if watched:
            signal.signal(signal.SIGCHLD, before)
