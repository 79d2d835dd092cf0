"""A run that broke off, however, says so, leaves nothing half-written, and one command goes on from there."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from pytorch_lightning.callbacks import Callback

from mobilevision.config.compose import compose
from mobilevision.engine import build
from mobilevision.errors import StoppedError, UserError
from mobilevision.io.tensor_files import read_checkpoint
from mobilevision.tracking.run_folder import RunFolder
from mobilevision.training.resuming import compose_resume
from mobilevision.training.train import train
from tests.training.compare_runs import differences
from tests.training.stopping_places import ROOT

SMALL = [
    "backbone.width=0.25",
    "data.resolution=32",
    "data.batch_size=6",
    "data.workers=0",
    "trainer=cpu",
    "trainer.max_epochs=2",
    "logger=none",
    "callbacks.pictures.enabled=false",
]
DRAWN = ["data.format.train=24", "data.format.val=6", "data.format.test=6", *SMALL]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run that came to its end; it is not changed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    train(compose([*DRAWN, f"run_dir={run}"]))
    return run


@pytest.fixture
def at_batch(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], Any]], None]:
    """Do something at the end of the nth training batch of the runs that follow."""

    def arrange(number: int, act: Callable[[], Any]) -> None:
        class Act(Callback):
            seen = 0

            def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
                Act.seen += 1
                if Act.seen == number:
                    act()

        made = build.build_callbacks
        monkeypatch.setattr(build, "build_callbacks", lambda *args: [*made(*args), Act()])

    return arrange


def left(run: Path) -> list[Path]:
    return [path for path in run.rglob("*") if ".part" in path.name]


def test_the_advised_fix_starts_anew_in_the_same_folder(coloured: Path, tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    shutil.copytree(coloured, data)
    (data / "train" / "red" / "broken.png").write_bytes(b"no image")
    command = ["data=folder", f"data.root={data}", *SMALL, f"run_dir={run}"]
    with pytest.raises(UserError, match="broken"):
        train(compose(command))
    with pytest.raises(UserError, match="broken"):  # not: "holds a run already"
        train(compose(command))
    train(compose_resume(run, ["data.on_error=skip"]))
    assert RunFolder(run).metrics_json.is_file()
    assert "on_error: skip" in (run / "config.yaml").read_text()
    with pytest.raises(UserError, match="holds a run already: resume="):
        train(compose(command))


def test_a_mended_root_starts_anew(coloured: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(UserError, match="no such file or folder"):
        train(compose(["data=folder", f"data.root={tmp_path / 'elsewhere'}", *SMALL, f"run_dir={run}"]))
    train(compose(["data=folder", f"data.root={coloured}", *SMALL, f"run_dir={run}"]))
    assert RunFolder(run).metrics_json.is_file()


def test_data_may_move_and_is_recognised(
    coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_batch: Any
) -> None:
    here, run = tmp_path / "here", tmp_path / "run"
    shutil.copytree(coloured, here / "data")
    monkeypatch.chdir(here)
    train(compose(["data=folder", "data.root=data", *SMALL, f"run_dir={tmp_path / 'whole'}"]))
    at_batch(2, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(StoppedError, match="resume="):
        train(compose(["data=folder", "data.root=data", *SMALL, f"run_dir={run}"]))
    monkeypatch.chdir(tmp_path)
    moved, other = tmp_path / "moved", tmp_path / "other"
    shutil.move(here / "data", moved)
    shutil.copytree(moved, other)
    (other / "train" / "red" / "0.png").rename(other / "train" / "blue & <b>" / "00.png")
    with pytest.raises(UserError, match=rf"lay at data\.root={here}/data and is not there: resume={run} data\.root="):
        train(compose_resume(run))
    with pytest.raises(UserError, match="not the data that this run was begun with"):
        train(compose_resume(run, [f"data.root={other}"]))
    train(compose_resume(run, ["data.root=moved"]))
    assert differences(tmp_path / "whole", run) == []
    assert f"root: {moved}" in (run / "config.yaml").read_text()


@pytest.mark.slow
def test_pretrained_weights_may_be_gone(coloured: Path, finished_run: Path, tmp_path: Path, at_batch: Any) -> None:
    whole, run, weights = tmp_path / "whole", tmp_path / "run", tmp_path / "weights"
    shutil.copytree(finished_run, weights)
    given = ["data=folder", f"data.root={coloured}", *SMALL, f"backbone.weights={weights}"]
    train(compose([*given, f"run_dir={whole}"]))
    at_batch(2, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(StoppedError, match="resume="):
        train(compose([*given, f"run_dir={run}"]))
    shutil.rmtree(weights)
    train(compose_resume(run))
    assert differences(whole, run) == []
    assert f"weights: {weights}" in (run / "config.yaml").read_text()


def test_a_relative_root_is_found_from_any_folder(
    coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mobilevision.evaluation.evaluate import evaluate

    monkeypatch.chdir(coloured.parent)
    train(compose(["data=folder", f"data.root={coloured.name}", *SMALL, f"run_dir={tmp_path / 'run'}"]))
    monkeypatch.chdir(tmp_path)
    evaluate("run", ["trainer=cpu"])
    train(compose_resume("run", ["trainer.max_epochs=3"]))


def test_a_run_folder_that_was_deleted_is_an_error(tmp_path: Path, at_batch: Any) -> None:
    run = tmp_path / "run"
    at_batch(3, lambda: shutil.rmtree(run))
    with pytest.raises(UserError, match="was deleted or moved"):
        train(compose([*DRAWN, f"run_dir={run}"]))
    assert not run.exists()


def test_fewer_epochs_than_done_are_refused_and_nothing_is_changed(whole: Path) -> None:
    before = (whole / "config.yaml").read_text()
    with pytest.raises(UserError, match=r"trainer.max_epochs=1: .* is at 2 epochs already: give 2 or more"):
        train(compose_resume(whole, ["trainer.max_epochs=1"]))
    assert (whole / "config.yaml").read_text() == before


def test_a_full_disk_leaves_the_checkpoint_before(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, save, saved = tmp_path / "run", torch.save, []

    def full(checkpoint: Any, file: Any, *args: Any) -> None:
        saved.append(file.name)
        if len(saved) < 4:
            save(checkpoint, file, *args)
            return
        file.write(b"the first bytes")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(UserError, match=r"the disk is full: free some space.*resume="):
            train(compose([*DRAWN, "callbacks.last.every_n_steps=1", f"run_dir={run}"]))
    assert left(run) == []
    read_checkpoint(run / "checkpoints" / "last.ckpt")
    train(compose_resume(run))
    assert differences(whole, run) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, replace = tmp_path / "run", os.replace

    def refused(source: Any, target: Any) -> None:
        if Path(target).name == "metrics.csv":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refused)
        with pytest.raises(UserError, match=r"metrics.csv: permission denied: allow it.*resume="):
            train(compose([*DRAWN, f"run_dir={run}"]))
    assert left(run) == []
    train(compose_resume(run))


def test_a_dead_data_worker_is_one_line(whole: Path, tmp_path: Path, at_batch: Any) -> None:
    run = tmp_path / "run"
    others = psutil.Process().children()  # a browser, say, that other tests here still need
    at_batch(3, lambda: [child.kill() for child in psutil.Process().children() if child not in others])
    train_longer = ["data.format.train=192", "data.workers=1", "callbacks.last.every_n_steps=1"]
    with pytest.raises(UserError, match="a data worker died"):
        train(compose([*DRAWN, *train_longer, f"run_dir={run}"]))
    assert read_checkpoint(run / "checkpoints" / "last.ckpt")["global_step"] >= 1
    train(compose_resume(run, ["data.workers=0"]))


def test_a_data_worker_that_died_of_the_signal_is_not_short_of_memory(tmp_path: Path, at_batch: Any) -> None:
    run = tmp_path / "run"
    others = psutil.Process().children()

    def stop() -> None:
        for child in psutil.Process().children():
            if child not in others:
                child.kill()
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGCHLD)  # where the worker's own comes late, the run has stopped before

    at_batch(3, stop)
    with pytest.raises(StoppedError, match=r"^stopped by a signal that ended a data worker, too; resume="):
        train(compose([*DRAWN, "data.workers=1", "callbacks.last.every_n_steps=1", f"run_dir={run}"]))
    train(compose_resume(run, ["data.workers=0"]))


@pytest.mark.slow
def test_a_signal_to_all_processes_stops_a_run_as_one_to_it_alone(tmp_path: Path, at_batch: Any) -> None:
    run, last = tmp_path / "run", tmp_path / "run" / "checkpoints" / "last.ckpt"
    longer = ["data.format.train=6000", "data.workers=2", "callbacks.last.every_n_steps=1"]
    running = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *DRAWN, *longer, f"run_dir={run}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    while not last.exists() and running.poll() is None:
        time.sleep(0.05)
    if running.poll() is None:
        os.killpg(running.pid, signal.SIGTERM)
    output = running.communicate(timeout=120)[0]
    stopped = re.search(r"stopped at step (\d+); resume=\S+ goes on exactly where it was", output)
    assert stopped, output
    assert running.returncode == 1
    assert "memory" not in output
    assert read_checkpoint(last)["global_step"] == int(stopped[1])
    at_batch(2, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(StoppedError, match=f"stopped at step {int(stopped[1]) + 2};"):
        train(compose_resume(run, ["data.workers=0"]))


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    code = (
        "import sys, fcntl; file = open(sys.argv[1], 'a'); fcntl.lockf(file, fcntl.LOCK_EX); print(flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(run.log)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        with pytest.raises(UserError, match="another process is training in this folder"):
            train(compose([*DRAWN, f"run_dir={run.path}"]))
        assert not run.config.exists()
    finally:
        holder.communicate("")
    train(compose([*DRAWN, f"run_dir={run.path}"]))


def test_checkpoints_that_are_all_ruined_say_what_to_do(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    for name in ("last", "previous"):
        (run / "checkpoints" / f"{name}.ckpt").write_bytes(b"ruined")
    with pytest.raises(UserError, match=r"move .*checkpoints away, and resume=.* starts anew"):
        train(compose_resume(run))


def test_a_run_without_its_plugin_names_it(tmp_path: Path, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = write(
        tmp_path / "my_plugin",
        {
            "quiet_callback.py": "from pytorch_lightning.callbacks import Callback\n\n\nclass Quiet(Callback):\n"
            "    def __init__(self, *, often: int = 1) -> None:\n        self.often = often\n",
            "conf/callbacks/quiet.yaml": "defaults:\n  - default\n\nquiet:\n  _target_: quiet_callback.Quiet\n"
            "  enabled: true\n  often: 1\n",
        },
    )
    monkeypatch.setenv("MOBILEVISION_PATH", str(plugin))
    run = tmp_path / "run"
    train(compose([*DRAWN, "callbacks=quiet", f"run_dir={run}"]))
    assert json.loads((run / "info.json").read_text())["plugins"] == {"my_plugin": f"folder {plugin}"}
    monkeypatch.delenv("MOBILEVISION_PATH")
    with pytest.raises(UserError, match=rf"plugin my_plugin .*MOBILEVISION_PATH={plugin}"):
        compose_resume(run)


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("MOBILEVISION_EXHAUSTIVE"), reason="needs two quiet cores: MOBILEVISION_EXHAUSTIVE=1"
)
def test_a_killed_process_of_two_ends_the_other(tmp_path: Path) -> None:
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.sync_batchnorm=false"]
    options = [*(option for option in DRAWN if option != "trainer=cpu"), *two, f"run_dir={tmp_path / 'run'}"]
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "tests" / "training" / "stopping_places.py"),
            f"1:12:{int(signal.SIGKILL)}",
            *options,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "another process of this training has ended" in done.stderr
    assert left(tmp_path / "run") == []
    again = [sys.executable, "-m", "mobilevision", "train", f"resume={tmp_path / 'run'}"]
    subprocess.run(again, cwd=ROOT, check=True, capture_output=True, timeout=280)
    assert RunFolder(tmp_path / "run").metrics_json.is_file()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("optimizer.lr=1e9", "lower optimizer.lr"),  # after one step, so that only val can tell
        ("data.batch_size=1", "a batch of one image leaves batch norm nothing to compare"),
        ("trainer.val_check_interval=900", "val_check_interval"),
        ("trainer.limit_train_batches=1e-9", "trainer: You requested to check"),
        ("trainer.limit_test_batches=1e-9", "trainer: You requested to check"),
    ],
)
def test_values_that_ruin_a_training_are_one_line(tmp_path: Path, value: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        train(compose([*DRAWN, "trainer.max_epochs=1", "data.format.train=32", value, f"run_dir={tmp_path / 'run'}"]))


@pytest.mark.parametrize("name", ["tpu", "gpu", "mps", "warp"])
def test_an_accelerator_that_is_not_there_is_one_line(tmp_path: Path, name: str) -> None:
    if name in ("gpu", "mps") and (torch.cuda.is_available() or torch.backends.mps.is_available()):
        pytest.skip("this machine has one")
    with pytest.raises(UserError, match=rf"trainer.accelerator={name}: there is none here; there are auto, cpu"):
        train(compose([*DRAWN, f"trainer.accelerator={name}", f"run_dir={tmp_path / 'run'}"]))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", ["augment.mixup=1", "augment.cutmix=1e-300"])
def test_alphas_of_any_size_mix(tmp_path: Path, value: str) -> None:
    train(compose([*DRAWN, "trainer.max_epochs=1", "data.format.train=32", value, f"run_dir={tmp_path / 'run'}"]))


@pytest.mark.parametrize(("place", "said"), [("file", "File exists"), ("file/below", "Not a directory")])
def test_a_run_folder_that_cannot_be_made_is_one_line(tmp_path: Path, place: str, said: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=rf"run_dir=.*{place}: {said}: name another folder"):
        train(compose([*DRAWN, f"run_dir={tmp_path / place}"]))


@pytest.mark.parametrize("place", [".", "run", "train/red"])
def test_a_run_does_not_lie_among_its_images(coloured: Path, tmp_path: Path, place: str) -> None:
    shutil.copytree(coloured, tmp_path / "data")
    with pytest.raises(UserError, match=r"lies in data\.root=.*, whose folders are read as data"):
        train(
            compose(["data=folder", f"data.root={tmp_path / 'data'}", *SMALL, f"run_dir={tmp_path / 'data' / place}"])
        )


@pytest.mark.slow
def test_the_documented_commands_repeat_a_run_in_another_folder(whole: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "resume.md").read_text(encoding="utf-8")
    (commands,) = [block for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) if "cp RUN" in block]
    typed = commands.replace("RUN/", f"{shlex.quote(str(whole))}/")
    typed = typed.replace("python train.py", shlex.join([sys.executable, str(ROOT / "train.py")]))
    subprocess.run(["bash", "-e", "-c", typed], cwd=tmp_path, check=True, capture_output=True)
    assert not differences(whole, tmp_path / "again")


@pytest.mark.parametrize(("side", "said"), [("1", "1"), ("15", "15"), ("[64,8]", "[64, 8]")])
def test_a_side_far_below_the_stride_is_refused(side: str, said: str) -> None:
    line = rf"data\.resolution={re.escape(said)}: .* 32 x 32 pixels: give 32 or more"
    with pytest.raises(UserError, match=line):
        build.build(compose([*DRAWN, f"data.resolution={side}"]))


@pytest.mark.parametrize(("side", "notes"), [("16", 1), ("31", 1), ("32", 0), ("null", 0)])
def test_a_side_below_the_stride_is_told(side: str, notes: int) -> None:
    built = build.build(compose([*DRAWN, f"data.resolution={side}"]))
    assert sum("at 32 and above more is learnt" in note for note in built.data.splits.notes) == notes


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_disk_that_is_really_full_leaves_whole_files(tmp_path: Path, processes: int) -> None:
    """In a name space of its own a file system of 6 MB is mounted: room for two checkpoints of three."""
    if subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.sync_batchnorm=false"]
    options = [*(option for option in DRAWN if option != "trainer=cpu"), "callbacks.last.every_n_steps=1"]
    options += two if processes == 2 else ["trainer=cpu"]
    disk, out = tmp_path / "disk", tmp_path / "out"
    disk.mkdir()
    command = [str(Path(sys.executable).with_name("mobilevision")), "train", *options, f"run_dir={disk / 'run'}"]
    script = 'mount -t tmpfs -o size=6m tmpfs "$1"; cd /; out=$2; shift 2; "$@"; code=$?; cp -r "$0" "$out"; exit $code'
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", script, str(disk / "run"), str(disk), str(out), *command],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "the disk is full: free some space" in done.stderr
    assert left(out) == []
    assert (out / "config.yaml").is_file()
    for checkpoint in out.glob("checkpoints/*.ckpt"):
        read_checkpoint(checkpoint)


@pytest.mark.parametrize("more", [[], ["data.folds=2"]])
def test_a_run_beside_the_images_of_the_folder_that_it_stands_in_is_refused_and_leaves_nothing(
    more: list[str], coloured: Path, tmp_path: Path
) -> None:
    images = shutil.copytree(coloured / "train", tmp_path / "images")
    command = [sys.executable, str(ROOT / "train.py"), "data=auto", "data.root=.", "logger=none", "trainer=cpu", *more]
    done = subprocess.run(command, cwd=images, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 1
    told = r"error: run_dir=outputs/classification lies in data\.root=\.?.*, whose folders are read as data: name one"
    assert re.search(told, done.stderr), done.stderr
    assert not (images / "outputs").exists()


def test_a_limit_on_the_size_of_files_is_one_line(tmp_path: Path) -> None:
    options = ["data.format.train=16", "data.format.val=8", "data.format.test=8", "data.workers=0", "trainer=cpu"]
    command = [sys.executable, str(ROOT / "train.py"), *options, "trainer.max_epochs=1", "logger=none", "run_dir=run"]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200 * 1024, 200 * 1024))

    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False, preexec_fn=limit
    )
    assert done.returncode == 1
    assert "best.ckpt: the checkpoint could not be written whole: is there room" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "run" / "checkpoints").iterdir()) == []
