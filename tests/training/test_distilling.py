"""Distillation in whole runs: every way on every task it fits, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mobilevision.config.compose import compose
from mobilevision.engine.build import build
from mobilevision.engine.restore import load_run
from mobilevision.errors import UserError
from mobilevision.io.tensor_files import read_checkpoint
from mobilevision.training.distillation import distil
from mobilevision.training.resuming import compose_resume
from mobilevision.training.train import train

QUICK = [
    "trainer=cpu",
    "logger=none",
    "callbacks.pictures.enabled=false",
    "data.workers=0",
    "data.batch_size=8",
    "backbone.width=0.25",
]
TASKS = {
    "classification": ["data.resolution=32", "data.format.train=24", "data.format.val=8", "data.format.test=8"],
    "face_attributes": ["data.resolution=32", "data.format.train=24", "data.format.val=8", "data.format.test=8"],
    "face_embedding": [
        "data.resolution=32",
        "data.format.train=4",
        "data.format.val=2",
        "data.format.test=2",
        "data.format.pictures=6",
    ],
    "detection": ["data.format.train=16", "data.format.val=8", "data.format.test=8", "head=ssdlite"],
}
STEPS = ["trainer.limit_train_batches=2", "trainer.max_epochs=1"]


def run(folder: Path, *overrides: str) -> dict[str, float]:
    return train(compose([*QUICK, *overrides, f"run_dir={folder}"]))


@pytest.fixture(scope="session")
def teacher_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a wider run of a task, made when it is first asked for."""
    made: dict[str, Path] = {}

    def find(task: str) -> Path:
        if task not in made:
            folder = tmp_path_factory.mktemp("teachers") / task
            run(folder, f"task={task}", *TASKS[task], *STEPS, "backbone.width=0.5")
            made[task] = folder
        return made[task]

    return find


WAYS = {
    "classification": ("outputs", "logits", "embeddings", "features"),
    "face_attributes": ("outputs", "logits", "embeddings", "features"),
    "face_embedding": ("outputs", "embeddings", "features"),
    "detection": ("detections", "features"),
}
OFTEN = (("classification", "outputs"), ("detection", "detections"))


@pytest.mark.parametrize(
    ("task", "way"),
    [
        pytest.param(task, way, marks=() if (task, way) in OFTEN else pytest.mark.slow)
        for task, ways in WAYS.items()
        for way in ways
    ],
)
def test_every_way_on_every_task_it_fits(
    task: str, way: str, teacher_of: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "student"
    given = [f"distill={way}", f"distill.teacher={teacher_of(task)}"]
    results = run(folder, f"task={task}", *TASKS[task], *STEPS, *given)
    assert all(name.startswith("test/") for name in results)
    rows = json.loads((folder / "tables.json").read_text())["student_and_teacher"]
    costs = next(row for row in rows if row["metric"] == "parameters")
    assert costs["student"] < costs["teacher"]
    assert (len(rows) > 2) == (way not in ("embeddings", "features"))
    state = read_checkpoint(folder / "checkpoints" / "best.ckpt")["state_dict"]
    along = [key for key in state if key.startswith("distiller.")]
    assert bool(along) == (way == "features" or (way == "embeddings" and task != "face_embedding"))
    assert all("teacher" not in key for key in along)
    load_run(folder)


def test_a_distilled_run_needs_no_teacher(teacher_of: Callable[[str], Path], tmp_path: Path) -> None:
    teacher, folder = tmp_path / "teacher", tmp_path / "student"
    shutil.copytree(teacher_of("classification"), teacher)
    given = ["distill=embeddings", f"distill.teacher={teacher}"]
    run(folder, *TASKS["classification"], *STEPS, *given)
    shutil.rmtree(teacher)
    task = load_run(folder).task
    assert task.distiller is None
    assert task.predict(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))["probabilities"].shape == (1, 10)


def test_a_resumed_run_equals_one_that_was_not_stopped(teacher_of: Callable[[str], Path], tmp_path: Path) -> None:
    """With a projection that is learnt along, a moving average, and a checkpoint as the teacher."""
    teacher = teacher_of("classification") / "checkpoints" / "best.ckpt"
    common = [
        *TASKS["classification"],
        "distill=embeddings",
        f"distill.teacher={teacher}",
        "callbacks.ema.enabled=true",
        "scheduler=constant",
    ]
    run(tmp_path / "whole", *common, "trainer.max_epochs=2")
    run(tmp_path / "parts", *common, "trainer.max_epochs=1")
    train(compose_resume(tmp_path / "parts", ["trainer.max_epochs=2"]))
    whole, parts = (read_checkpoint(tmp_path / name / "checkpoints" / "last.ckpt") for name in ("whole", "parts"))
    assert any(key.startswith("distiller.") for key in whole["state_dict"])
    for key, value in whole["state_dict"].items():
        assert torch.equal(value, parts["state_dict"][key]), key


def test_a_teacher_that_does_not_fit_is_refused(
    teacher_of: Callable[[str], Path], coloured: Path, tmp_path: Path
) -> None:
    teacher = teacher_of("classification")
    with pytest.raises(UserError, match=r"Teacher \(10\): disk.*Student \(3\): blue"):
        run(tmp_path / "a", "data=folder", f"data.root={coloured}", "distill=outputs", f"distill.teacher={teacher}")
    with pytest.raises(UserError, match="trained for classification"):
        run(
            tmp_path / "b", "task=face_attributes", *TASKS["face_attributes"], "distill=outputs",
            f"distill.teacher={teacher}",
        )  # fmt: skip
    with pytest.raises(UserError, match="no such run folder"):
        run(tmp_path / "c", *TASKS["classification"], "distill=outputs", "distill.teacher=nowhere")
    given = ["distill=detections", f"distill.teacher={teacher_of('detection')}", "data.resolution=96"]
    with pytest.raises(UserError, match="candidate by candidate"):
        run(tmp_path / "d", "task=detection", *TASKS["detection"], *given)
    with pytest.raises(UserError, match="task=detection learns from boxes"):
        compose(["task=detection", "distill=outputs", f"distill.teacher={teacher}"])
    with pytest.raises(UserError, match=r"distill.teacher has no value"):
        compose(["distill=outputs"])


def test_a_teacher_that_was_broken_off_is_refused(teacher_of: Callable[[str], Path], tmp_path: Path) -> None:
    teacher = tmp_path / "teacher"
    shutil.copytree(teacher_of("classification"), teacher)
    (teacher / "metrics.json").unlink()
    given = ["distill=outputs", f"distill.teacher={teacher}"]
    with pytest.raises(UserError, match="has not come to its end"):
        run(tmp_path / "student", *TASKS["classification"], *given)


@pytest.mark.slow
def test_images_without_labels_join_in(teacher_of: Callable[[str], Path], tmp_path: Path) -> None:
    others = tmp_path / "others" / "below"
    others.mkdir(parents=True)
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(others / f"{number}.png")
    more = f"data.unlabelled={others.parent}"
    with pytest.raises(UserError, match="add distill=outputs"):
        run(tmp_path / "a", *TASKS["classification"], *STEPS, more)
    for task, way in (("classification", "outputs"), ("face_attributes", "logits"), ("detection", "detections")):
        given = [f"distill={way}", f"distill.teacher={teacher_of(task)}", "distill.label_weight=1"]
        folder = tmp_path / task
        run(folder, f"task={task}", *TASKS[task], more, *given, "trainer.max_epochs=1")
        notes = json.loads((folder / "info.json").read_text())["notes"]
        assert any("without labels: 20 images" in note for note in notes)


@pytest.mark.slow
def test_a_cache_is_used_again_and_refused_when_something_changed(
    teacher_of: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = [
        f"distill.teacher={teacher_of('classification')}",
        "distill.cache=true",
        f"distill.cache_folder={tmp_path}",
    ]
    common = [*TASKS["classification"], "distill=outputs", *cache]
    with pytest.raises(UserError, match="augment=none"):
        run(tmp_path / "a", *common)
    first = run(tmp_path / "b", *common, *STEPS, "augment=none")
    assert "kept in" in capsys.readouterr().out
    again = run(tmp_path / "c", *common, *STEPS, "augment=none")
    assert "images from" in capsys.readouterr().out
    plain = run(tmp_path / "d", *common, *STEPS, "augment=none", "distill.cache=false")
    assert first == again == pytest.approx(plain, abs=1e-4)
    for change, what in (("data.seed=5", "data"), ("data.fit=stretch", "crop")):
        with pytest.raises(UserError, match=f"another {what}"):
            run(tmp_path / f"e{what}", *common, *STEPS, "augment=none", change)


def test_a_teacher_that_may_have_seen_the_test_is_told(coloured: Path, tmp_path: Path) -> None:
    given = ["data=folder", f"data.root={coloured / 'train'}", "data.resolution=32", "data.test_fraction=0.3"]
    teacher = tmp_path / "teacher"
    run(teacher, *given, *STEPS)
    for seed, root, told in ((0, "train", False), (1, "train", True), (1, "test", False)):
        now = [*given, f"data.seed={seed}", f"data.root={coloured / root}", f"run_dir={tmp_path / 'student'}"]
        cfg = compose([*QUICK, *now, "distill=outputs", f"distill.teacher={teacher / 'checkpoints' / 'best.ckpt'}"])
        distil(cfg, built := build(cfg))
        assert any("cut the same data otherwise" in note for note in built.data.splits.notes) == told


def test_a_table_of_outputs_teaches(coloured: Path, tmp_path: Path) -> None:
    """Columns in another order than the classes; paths as the end of the data's."""
    table = tmp_path / "teacher.csv"
    names = ["red", "green", "blue & <b>"]
    lines = ["path," + ",".join(names)]
    for split in ("train", "val", "test"):
        for file in sorted((coloured / split).rglob("*.png")):
            values = [0.9 if file.parent.name == name else 0.05 for name in names]
            lines.append(",".join([str(file.relative_to(coloured)), *map(str, values)]))
    table.write_text("\n".join(lines))
    given = ["data=folder", f"data.root={coloured}", "data.resolution=32", "distill=outputs"]
    run(tmp_path / "student", *given, *STEPS, f"distill.teacher={table}")
    rows = json.loads((tmp_path / "student" / "tables.json").read_text())["student_and_teacher"]
    found = {row["metric"]: row["teacher"] for row in rows}
    assert found["top1"] == 1
    assert found["parameters"] is None
    table.write_text("\n".join([lines[0], "elsewhere.png,1,0,0"]))
    with pytest.raises(UserError, match="none of the data's images"):
        run(tmp_path / "b", *given, f"distill.teacher={table}")
    table.write_text("\n".join([lines[0], "a.png,1,0,x"]))
    with pytest.raises(UserError, match=r"teacher.csv:2: blue & <b>=x"):
        run(tmp_path / "c", *given, f"distill.teacher={table}")


def test_the_example_trains_its_own_teacher_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    small = [each for each in QUICK if "width" not in each]
    words = ["task=distillation", *small, *TASKS["classification"], *STEPS]
    train(compose([*words, "run_dir=one"]))
    assert "trained first" in capsys.readouterr().out
    train(compose([*words, "run_dir=two"]))
    assert "trained before" in capsys.readouterr().out
    assert load_run("one").cfg.distill.teacher == load_run("two").cfg.distill.teacher
    with pytest.raises(UserError, match="has width 1"):
        train(compose([*words, "backbone=mobilenet_v1"]))


def test_options_that_do_not_go_with_a_teacher(teacher_of: Callable[[str], Path], tmp_path: Path) -> None:
    given: list[Any] = [*TASKS["classification"], "distill=outputs", f"distill.teacher={teacher_of('classification')}"]
    with pytest.raises(UserError, match=r"freeze.cache=false"):
        run(tmp_path / "a", *given, "freeze.epochs=1")
    with pytest.raises(UserError, match=r"last layers untaught"):
        run(tmp_path / "b", *TASKS["classification"], "distill=features", given[-1], "distill.label_weight=0")
