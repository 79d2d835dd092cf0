"""``mobilevision benchmark --device adb``, with a stand-in for ``adb`` whose phone is a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mobilevision
from mobilevision.errors import UserError
from mobilevision.tools.benchmarking.command import benchmark
from mobilevision.tools.benchmarking.phone import FOLDER, PROGRAMS, RUNS, program_of

pytest.importorskip("onnx")

ADB = """#!{python}
import pathlib, shutil, subprocess, sys
phone, log = pathlib.Path({phone!r}), pathlib.Path({log!r})
words = sys.argv[1:]
if words == ["devices"]:
    print({devices!r})
    sys.exit(0)
assert words[:2] == ["-s", "R58M"], words
with log.open("a") as file:
    file.write(" ".join(words[2:]) + "\\n")
if words[2] == "push":
    shutil.copy(words[3], str(phone) + words[4])
    print("1 file pushed")
else:
    command = words[3].replace({folder!r}, str(phone) + {folder!r})
    sys.exit(subprocess.run(["sh", "-c", command]).returncode)
"""
PRINTED = "Session creation time cost: 0.02 s\\nAverage inference time cost: 13 ms\\nP50 Latency: 0.0123 s\\n"
DEVICES = "List of devices attached\nR58M\tdevice\n"


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phone") / "model"
    mobilevision.export(trained, gate_samples=0, latency=False, out=out)
    return out


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that makes the stand-in, and gives the benchmark program that it runs."""

    def made(devices: str = DEVICES, script: str = f"printf '{PRINTED}'") -> Any:
        tools, log = tmp_path / "tools", tmp_path / "log"
        tools.mkdir()
        there = tmp_path / "there"
        there.mkdir()
        values = {"python": sys.executable, "phone": str(there), "log": str(log), "folder": FOLDER, "devices": devices}
        (tools / "adb").write_text(ADB.format(**values))
        (tools / "adb").chmod(0o755)
        (tmp_path / "onnxruntime_perf_test").write_text(f"#!/bin/sh\ntest -s model.onnx || exit 3\n{script}\n")
        monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
        return str(tmp_path / "onnxruntime_perf_test")

    return made


def refused(model: Path, told: str, **options: Any) -> None:
    with pytest.raises(UserError) as caught:
        benchmark([str(model)], device="adb", seconds=0.05, **options)
    assert told in str(caught.value)


def test_the_phones_time_stands_beside_the_machines(exported: Path, phone: Any, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "mobilevision", "benchmark", str(exported), "--device", "adb", "--binary", phone()]
    line += ["--threads", "1,2", "--seconds", "0.05"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ms on R58M" in done.stdout
    assert done.stdout.count(" 12.30 ") == 2
    log = (tmp_path / "log").read_text().splitlines()
    assert any(f"-e cpu -I -m times -r {RUNS} -x 2 model.onnx" in line for line in log)
    assert not (tmp_path / "there" / FOLDER[1:]).exists()  # nothing is left on it


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo hello", "onnxruntime_perf_test on R58M prints no time; its last line: hello"),
        ("echo 'no such provider' >&2; exit 1", "adb shell on R58M failed: no such provider"),
    ],
)
def test_a_run_that_fails_leaves_nothing(script: str, told: str, exported: Path, phone: Any, tmp_path: Path) -> None:
    refused(exported, told, binary=phone(script=script))
    assert not (tmp_path / "there" / FOLDER[1:]).exists()


@pytest.mark.parametrize(
    ("devices", "told"),
    [
        ("List of devices attached\n", "there is no phone: adb lists none"),
        ("List of devices attached\nR58M\tunauthorized\n", "R58M is unauthorized (allow USB debugging on it)"),
        (DEVICES + "X1\tdevice\n", "name one, as ANDROID_SERIAL=R58M"),
    ],
)
def test_phones_that_cannot_be_used(devices: str, told: str, exported: Path, phone: Any) -> None:
    refused(exported, told, binary=phone(devices=devices))


def test_what_cannot_be_measured_is_told(exported: Path, trained: Path, phone: Any, tmp_path: Path) -> None:
    program = phone()
    refused(exported, "name the runtime's own program, built for the phone, by --binary")
    refused(exported, "--binary nowhere: there is no such file", binary="nowhere")
    named = "its name has to say which it is: onnxruntime_perf_test (onnx)"
    refused(exported, named, binary=str(tmp_path / "tools" / "adb"))
    refused(exported, "one image at a time is measured there", binary=program, batch="2")
    refused(trained, "is no exported model: mobilevision export RUN --for phone", binary=program)
    with pytest.raises(UserError, match="only --device adb runs it"):
        benchmark([str(exported)], binary=program)


@pytest.mark.parametrize(
    ("name", "printed", "milliseconds"),
    [
        ("onnxruntime_perf_test_arm64", "Average inference time cost: 62 ms\nP50 Latency: 0.0603562 s\n", 60.3562),
        (
            "android_aarch64_benchmark_model",
            "Inference timings in us: Init: 5811, Warmup (avg): 65539, Inference (avg): 65155.5",
            65.1555,
        ),
        ("xnn_executor_runner", f"I 00:00:01 Model executed successfully {RUNS} time(s) in 512.500000 ms.", 10.25),
    ],
)
def test_what_each_program_prints(name: str, printed: str, milliseconds: float, tmp_path: Path) -> None:
    (tmp_path / name).write_text("")
    program = program_of(tmp_path / name)
    found = program.time.search(printed)
    assert found is not None
    assert float(found[1]) * program.milliseconds / program.of == pytest.approx(milliseconds)
    assert {"{model}", "{runs}"} <= set(program.words.replace("=", " ").split())
    with pytest.raises(UserError, match="no such file"):
        program_of(tmp_path / "other")
    assert len({each.format for each in PROGRAMS}) == len(PROGRAMS)
