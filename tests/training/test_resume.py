"""A training that is stopped at any place, in any way, once or twice, ends with the very files of one that was not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from mobilevision.callbacks.history import read_history
from tests.training.compare_runs import differences
from tests.training.stopping_places import ROOT, Trainings, TrainingsHere

KILL, TERM, INT = signal.SIGKILL, signal.SIGTERM, signal.SIGINT
SHORT = [
    "data.format.train=32",
    "data.format.val=12",
    "data.format.test=8",
    "data.batch_size=8",
    "data.workers=0",
    "trainer=cpu",
    "trainer.max_epochs=2",
    "logger=none",
    "callbacks.pictures.enabled=false",
    "callbacks.last.every_n_steps=2",
]
CLASSES = ["backbone.width=0.25", "data.resolution=32", "head.dropout=0.3", *SHORT]
EMA = ["callbacks.ema.enabled=true", "callbacks.ema.decay=0.9"]
EARLY = ["callbacks.early_stopping.enabled=true", "callbacks.early_stopping.patience=1"]
BOXES = [
    "task=detection",
    "backbone.width=0.25",
    "data.resolution=96",
    *SHORT,
    "data.format.val=8",
    "augment=boxes_none",
]
KINDS = {
    "classification": [*CLASSES, *EMA, *EARLY, "trainer.max_epochs=3"],
    "accumulation": [*CLASSES, "trainer.accumulate_grad_batches=3", "callbacks.last.every_n_steps=1"],
    "frozen": [*CLASSES, "freeze.epochs=1", "data.workers=2"],
    "steps": [*CLASSES, "trainer.max_steps=7", "trainer.max_epochs=9"],
    "half": [*CLASSES, "trainer.val_check_interval=0.5"],
    "seldom": [*CLASSES, "trainer.check_val_every_n_epoch=2", "trainer.max_epochs=3"],
    "identities": [
        "task=face_embedding",
        "data.per_identity=2",
        "data.format.pictures=2",
        "loss.warmup=10",
        "backbone.width=0.25",
        "data.resolution=32",
        *SHORT,
    ],
    "detection": BOXES,
    "distillation": [*CLASSES, "distill=outputs", "distill.cache=true", "augment=none", "distill.teacher={teacher}"],
}
Runner = TrainingsHere | Trainings
Whole = Callable[[str], tuple[Path, list[str], tuple[str, ...]]]


@pytest.fixture(scope="module")
def trainings() -> TrainingsHere:
    """Trainings in this process."""
    return TrainingsHere()


@pytest.fixture(scope="module")
def forked() -> Iterator[Trainings]:
    """Trainings in processes of their own, which are really killed."""
    server = Trainings()
    yield server
    server.close()


@pytest.fixture(scope="module")
def whole(trainings: Runner, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """For a kind: the folder of an uninterrupted run, its options, and the places that it came by."""
    made: dict[str, tuple[Path, list[str], tuple[str, ...]]] = {}
    base = tmp_path_factory.mktemp("whole")

    def make(kind: str) -> tuple[Path, list[str], tuple[str, ...]]:
        if kind not in made:
            options = [option.format(teacher=base / "teacher") for option in KINDS[kind]]
            if kind == "distillation" and not (base / "teacher").exists():
                taught = trainings.run(*CLASSES, "trainer.max_epochs=1", f"run_dir={base / 'teacher'}", cwd=base)
                assert taught.code == 0, taught.output
            ended = trainings.run(*options, f"run_dir={base / kind}", cwd=base)
            assert ended.code == 0, ended.output
            made[kind] = base / kind, options, ended.places
        return made[kind]

    return make


def stopped(
    trainings: Runner, options: Sequence[str], run: Path, stops: Sequence[tuple[int, signal.Signals]]
) -> list[str]:
    """Stop a run at these places, one after the other, and let it then come to its end; what is wrong with its way."""
    shutil.rmtree(run, ignore_errors=True)
    begin = [*options, f"run_dir={run}"]
    for stop in [*stops, None]:
        there = (run / "config.yaml").exists()
        ended = trainings.run(*([f"resume={run}"] if there else begin), stop=stop, cwd=run.parent)
        if "Traceback" in ended.output:
            return [f"traceback after {stop}: {ended.output}"]
        if stop is None and ended.code != 0:
            return [f"dead end: {ended.output}"]
        if stop is not None and ended.code == 0 and len(ended.places) >= stop[0]:
            return [f"false success at {stop}: {ended.output}"]
        if stop is not None and stop[1] != KILL and ended.code not in (0, 1, 130):
            return [f"exit code {ended.code} at {stop}: {ended.output}"]
    return [f"left: {path}" for path in run.rglob("*.part")]


def at(places: Sequence[str], name: str, nth: int = 1) -> int:
    """The number of the nth place of that name; counted from the end for negative ones."""
    found = [number for number, each in enumerate(places, 1) if each == name]
    return found[nth - 1 if nth > 0 else nth]


@pytest.mark.parametrize(
    ("name", "nth", "way"),
    [
        ("after config.yaml", 1, KILL),
        ("on_after_backward first", 2, INT),
        ("on_validation_end first", 2, INT),
        ("before best.ckpt", 1, KILL),
        ("before metrics.json", 1, INT),
        *(
            pytest.param(name, nth, way, marks=pytest.mark.slow)
            for name, nth, way in (
                ("on_train_batch_start last", 1, TERM),
                ("on_train_batch_end last", 4, TERM),
                ("on_train_batch_end first", 8, INT),
                ("on_validation_start first", 1, KILL),
                ("on_validation_batch_end last", 1, TERM),
                ("after best.ckpt", -1, KILL),
                ("before metrics.csv", 2, KILL),
                ("before last.ckpt", -1, KILL),
                ("on_train_end first", 1, TERM),
                ("on_test_batch_end first", 1, TERM),
            )
        ),
    ],
)
def test_a_classifier_stopped_once(
    trainings: Runner, whole: Whole, tmp_path: Path, name: str, nth: int, way: signal.Signals
) -> None:
    run, options, places = whole("classification")
    assert stopped(trainings, options, tmp_path / "run", [(at(places, name, nth), way)]) == []
    assert differences(run, tmp_path / "run") == []


OFTEN = ("accumulation", "detection")  # kinds that every run of the tests stops; CI stops the others, too


@pytest.mark.parametrize(
    "kind",
    [*OFTEN, *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS if kind not in (*OFTEN, "classification"))],
)
def test_stopped_again_and_again(trainings: Runner, whole: Whole, tmp_path: Path, kind: str) -> None:
    run, options, places = whole(kind)
    last_step = at(places, "on_validation_start first") - 1
    before_a_checkpoint = at(places, "on_train_batch_start last")
    stops = [(before_a_checkpoint, KILL), (last_step, TERM), (at(places, "on_train_batch_end last", 2), INT)]
    stops.append((last_step, KILL))
    assert stopped(trainings, options, tmp_path / "run", stops) == []
    assert differences(run, tmp_path / "run") == []


@pytest.mark.slow
def test_stopped_before_it_began(forked: Trainings, whole: Whole, tmp_path: Path) -> None:
    kept, options, places = whole("classification")
    run = tmp_path / "run"
    for way in (TERM, INT, KILL):
        cut = forked.run(*options, f"run_dir={run}", stop=(at(places, "before config.yaml"), way))
        assert way == KILL or "stopped before the run began; the same command begins it" in cut.output
        resumed = forked.run(f"resume={run}")
        assert resumed.code == 1
        assert "nothing was trained there, its run was stopped before it began" in resumed.output
    ended = forked.run(*options, f"run_dir={run}")
    assert ended.code == 0, ended.output
    assert list(run.glob(".*")) == []  # of what the kill left
    assert differences(kept, run) == []


def test_an_epoch_without_validation_is_never_the_best(trainings: Runner, whole: Whole, tmp_path: Path) -> None:
    run, options, places = whole("seldom")
    last_epoch = at(places, "on_train_batch_end last", -1)
    assert stopped(trainings, options, tmp_path / "run", [(last_epoch, KILL)]) == []
    assert differences(run, tmp_path / "run") == []


def test_a_signal_that_nobody_hears_ends_the_training_alone(
    trainings: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mobilevision.training.train.start", lambda cfg, **_: signal.raise_signal(TERM))
    assert trainings.run(*CLASSES, f"run_dir={tmp_path / 'run'}").code == -TERM
    assert signal.getsignal(TERM) == signal.SIG_DFL


def test_a_ruined_checkpoint_falls_back_to_the_one_before(trainings: Runner, whole: Whole, tmp_path: Path) -> None:
    kept, options, places = whole("classification")
    run = tmp_path / "run"
    trainings.run(*options, f"run_dir={run}", stop=(at(places, "on_validation_end first", 2), KILL))
    last = run / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    ended = trainings.run(f"resume={run}")
    assert ended.code == 0, ended.output
    assert "previous.ckpt" in ended.output
    assert differences(kept, run) == []


def test_more_epochs_recompute_the_schedule_and_say_so(trainings: Runner, whole: Whole, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole("half")[0], run)
    ended = trainings.run(f"resume={run}", "trainer.max_epochs=3")
    assert ended.code == 0, ended.output
    assert "schedule" in ended.output
    assert [row["epoch"] for row in read_history(run / "metrics.csv")] == ["1", "2", "3"]


def test_an_early_end_is_an_end(trainings: Runner, whole: Whole, tmp_path: Path) -> None:
    _, options, _ = whole("classification")
    never = ["callbacks.early_stopping.min_delta=2", "trainer.max_epochs=5", f"run_dir={tmp_path / 'run'}"]
    ended = trainings.run(*options, *never)
    assert [row["epoch"] for row in read_history(tmp_path / "run" / "metrics.csv")] == ["1", "2"]
    places = ended.places
    stops = [(at(places, "on_test_batch_end first"), TERM)]
    assert stopped(trainings, [*options, *never[:2]], tmp_path / "cut", stops) == []
    assert differences(tmp_path / "run", tmp_path / "cut") == []


EXHAUSTIVE = bool(os.environ.get("MOBILEVISION_EXHAUSTIVE"))  # hours; without it, every seventh place in one way


@pytest.mark.slow
@pytest.mark.timeout(0 if EXHAUSTIVE else 900)
@pytest.mark.parametrize("first", range(3 if EXHAUSTIVE else 1))
@pytest.mark.parametrize("kind", KINDS if EXHAUSTIVE else ["classification"])
def test_every_single_place(forked: Trainings, whole: Whole, tmp_path: Path, kind: str, first: int) -> None:
    run, options, places = whole(kind)
    wrong = {}
    for number, name in list(enumerate(places, 1))[:: 1 if EXHAUSTIVE else 7]:
        way = (KILL, TERM, INT)[(first + number) % 3]
        found = stopped(forked, options, tmp_path / "run", [(number, way)])
        if found := found or differences(run, tmp_path / "run"):
            wrong[f"{number} {name}"] = found
    assert wrong == {}


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.skipif(not EXHAUSTIVE, reason="takes an hour: set MOBILEVISION_EXHAUSTIVE=1")
@pytest.mark.parametrize("kind", ["classification", "detection", "distillation"])
def test_every_single_place_twice(forked: Trainings, whole: Whole, tmp_path: Path, kind: str) -> None:
    run, options, places = whole(kind)
    wrong = {}
    ways = (KILL, TERM, INT)
    for number in range(1, len(places) + 1):
        second = 1 + (7 * number) % (len(places) // 2)  # of those that are left, another each time
        stops = [(number, ways[number % 3]), (second, ways[number // 3 % 3])]
        found = stopped(forked, options, tmp_path / "run", stops)
        if found := found or differences(run, tmp_path / "run"):
            wrong[str(stops)] = found
    assert wrong == {}


TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.sync_batchnorm=false"]


@pytest.mark.slow
@pytest.mark.skipif(not EXHAUSTIVE, reason="two processes need two quiet cores: set MOBILEVISION_EXHAUSTIVE=1")
def test_two_processes_stopped_at_a_last_step_and_in_a_validation(tmp_path: Path) -> None:
    options = [*(option for option in CLASSES if option != "trainer=cpu"), *EMA, *TWO, "data.format.train=64"]
    options.append("data.format.val=21")  # one process has a batch more than the other

    def train(*arguments: str, stop: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / "tests" / "training" / "stopping_places.py"), stop, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=280,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        )

    done = train(*options, f"run_dir={tmp_path / 'whole'}")
    assert done.returncode == 0, done.stdout + done.stderr
    # The last step, two places of the validation, and a step of the first epoch: see the order in HOOKS.
    for number, way in ((36, TERM), (40, TERM), (43, INT), (24, KILL)):
        run = tmp_path / f"cut{number}"
        cut = train(*options, f"run_dir={run}", stop=f"0:{number}:{int(way)}")
        assert cut.returncode != 0
        assert "Traceback" not in cut.stderr
        again = train(f"resume={run}")
        assert again.returncode == 0, again.stdout + again.stderr
        assert differences(tmp_path / "whole", run) == []
