"""Trainings that are stopped at a place that is named, not timed: a process that forks one for each request.

A training comes by a row of places: hooks of Lightning before and after the other callbacks, and the moments before
and after a file takes its final name. They are numbered from 1, and at one of them the process sends a signal to
itself. Run as a program this serves requests, one line of JSON each, so that what takes seconds to import is imported
once; or, with arguments, it is one such training.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[2]
HOOKS = (
    "on_fit_start",
    "on_train_start",
    "on_train_epoch_start",
    "on_train_batch_start",
    "on_after_backward",
    "on_train_batch_end",
    "on_validation_start",
    "on_validation_batch_start",
    "on_validation_batch_end",
    "on_validation_epoch_end",
    "on_validation_end",
    "on_train_epoch_end",
    "on_train_end",
    "on_test_start",
    "on_test_batch_end",
    "on_test_end",
)


@dataclass(frozen=True)
class Ended:
    """How a training ended.

    Attributes:
        code: exit code; negative for the signal that it died of.
        output: what it printed.
        places: the names of the places that it came by.
    """

    code: int
    output: str
    places: tuple[str, ...]


class Trainings:
    """Starts trainings in processes of their own, one after the other."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        )

    def run(
        self,
        *arguments: str,
        stop: tuple[int, signal.Signals] | None = None,
        after: tuple[float, signal.Signals] | None = None,
        cwd: Path | None = None,
    ) -> Ended:
        """One training.

        Args:
            *arguments: of ``train.py``.
            stop: the number of a place, and the signal that the process sends itself there.
            after: seconds after which it is sent a signal from outside, wherever it is.
            cwd: where it runs.
        """
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        at = None if stop is None else [stop[0], int(stop[1])]
        late = None if after is None else [after[0], int(after[1])]
        request = {"arguments": arguments, "stop": at, "after": late, "cwd": str(cwd) if cwd else None}
        print(json.dumps(request), file=self._server.stdin)
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        return Ended(answer["code"], answer["output"], tuple(answer["places"]))

    def close(self) -> None:
        """End the server."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(timeout=60)


class Killed(BaseException):
    """Stands for what ends a process where a training runs in this very one: nobody handles it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class TrainingsHere:
    """As :class:`Trainings`, in this process: quicker, and a kill is an exception that nothing takes up.

    A signal that the training does not listen to would end this process, that of the tests: it is an exception, too.
    """

    def run(self, *arguments: str, stop: tuple[int, signal.Signals] | None = None, cwd: Path | None = None) -> Ended:
        """One training; see :meth:`Trainings.run`."""
        from mobilevision.cli import main
        from mobilevision.engine import build
        from mobilevision.errors import UserError
        from mobilevision.io.error_lines import error_line
        from mobilevision.training.train import start

        def die(number: int, frame: FrameType | None) -> NoReturn:
            raise Killed(number)

        before, made, replace = Path.cwd(), build.build_callbacks, os.replace
        unheard = signal.signal(signal.SIGTERM, die)
        code, told = 0, io.StringIO()
        with tempfile.TemporaryDirectory() as work:
            log = Path(work, "places")
            _instrument(_Places(log, None if stop is None else [stop[0], int(stop[1])], here=True))
            os.chdir(cwd or before)
            try:
                with redirect_stdout(told):
                    start(main.composed({}, list(arguments)))
            except UserError as error:
                code = 1
                told.write(error_line(error))
            except Killed as killed:
                code = -int(killed.number)
            except KeyboardInterrupt:
                code = 130
            finally:
                os.chdir(before)
                build.build_callbacks, os.replace = made, replace
                signal.signal(signal.SIGTERM, unheard)
            return Ended(code, told.getvalue(), tuple(log.read_text().split("\n")[:-1]))

    def close(self) -> None:
        """Nothing to end."""


class _Places:
    def __init__(self, log: Path, stop: Sequence[int] | None, *, here: bool = False) -> None:
        self.count, self.log, self.stop, self.process = 0, log.open("a"), stop, os.getpid()
        self.here = here

    def pass_by(self, name: str) -> None:
        if os.getpid() != self.process:  # a worker
            return
        self.count += 1
        self.log.write(f"{name}\n")
        self.log.flush()
        if self.stop is not None and self.count == self.stop[0]:
            if self.here and self.stop[1] == signal.SIGKILL:
                raise Killed(signal.SIGKILL)
            os.kill(os.getpid(), self.stop[1])


def _instrument(places: _Places) -> None:
    """Call the places from Lightning's hooks and from ``os.replace``."""
    from pytorch_lightning.callbacks import Callback, Checkpoint

    from mobilevision.engine import build

    def hook(name: str) -> Any:
        return lambda self, *args, **kwargs: places.pass_by(f"{name} {self.when}")

    def watcher(base: type, when: str) -> Any:
        return type(f"Watch{when}", (base,), {"when": when, **{name: hook(name) for name in HOOKS}})()

    build_callbacks, replace = build.build_callbacks, os.replace

    def watched(*args: Any, **kwargs: Any) -> list[Any]:
        return [watcher(Callback, "first"), *build_callbacks(*args, **kwargs), watcher(Checkpoint, "last")]

    def replaced(source: Any, target: Any, **kwargs: Any) -> None:
        name = Path(target).name
        places.pass_by(f"before {name}")
        replace(source, target, **kwargs)
        places.pass_by(f"after {name}")

    build.build_callbacks = watched
    os.replace = replaced


def _train(request: dict[str, Any], log: Path) -> int:
    from mobilevision.cli.main import main

    if request["cwd"]:
        os.chdir(request["cwd"])
    _instrument(_Places(log, request["stop"]))
    try:
        main(list(request["arguments"]))
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        return 99
    return 0


def _serve() -> None:
    import pytorch_lightning  # noqa: F401
    import torch

    import mobilevision.tasks.classification
    import mobilevision.tasks.detection  # noqa: F401

    torch.set_num_threads(1)
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryDirectory() as work:
            log, output = Path(work, "places"), Path(work, "output")
            log.touch()
            child = os.fork()
            if child == 0:
                with output.open("w") as file:
                    os.dup2(file.fileno(), 1)
                    os.dup2(file.fileno(), 2)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                code = _train(request, log)
                Path(work, "modules").write_text("\n".join(sys.modules))
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
            code = os.waitstatus_to_exitcode(_wait(child, request["after"]))
            answer = {"code": code, "output": output.read_text(), "places": log.read_text().split("\n")[:-1]}
            print(json.dumps(answer), flush=True)
            if Path(work, "modules").exists():  # what it imported on the way, the next one finds imported
                for name in Path(work, "modules").read_text().split("\n"):
                    with suppress(Exception):
                        importlib.import_module(name)


def _wait(child: int, after: tuple[float, int] | None) -> int:
    """The child's wait status; it is sent a signal if it lives long enough."""
    if after is not None:
        until = time.monotonic() + after[0]
        while time.monotonic() < until:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return status
            time.sleep(0.002)
        os.kill(child, after[1])
    return os.waitpid(child, 0)[1]


def _alone(arguments: list[str]) -> None:
    """One training of several processes, which start each other with this very command line.

    Args:
        arguments: ``RANK:PLACE:SIGNAL`` (empty for none), then those of ``train.py``.
    """
    stop, *rest = arguments
    rank, *at = [int(number) for number in stop.split(":")] if stop else [-1]
    own = rank == int(os.environ.get("LOCAL_RANK", "0"))
    sys.exit(_train({"arguments": rest, "stop": at if own else None, "cwd": None}, Path(os.devnull)))


if __name__ == "__main__":
    _alone(sys.argv[1:]) if len(sys.argv) > 1 else _serve()
