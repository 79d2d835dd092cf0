"""Time on a phone through ``adb``: a runtime's benchmark program and a model's files are pushed, run and removed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, final

from mobilevision.deploy.manifest import Manifest
from mobilevision.errors import UserError
from mobilevision.tools.models import Exported

FOLDER = "/data/local/tmp/mobilevision"
"""On the phone: every user of ``adb`` may write there, and run what lies there."""
RUNS = 50
"""Images that are timed."""
_PATIENCE = 10  # seconds for adb's server to start
_LONGEST = 600  # seconds for pushing a file, or for the runs


@final
@dataclass(frozen=True)
class Program:
    """A runtime's benchmark program.

    Attributes:
        file: what its file is called, or at least a part of that.
        format: of the exports that it runs.
        words: its command line, behind its own name, with ``{model}``, ``{runs}`` and ``{threads}``.
        time: finds the time in what it prints.
        milliseconds: how many a number so found is.
        of: how many images that time is of.
        kind: what it is of the runs.
    """

    file: str
    format: str
    words: str
    time: re.Pattern[str]
    milliseconds: float
    kind: str
    of: int = 1


PROGRAMS = (
    Program(
        "onnxruntime_perf_test",
        "onnx",
        "-e cpu -I -m times -r {runs} -x {threads} {model}",
        re.compile(r"^P50 Latency: ([\d.e+-]+) s", re.MULTILINE),
        1e3,
        "median",
    ),
    Program(
        "benchmark_model",
        "litert",
        "--graph={model} --num_threads={threads} --num_runs={runs}",
        re.compile(r"Inference \(avg\): ([\d.e+-]+)"),
        1e-3,
        "mean",
    ),
    Program(
        "executor_runner",
        "executorch",
        "--model_path={model} --num_executions={runs} --cpu_threads={threads}",
        re.compile(r"executed successfully \d+ time\(s\) in ([\d.e+-]+) ms"),
        1.0,
        "mean",
        of=RUNS,
    ),
)


class Phones(NamedTuple):
    """What ``adb`` knows.

    Attributes:
        ready: serial numbers of those that can be used.
        why: where there is none, the reason.
    """

    ready: tuple[str, ...]
    why: str


def phones() -> Phones:
    """The phones that ``adb devices`` lists."""
    program = shutil.which("adb")
    if program is None:
        return Phones((), "adb (of Android's platform tools) is not installed")
    try:
        how: Any = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
        done = subprocess.run([program, "devices"], timeout=_PATIENCE, check=False, **how)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Phones((), f"adb does not answer ({type(error).__name__})")
    found = [line.split("\t") for line in done.stdout.splitlines()[1:] if "\t" in line]
    ready = tuple(name for name, state in found if state.strip() == "device")
    waiting = [f"{name} is {state.strip()}" for name, state in found]
    return Phones(ready, f"{', '.join(waiting)} (allow USB debugging on it)" if waiting else "adb lists none")


def chosen_phone() -> str:
    """The serial number of the one phone, or of that which ``ANDROID_SERIAL`` names.

    Raises:
        UserError: there is none, or several.
    """
    found = phones()
    if not found.ready:
        raise UserError(f"--device adb: there is no phone: {found.why}")
    wanted = os.environ.get("ANDROID_SERIAL")
    if wanted is not None and wanted not in found.ready:
        raise UserError(f"ANDROID_SERIAL={wanted}: adb lists {', '.join(found.ready)}")
    if wanted is None and len(found.ready) > 1:
        names = ", ".join(found.ready)
        raise UserError(f"--device adb: there are {names}: name one, as ANDROID_SERIAL={found.ready[0]}")
    return wanted or found.ready[0]


def program_of(path: Path) -> Program:
    """What a benchmark program's file is.

    Raises:
        UserError: it is not there, or none that is known.
    """
    if not path.is_file():
        raise UserError(f"--binary {path}: there is no such file")
    for each in PROGRAMS:
        if each.file in path.name:
            return each
    names = ", ".join(f"{each.file} ({each.format})" for each in PROGRAMS)
    raise UserError(f"--binary {path}: its name has to say which it is: {names}")


def check_phone(subjects: Sequence[Any], binary: str | None, batches: Sequence[int]) -> tuple[str, Program]:
    """The phone and the program, where all models can be run by it.

    Raises:
        UserError: they cannot, or there is no program or phone.
    """
    if binary is None:
        known = ", ".join(f"{each.file} for {each.format}" for each in PROGRAMS)
        raise UserError(f"--device adb: name the runtime's own program, built for the phone, by --binary: {known}")
    program = program_of(Path(binary))
    for each in subjects:
        if not isinstance(each, Exported):
            raise UserError(f"--device adb: {each.name} is no exported model: mobilevision export RUN --for phone")
        if each.format != program.format:
            raise UserError(f"--device adb: {program.file} runs {program.format}, and {each.argument} is {each.format}")
    if list(batches) != [1]:
        raise UserError("--device adb: one image at a time is measured there; leave --batch out")
    return chosen_phone(), program


def milliseconds(folder: Path, phone: str, binary: Path, program: Program, *, threads: int) -> float:
    """Milliseconds an image of an exported model on the phone.

    Args:
        folder: of the exported model.
        phone: its serial number.
        binary: the benchmark program, built for the phone.
        program: what it is.
        threads: of the phone's CPU.

    Raises:
        UserError: a step fails, or the program prints no time.
    """
    manifest = Manifest.read(folder)
    manifest.check(folder)
    _adb(phone, "shell", f"mkdir -p {FOLDER}")
    try:
        for file in (binary, *(folder / each.name for each in manifest.files)):
            _adb(phone, "push", str(file), f"{FOLDER}/{file.name}")
        words = program.words.format(model=shlex.quote(manifest.file.name), runs=RUNS, threads=threads)
        name = shlex.quote(binary.name)
        said = _adb(phone, "shell", f"cd {FOLDER} && chmod 755 {name} && LD_LIBRARY_PATH=. ./{name} {words}")
    finally:
        _adb(phone, "shell", f"rm -rf {FOLDER}")
    found = program.time.search(said)
    if found is None:
        last = (said.strip().splitlines() or ["nothing"])[-1][:160]
        raise UserError(f"{program.file} on {phone} prints no time; its last line: {last}")
    return float(found[1]) * program.milliseconds / program.of


def _adb(phone: str, *words: str) -> str:
    """What ``adb`` prints, of both streams."""
    line = ["adb", "-s", phone, *words]
    try:
        how: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
        done = subprocess.run(line, text=True, errors="replace", timeout=_LONGEST, check=False, **how)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"adb {words[0]}: {type(error).__name__}: is {phone} still connected?") from None
    if done.returncode:
        last = (done.stdout.strip().splitlines() or ["no message"])[-1][:200]
        raise UserError(f"adb {words[0]} on {phone} failed: {last}")
    return str(done.stdout)
