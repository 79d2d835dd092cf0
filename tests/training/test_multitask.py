"""A run of several tasks on one backbone, from the command to predictions, files, and what it goes on with."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch import nn

import mobilevision
from mobilevision.config.compose import compose
from mobilevision.config.loaded import read_config
from mobilevision.engine.build import build
from mobilevision.engine.restore import load_run
from mobilevision.errors import UserError
from mobilevision.evaluation.evaluate import evaluate
from mobilevision.exporting.command import export
from mobilevision.io.tensor_files import read_checkpoint
from mobilevision.prediction.predict import predict
from mobilevision.spec import DataSpec
from mobilevision.tools.costs.command import cost
from mobilevision.tools.costs.counting import class_info_of, cost_of
from mobilevision.training.extending import compose_extended, take_over
from mobilevision.training.prerequisite_runs import train_teacher
from mobilevision.training.resuming import compose_resume
from mobilevision.training.teachers import of_run
from mobilevision.training.train import train

PARTS = ("objects", "ground", "forms")
SIZES = [
    f"parts.{part}.data.format.{split}={n}" for part in PARTS for split, n in (("train", 96), ("val", 24), ("test", 20))
]
QUICK = ["task=multitask", "backbone.width=0.25", "data.resolution=64", "data.workers=0", "trainer=cpu", *SIZES]
QUICK += ["optimizer.lr=0.002", "logger=csv"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("multitask") / "run"
    train(compose([*QUICK, "trainer.max_epochs=2", "callbacks.pictures.count=2", f"run_dir={folder}"]))
    return folder


@pytest.fixture(scope="module")
def model(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run, exported; whoever changes it takes a copy."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    export(run, out=folder, gate_samples=0)
    return folder


def test_what_the_probes_of_parts_reach_is_epoch_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["probe.enabled=true", "trainer.max_epochs=1", "callbacks.pictures.count=0", "probe.decays=[0.01]"]
    train(compose([*QUICK, *words, "~parts.forms", f"run_dir={tmp_path / 'run'}"]))
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["epoch"], second["epoch"]) == ("0", "1")
    said = re.search(r"probe: ground/top1 (0\.\d+) .*\(epoch 0\)", capsys.readouterr().out)
    assert said is not None
    assert float(first["val/ground/top1"]) == pytest.approx(float(said[1]), abs=1e-4)
    assert not first["val/objects/map"]
    assert not first["val/mean_of_parts"], "what all parts together reach was not measured"
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "best.ckpt")["epoch"] == 0, "the first trained one"


def test_the_run_folder_has_the_numbers_of_every_part(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert {"test/mean_of_parts", "test/objects/map", "test/ground/top1", "test/forms/mean_ap"} <= metrics.keys()
    primary = [metrics[f"test/{name}"] for name in ("objects/map", "ground/top1", "forms/mean_ap")]
    assert metrics["test/mean_of_parts"] == pytest.approx(sum(primary) / 3)
    tables = json.loads((run / "tables.json").read_text())
    assert {"objects/per_class", "ground/confusion", "forms/per_attribute"} <= tables.keys()
    assert {"objects.pr_curves.png", "ground.confusion.png"} <= {path.name for path in (run / "figures").iterdir()}
    page = (run / "report.html").read_text()
    assert "ground: confusion" in page
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert [each for each in headings if each in PARTS] == list(PARTS)
    assert headings.index("forms") < headings.index("Worst predictions")
    of_ground = page[page.index("<h2>ground</h2>") : page.index("<h2>forms</h2>")]
    assert "<h3>ground: per class</h3>" in of_ground
    assert "objects: " not in of_ground
    assert ">None<" not in page
    assert 'class="pictures whole" style="--panels:3"' in page
    with (run / "predictions" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    assert rows[0]["truth"].startswith("objects: ")


def test_parts_of_a_former_run_see_what_they_saw(run: Path, tmp_path: Path) -> None:
    cfg = OmegaConf.load(run / "config.yaml")
    cfg.parts.ground.data.resolution = 32
    own, former = tmp_path / "own.yaml", tmp_path / "former.yaml"
    OmegaConf.save(cfg, own)
    del cfg.data.format["kept"]
    OmegaConf.save(cfg, former)
    assert read_config(own).parts.ground.data.resolution == 32
    assert read_config(former).parts.ground.data.resolution is None


def test_the_same_numbers_come_out_again(run: Path) -> None:
    kept = json.loads((run / "metrics.json").read_text())
    assert evaluate(run) == pytest.approx(kept, abs=1e-6)


def test_other_data_of_one_part_is_measured_alone(run: Path) -> None:
    measured = evaluate(run, ["parts.ground.data.format.test=8"])
    assert "test/ground/top1" in measured
    assert not any("objects" in name for name in measured), "of which the data says nothing"
    assert measured["test/mean_of_parts"] == measured["test/ground/top1"]
    with pytest.raises(UserError, match=r"parts\.ground\.head=linear: of a part, an evaluation takes data"):
        evaluate(run, ["parts.ground.head=linear"])


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (lambda run: evaluate(run, ["parts.grond.data.root=X"]), r"parts\.grond: there is no such part"),
        (lambda run: evaluate(run, ["data.batch_sise=2"]), r"did you mean data\.batch_size\?"),
        (lambda run: evaluate(run, tiles="2x2"), r"--tiles: it is for detectors; task=multitask has several parts"),
        (lambda run: predict(run, [run / "figures"], out=run / "no", tiles="2x2"), "--tiles: it is for detectors"),
        (
            lambda run: predict(run, [run / "figures"], out=run / "no", annotations="coco"),
            r"--annotations coco: .* has several parts \(objects, ground, forms\)",
        ),
    ],
)
def test_what_no_run_can_do_is_refused_before_it_is_opened(
    run: Path, refused: Callable[[Path], Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: Any, **__: Any) -> Any:
        raise AssertionError("the checkpoint was read")

    monkeypatch.setattr("mobilevision.engine.restore.load_run", opened)
    with pytest.raises(UserError, match=said) as raised:
        refused(run)
    assert len(str(raised.value).splitlines()) == 1


def test_the_part_of_the_same_kind_teaches(run: Path) -> None:
    cfg = compose(["distill=outputs", f"distill.teacher={run}"])
    assert of_run(run, cfg).classes == load_run(run).task.parts["ground"].data_spec.classes
    identities = compose(["task=face_embedding", "distill=embeddings", f"distill.teacher={run}"])
    with pytest.raises(UserError, match=r"has to learn from identity, .* none of them do: objects \(boxes\)"):
        of_run(run, identities)


def test_of_several_parts_of_a_kind_the_one_of_the_same_name_teaches(monkeypatch: pytest.MonkeyPatch) -> None:
    of_name = {name: SimpleNamespace(kind="class", backbone=nn.Identity(), head=nn.Identity()) for name in "ab"}
    for name, part in of_name.items():
        part.data_spec = DataSpec("class", (name,), 3, (8, 8))
    restored = SimpleNamespace(task=SimpleNamespace(parts=of_name, kind="multitask"), cfg=compose([]))
    monkeypatch.setattr("mobilevision.engine.restore.load_run", lambda *_, **__: restored)
    cfg = compose(["distill=outputs", "distill.teacher=R"])
    assert [of_run(Path("R"), cfg, part=name).classes for name in "ab"] == [("a",), ("b",)]
    with pytest.raises(UserError, match="2 of them do, and none of these is called as the student's part: a"):
        of_run(Path("R"), cfg, part="c")


def test_a_teacher_that_is_trained_first_learns_from_the_images_of_the_student() -> None:
    begun: list[Any] = []
    given = [
        "parts.ground.distill=auto",
        "parts.forms.distill=auto",
        "data.unlabelled=IMAGES",
        "freeze.parts=[objects]",
    ]
    cfg = compose([*QUICK, *given])
    cfg.data.folds, cfg.data.fold = 5, 2
    named = train_teacher(cfg, lambda each: begun.append(each) or {})
    data = [OmegaConf.to_container(each.parts, resolve=True) for each in (begun[0], cfg)]
    for name in PARTS:  # with all parts, cut as they are: alone, another test would be kept from it
        assert data[0][name]["data"] == data[1][name]["data"]
        assert data[0][name].get("distill") is None
    teacher = begun[0]
    assert (teacher.data.folds, teacher.data.fold, teacher.data.unlabelled) == (5, 2, None)
    assert (teacher.backbone.width, list(teacher.freeze.parts)) == (1.0, [])
    assert {named.parts[name].distill.teacher for name in ("ground", "forms")} == {teacher.run_dir}
    cfg.backbone.width = 1.0
    with pytest.raises(UserError, match=r"parts\.ground\.distill\.teacher=auto trains .* has width 1"):
        train_teacher(cfg, lambda _: {})


def test_a_resume_says_that_places_of_parts_can_change(run: Path) -> None:
    with pytest.raises(UserError, match=r"parts\.ground\.head\.dropout=0\.1: cannot .*parts\.NAME\.data\.root"):
        compose_resume(run, ["parts.ground.head.dropout=0.1"])


def test_one_image_gets_the_answers_of_all_parts(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "one.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)).save(file)
    row = mobilevision.load(run).predict(file)
    assert set(row) == {"found", *PARTS}
    assert row["found"].startswith("objects: ")
    predict(run, [str(file)], out=tmp_path / "out")
    told = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert told[0]["ground"]["label"] == row["ground"]["label"]
    assert len(list((tmp_path / "out" / "pictures").iterdir())) == 1


@pytest.mark.slow
def test_a_run_that_goes_on_ends_as_one_that_was_never_stopped(run: Path, tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    more = ["trainer.max_epochs=2", "callbacks.pictures.enabled=false", "loss=uncertainty", "data.format.sampling=even"]
    train(compose([*QUICK, *more, f"run_dir={whole}"]))
    script = (
        "import os, sys\n"
        "from mobilevision.callbacks import LastCheckpoint\n"
        "after = LastCheckpoint.on_train_batch_end\n"
        "def end(self, trainer, *rest, **options):\n"
        "    after(self, trainer, *rest, **options)\n"
        "    if trainer.global_step == 8: os._exit(9)\n"
        "LastCheckpoint.on_train_batch_end = end\n"
        "from mobilevision.cli.main import main\nmain(sys.argv[1:])\n"
    )
    command = [*QUICK, *more, "callbacks.last.every_n_steps=8", f"run_dir={stopped}"]
    killed = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, check=False)
    assert killed.returncode == 9, killed.stderr
    train(compose_resume(stopped))
    one, other = (load_run(folder, which="last").task.state_dict() for folder in (whole, stopped))
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_cost_counts_what_is_trained(run: Path) -> None:
    cfg = read_config(run / "config.yaml")
    counted = cost_of(cfg, **class_info_of(cfg, None)._asdict()).cost
    info = json.loads((run / "info.json").read_text())
    assert (counted.parameters, counted.mult_adds) == (info["parameters"], info["mult_adds"])


def test_cost_says_what_is_shared_and_what_each_part_costs(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cost([str(run)], as_json=True)
    found = json.loads(capsys.readouterr().out)
    backbone, *parts = found["by_part"]
    assert [row["part"] for row in parts] == list(PARTS)
    for key in ("parameters", "mult_adds"):
        assert backbone[key] + sum(row[key] for row in parts) == found[key]
        for row in parts:
            assert row[key] < row["alone"][key] <= backbone[key] + row[key]
    cost([str(run)])
    assert "together" in capsys.readouterr().out


@pytest.mark.slow
def test_cost_says_what_a_side_of_its_own_costs(capsys: pytest.CaptureFixture[str]) -> None:
    def by_part(*more: str) -> dict[str, int]:
        cost(["task=multitask", "backbone.width=0.25", *more], as_json=True)
        return {row["part"]: row["mult_adds"] for row in json.loads(capsys.readouterr().out)["by_part"]}

    alike, own = by_part(), by_part("parts.ground.data.resolution=64")
    assert own.pop("backbone at 64") == pytest.approx(alike["backbone"] * (64 / 144) ** 2, rel=0.05)
    assert own == alike


def test_one_file_has_the_outputs_of_all_parts(run: Path, model: Path, tmp_path: Path) -> None:
    about = json.loads((model / "model.json").read_text())
    assert about["answer"] == "parts"
    assert [part["answer"] for part in about["facts"]["parts"].values()] == ["boxes", "classes", "attributes"]
    names = [output["name"] for output in about["outputs"]]
    assert {"objects/boxes", "ground/probabilities", "forms/present"} <= set(names)
    file = tmp_path / "one.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(file)
    mine, theirs = (mobilevision.load(each).predict(file) for each in (run, model))
    assert theirs["ground"]["label"] == mine["ground"]["label"]
    assert theirs["ground"]["score"] == pytest.approx(mine["ground"]["score"], abs=1e-3)
    assert set(theirs) == set(mine)
    card = (model / "README.md").read_text()
    assert "ground/probabilities" in card
    example = Path(__file__).parents[2] / "examples" / "consumer" / "use_model.py"
    told = subprocess.run(
        [sys.executable, str(example), str(model), str(file)], capture_output=True, text=True, check=True
    )
    assert f"ground: {mine['ground']['label']}" in told.stdout


def test_a_file_is_measured_as_its_run(run: Path, model: Path) -> None:
    ours = json.loads((run / "metrics.json").read_text())
    data = [f"parts.{part}.data=scenes" for part in PARTS]
    found = evaluate(model, [*data, *SIZES])
    for name in ("mean_of_parts", "objects/map", "ground/top1", "forms/mean_ap"):
        assert found[f"test/{name}"] == pytest.approx(ours[f"test/{name}"], abs=1e-3)
    one = evaluate(model, [each for each in [*data, *SIZES] if "ground" in each])
    assert one["test/ground/top1"] == found["test/ground/top1"]
    assert not any("forms" in name for name in one)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ([], "parts.objects.data=auto"),
        (["parts.ground.data.root=IMAGES"], "parts.ground.data=auto"),
        (["parts.grond.data=scenes"], "did you mean ground"),
        (["parts.ground.data=scenes", "parts.ground.data.resolution=32"], "has its own side"),
    ],
)
def test_data_of_parts_of_a_file_is_named(model: Path, overrides: list[str], said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        evaluate(model, overrides)


def test_a_file_that_does_not_say_what_its_parts_are_is_not_measured(model: Path, tmp_path: Path) -> None:
    path = shutil.copytree(model, tmp_path / "model") / "model.json"
    about = json.loads(path.read_text())
    for parts in (None, {}, {**about["about"]["parts"], "ground": {"task": "classification seed=3"}}):
        path.write_text(json.dumps({**about, "about": {**about["about"], "parts": parts}}))
        with pytest.raises(UserError, match=r"model\.json: about: parts"):
            evaluate(path.parent, ["parts.ground.data=scenes"])


def test_a_file_that_lies_about_its_parts_is_refused(model: Path, tmp_path: Path) -> None:
    path = shutil.copytree(model, tmp_path / "model") / "model.json"
    about = json.loads(path.read_text())
    for change in (
        {"parts": {}},
        {"parts": {"ground": {"answer": "classes"}}},
        {"parts": {"ground": 5}},
        {"parts": {"a": about | {"answer": "parts"}}},
        {"parts": {"ground": {"answer": "classes", "classes": "abc", "facts": {}}}},
        {"parts": {"ground": {"answer": "classes", "classes": ["a", "b"], "facts": 3}}},
        {},
    ):
        path.write_text(json.dumps({**about, "facts": change}))
        with pytest.raises(UserError, match=r"facts\.parts"):
            mobilevision.load(tmp_path / "model")


@pytest.mark.slow
def test_two_processes_train_and_measure_as_one(tmp_path: Path) -> None:
    parts = ["parts.objects=detection", "parts.objects.data=scenes", "parts.faces=face_attributes"]
    parts += [
        f"parts.{part}.data.format.{split}={n}"
        for part in ("objects", "faces")
        for split, n in (("train", 24), ("val", 10), ("test", 9))
    ]
    shared = ["task=multitask", "backbone.width=0.25", "data.resolution=64", "data.workers=0", "trainer=cpu"]
    shared += ["logger=none", "data.batch_size=2", "trainer.devices=2", "trainer.max_epochs=1"]  # batches of one part
    done = subprocess.run(
        [sys.executable, "-m", "mobilevision", "train", *shared, *parts, f"run_dir={tmp_path / 'two'}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads((tmp_path / "two" / "metrics.json").read_text())
    again = evaluate(tmp_path / "two")
    for name, value in measured.items():
        if name != "test/loss":
            assert again[name] == pytest.approx(value, abs=1e-5), name


@pytest.mark.slow
def test_data_that_moved_is_found_again_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for split, number in (("train", 8), ("val", 2), ("test", 2)):
        for label in "ab":
            folder = tmp_path / "set" / split / label
            folder.mkdir(parents=True)
            for each in range(number):
                Image.new("RGB", (32, 32), (each * 9, ord(label), len(split))).save(folder / f"{each}.png")
    parts = ["parts.one=classification", "parts.one.data=auto", "parts.one.data.root=set", "~parts.objects"]
    shared = ["task=multitask", "backbone.width=0.25", "data.resolution=32", "data.workers=0", "trainer=cpu"]
    shared += ["logger=none", "trainer.max_epochs=1", "data.batch_size=4", "callbacks.pictures.enabled=false"]
    train(compose([*shared, *parts, "run_dir=run"]))
    (tmp_path / "set").rename(tmp_path / "moved")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"lay at parts\.one\.data\.root=.*set and is not there"):
        train(compose_resume(tmp_path / "run", ["trainer.max_epochs=2"]))
    more = ["parts.two=classification", "trainer=cpu", "data.workers=0", "logger=none", "run_dir=more"]
    with pytest.raises(
        UserError, match=r"extend=.*run lay at parts\.one\.data\.root=.*set and is not there: add parts"
    ):
        train(compose_extended(tmp_path / "run", more))
    again = compose_resume(tmp_path / "run", ["trainer.max_epochs=2", "parts.one.data.root=../moved"])
    assert train(again)["test/one/top1"] >= 0
    with pytest.raises(UserError, match=r"run_dir=.* lies in parts\.one\.data\.root"):
        train(compose([*shared, *parts[:2], "parts.one.data.root=../moved", "run_dir=../moved/run"]))


@pytest.mark.slow
def test_a_part_learns_from_a_teacher_of_its_own(run: Path, tmp_path: Path) -> None:
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 256, (60, 70, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
    folder = tmp_path / "student"
    given = ["parts.ground.distill=outputs", f"parts.ground.distill.teacher={run}", f"data.unlabelled={tmp_path}"]
    short = [*QUICK, *given, "trainer.max_epochs=1", "callbacks.pictures.enabled=false", f"run_dir={folder}"]
    train(compose(short))
    rows = {row["metric"]: row for row in json.loads((folder / "tables.json").read_text())["student_and_teacher"]}
    taught_by = json.loads((run / "metrics.json").read_text())["test/ground/top1"]
    assert rows["ground/top1"]["teacher"] == pytest.approx(taught_by)
    assert 0 <= rows["ground/agreement"]["student"] <= 1
    assert not any(name.startswith(("objects", "forms")) for name in rows)
    assert evaluate(folder) == pytest.approx(json.loads((folder / "metrics.json").read_text()), abs=1e-6)
    with pytest.raises(UserError, match=r"teach nothing .* add parts\.objects\.distill=detections "):
        train(compose([*QUICK, f"data.unlabelled={tmp_path}", f"run_dir={tmp_path / 'none'}"]))
    given = ["parts.forms.distill=outputs", "parts.forms.distill.teacher=nowhere"]
    with pytest.raises(UserError, match=r"parts\.forms: distill\.teacher=nowhere: no such run"):
        train(compose([*QUICK, *given, f"run_dir={tmp_path / 'neither'}"]))


NEW = [
    *("parts.kind=classification", "parts.kind.data=shapes"),
    *(f"parts.kind.data.format.{split}={n}" for split, n in (("train", 64), ("val", 20), ("test", 20))),
]


@pytest.mark.slow
def test_a_part_added_to_a_run_leaves_the_others_as_they_are(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    short = ["trainer=cpu", "trainer.max_epochs=1", "logger=none", "data.workers=0", "callbacks.ema.enabled=true"]
    train(compose_extended(run, [*NEW, *short, "callbacks.pictures.enabled=false", f"run_dir={folder}"]))
    before, now = (json.loads((each / "metrics.json").read_text()) for each in (run, folder))
    old = [name for name in before if name.split("/")[1] in PARTS]
    # Batches are cut otherwise: sums over them differ by float32's rounding.
    assert {name: now[name] for name in old} == pytest.approx({name: before[name] for name in old}, abs=1e-6)
    assert "test/kind/top1" in now
    learnt, kept = (read_checkpoint(each / "checkpoints" / "best.ckpt")["state_dict"] for each in (run, folder))
    for name, value in learnt.items():
        if name.startswith(("backbone.", "head.")):
            assert torch.equal(kept[name], value), name
    info = json.loads((folder / "info.json").read_text())
    assert not any("not the data that" in note for note in info["notes"])
    assert info["weights"][1:] == [f"  taken over, to stay as they are: backbone, {', '.join(PARTS)}; learning: kind"]
    first = load_run(folder).task.head.parts["kind"].classifier.weight
    train(compose_resume(folder, ["trainer.max_epochs=2"]))
    assert not torch.equal(load_run(folder, which="last").task.head.parts["kind"].classifier.weight, first)


def test_what_a_run_has_learnt_is_not_changed_by_what_is_added(run: Path) -> None:
    given = ["backbone.width=0.5", "parts.ground.head=picodet", "parts.objects=detection", *NEW]
    with pytest.raises(UserError) as caught:
        compose_extended(run, given)
    for told in ("backbone.width=0.5: what", "parts.ground.head=picodet: this part", "parts.objects: .* already"):
        assert re.search(told, str(caught.value)), told
    with pytest.raises(UserError, match=r"data\.folds=2: what .* stays as it is, and its data with it"):
        compose_extended(run, [*NEW, "data.folds=2"])
    taught = ["parts.kind.distill=auto"]
    with pytest.raises(UserError, match=r"parts\.kind\.distill\.teacher=auto: the backbone is that of"):
        compose_extended(run, [*NEW, *taught])
    cfg = compose_extended(run, [*NEW, "seed=7", "task.teachers_see=every_image"])
    assert cfg.task.teachers_see == "every_image"
    assert (cfg.seed, cfg.data.seed, cfg.data.format.kept) == (7, 0, [list(PARTS)])
    with pytest.raises(UserError, match="adds parts to this run, and none is given"):
        compose_extended(run, [])
    with pytest.raises(UserError, match=r"parts\.kind\.heads=linear"):
        compose_extended(run, [*NEW, "parts.kind.heads=linear"])


@pytest.mark.slow
def test_a_run_of_one_task_becomes_a_part(tmp_path: Path) -> None:
    sizes = [f"data.format.{split}={n}" for split, n in (("train", 48), ("val", 16), ("test", 16))]
    quick = ["backbone.width=0.25", "data.resolution=64", "data.workers=0", "trainer=cpu", "logger=none"]
    single, both = tmp_path / "single", tmp_path / "both"
    train(compose(["task=detection", *quick, *sizes, "trainer.max_epochs=1", f"run_dir={single}"]))
    train(compose_extended(single, [*NEW, "trainer=cpu", "data.workers=0", "trainer.max_epochs=1", f"run_dir={both}"]))
    before, now = (json.loads((each / "metrics.json").read_text()) for each in (single, both))
    assert now["test/detection/map"] == before["test/map"]
    assert now["test/detection/mar_100"] == before["test/mar_100"]
    cfg = compose_extended(single, [*NEW, "trainer=cpu", "data.workers=0", "data.batch_size=16"])
    built = build(cfg)
    length = next(each.why for each in built.decisions if each.key == "trainer.max_epochs")
    assert re.search(r"4 an epoch; epochs of its own images .* alone: \w+ \d+", length), "what is learnt anew counts"
    take_over(built, single)
    assert not any("not the data that" in note for note in built.data.splits.notes)
    cfg.parts.detection.data.format.train = 40
    take_over(other := build(cfg), single)
    assert any(note.startswith("detection: not the data that") for note in other.data.splits.notes)
    OmegaConf.update(changed := OmegaConf.load(single / "config.yaml"), "task.name", "train")
    OmegaConf.save(changed, single / "config.yaml")
    with pytest.raises(UserError, match="its task is called train, which no part can be"):
        compose_extended(single, NEW)
