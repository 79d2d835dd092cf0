"""A cross-validation: its folds, what it sums up, going on, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mobilevision.cli import main
from mobilevision.engine.restore import load_run
from mobilevision.errors import UserError
from mobilevision.evaluation.evaluate import evaluate
from tests.training.test_learning_options import SMALL

FOLDS = [line for line in SMALL if not line.startswith(("callbacks.pictures", "data.format", "trainer.max_epochs"))]
FOLDS += ["data.format.train=60", "data.format.val=10", "data.format.test=10", "trainer.max_epochs=1", "data.folds=2"]


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


@pytest.mark.slow
def test_folds_are_judged_summed_up_and_gone_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "cv"
    main.run([*FOLDS, f"run_dir={folder}"])
    with pytest.raises(UserError, match=rf"is a cross-validation, not a run: resume={folder} data\.folds_final=true"):
        load_run(folder)
    trained = {path: path.stat().st_mtime_ns for path in folder.glob("fold_*/checkpoints/*.ckpt")}
    said = capsys.readouterr().out
    main.run([*FOLDS, f"run_dir={folder}", "data.folds_final=true"])
    assert trained == {path: path.stat().st_mtime_ns for path in folder.glob("fold_*/checkpoints/*.ckpt")}
    with pytest.raises(
        UserError, match=rf"is a cross-validation, not a run: its model, of all images, is {folder}/final"
    ):
        load_run(folder)
    assert "judges: the fold that a run never saw, each of 2 once" in said
    assert "the data's own test (10 images) is left apart" in said
    result = read(folder, "cv.json")
    values = [read(folder / fold["fold"], "metrics.json")["test/top1"] for fold in result["folds"]]
    assert result["mean"]["top1"] == pytest.approx(sum(values) / 2)
    assert result["standard_deviation"]["top1"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    sizes = [fold["images"] for fold in result["folds"]]
    assert sum(sizes) == 60
    pooled = sum(value * size for value, size in zip(values, sizes, strict=True)) / 60
    assert result["pooled"]["top1"] == pytest.approx(pooled, abs=1e-6), "the runs' own predictions, all of them"
    tables = read(folder, "tables.json")
    assert sum(row["samples"] for row in tables["per_class"]) == 60
    page = (folder / "report.html").read_text()
    assert '<th class="number">mean over folds</th><th class="number">± deviation</th>' in page
    assert "<h2>Per class, pooled over all folds</h2>" in page
    assert "<h2>Folds</h2>" in page
    assert f"± {result['standard_deviation']['top1']:.3f}, mean over 2 folds" in page
    assert "judges: the fold that a run never saw" in page
    assert "Worst predictions" in page
    assert (folder / "predictions" / "worst_01.png").is_file()
    load_run(folder / "final")
    assert evaluate(str(folder / "fold_2"))["test/top1"] == pytest.approx(values[1]), "an evaluation has the same fold"

    kept = (folder / "fold_1" / "checkpoints" / "best.ckpt").stat().st_mtime_ns
    shutil.rmtree(folder / "fold_2")
    capsys.readouterr()
    main.run([f"resume={folder}"])
    said = capsys.readouterr().out
    assert said.count("done already") == 2
    assert read(folder, "cv.json") == result
    assert (folder / "fold_1" / "checkpoints" / "best.ckpt").stat().st_mtime_ns == kept
    with pytest.raises(UserError, match=r"trainer\.max_epochs=3: a cross-validation goes on as it was begun"):
        main.run([f"resume={folder}", "trainer.max_epochs=3"])
    with pytest.raises(UserError, match=r"of another configuration \(seed: 0, now 1"):
        main.run([*FOLDS, f"run_dir={folder}", "data.folds_final=true", "seed=1"])


def test_what_is_no_cross_validation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.folds_final=true: trains a model after a cross-validation"):
        main.run([*FOLDS[:-1], f"run_dir={tmp_path}", "data.folds_final=true"])
    for folds in (50, 40):  # the first leaves nothing in the way of the second
        with pytest.raises(UserError, match=rf"data\.folds={folds}: .*the largest number that works is data\.folds="):
            main.run([*FOLDS[:-1], f"run_dir={tmp_path}/many", f"data.folds={folds}"])
    with pytest.raises(UserError, match=r"data\.folds=2 runs one process"):
        main.run([*FOLDS, f"run_dir={tmp_path}", "trainer.devices=2", "trainer.strategy=ddp"])
    with pytest.raises(UserError, match=r"data\.folds is no part of a sweep"):
        main.run(["-m", *FOLDS, f"run_dir={tmp_path}/sweep", "seed=0,1"])
    assert not any(tmp_path.rglob("*.ckpt"))
