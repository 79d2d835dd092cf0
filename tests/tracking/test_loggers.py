"""Trackers: where a run goes, that it is found again on resume, and that none of it can end a training."""

from __future__ import annotations

import csv
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pytorch_lightning.utilities import rank_zero_only

from mobilevision.errors import UserError
from mobilevision.tracking.loggers import Tracker, csv_logger, no_logger, tensorboard_logger, wandb_logger
from mobilevision.tracking.tracker import SampleImage
from mobilevision.tracking.wandb import WandbTracker, choose_mode, has_credential

CONFIG = {"task": {"name": "classification", "kind": "class"}, "seed": 0}


@pytest.fixture(autouse=True)
def stranger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A user with no credential and no server."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    yield
    import wandb

    wandb.teardown()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "shirt.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path)
    return path


def _use(tracker: Tracker, image: Path) -> None:
    """Everything a run does with its tracker."""
    tracker.opening()
    tracker.log_hyperparams({"a": 1})
    tracker.log_metrics({"train/loss": 1.5, "epoch": 0.0}, step=3)
    tracker.table("test/per_class", [{"class": "a", "f1": 0.5}, {"class": "b|c", "f1": 0.25}])
    tracker.table("test/empty", [])
    tracker.figure("test/confusion", Image.new("RGB", (9, 9)))
    tracker.samples("test/samples", [SampleImage(image, "shirt 0.93, truth: dress")])
    tracker.summary({"test/top1": 0.5, "parameters": 10})
    tracker.model(image, {"test/top1": 0.5})
    tracker.save()
    tracker.finalize("success")


def test_a_credential_is_found_in_the_environment_and_in_netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert not has_credential()
    file = tmp_path / "netrc"
    file.write_text("machine wandb.example.org\n  login user\n  password " + "0" * 40 + "\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    assert not has_credential()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert has_credential()
    file.write_text("this is no netrc {")
    assert not has_credential()
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert has_credential()


def test_the_mode_follows_the_credential_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_mode("auto") == "offline"
    with pytest.raises(UserError, match="wandb login"):
        choose_mode("online")
    with pytest.raises(UserError, match="auto, online or offline"):
        choose_mode("onlin")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert choose_mode("auto") == "online"
    assert choose_mode("offline") == "offline"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert choose_mode("auto") == "disabled"


def test_an_offline_run_keeps_all_in_the_run_folder_and_says_how_to_send_it(tmp_path: Path, image: Path) -> None:
    run_dir = tmp_path / "my run"
    tracker = wandb_logger(run_dir=run_dir, config=CONFIG)
    assert "nothing is sent" in tracker.opening()[0]
    _use(tracker, image)
    (line,) = tracker.closing()
    assert f"wandb sync '{run_dir}/wandb'/offline-run-*" in line
    (folder,) = (run_dir / "wandb").glob("offline-run-*")
    assert (run_dir / "wandb" / "id").read_text().strip() == tracker.version
    assert folder.name.endswith(str(tracker.version))
    media = [path.name for path in folder.rglob("*.png")] + [path.name for path in folder.rglob("*.table.json")]
    assert len(media) == 3
    assert tracker.closing() == []


def test_a_resumed_run_is_the_same_wandb_run(tmp_path: Path) -> None:
    first = wandb_logger(run_dir=tmp_path, config=CONFIG)
    first.log_metrics({"train/loss": 1.0}, step=1)
    first.closing()
    second = wandb_logger(run_dir=tmp_path, config=CONFIG)
    second.closing()
    assert second.version == first.version


def test_images_of_people_stay_here_unless_asked_for(tmp_path: Path, image: Path) -> None:
    people = {"task": {"kind": "identity"}}
    for wanted, count in ((None, 0), (True, 1)):
        run_dir = tmp_path / str(wanted)
        tracker = wandb_logger(run_dir=run_dir, config=people, pictures=wanted)
        tracker.samples("test/samples", [SampleImage(image, "somebody")])
        tracker.closing()
        assert len(list(run_dir.rglob("media/**/*.png"))) == count


@pytest.mark.slow
def test_a_credential_without_network_falls_back_to_offline_within_15_seconds(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    start = time.monotonic()
    with caplog.at_level(logging.WARNING):
        tracker = wandb_logger(run_dir=tmp_path, config=CONFIG)
    assert time.monotonic() - start < 60  # the promise is 15 on a machine of one's own
    assert "cannot be reached" in caplog.text
    _use(tracker, image)
    assert "wandb sync" in tracker.closing()[0]
    assert list((tmp_path / "wandb").glob("offline-run-*"))


def test_a_broken_wandb_is_one_warning_and_nothing_more(
    tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import wandb

    tracker = wandb_logger(run_dir=tmp_path, config=CONFIG)

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(wandb.sdk.wandb_run.Run, "log", fail)
    with caplog.at_level(logging.WARNING):
        _use(tracker, image)
    assert caplog.text.count("no space left") == 1
    assert tracker.closing() == []
    monkeypatch.setattr(wandb, "init", fail)
    again = wandb_logger(run_dir=tmp_path, config=CONFIG)
    _use(again, image)
    assert again.opening() == ["W&B: off"]


def test_other_processes_track_nothing(tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    run_dir = tmp_path / "run"
    for make in (wandb_logger, tensorboard_logger, csv_logger, no_logger):
        _use(make(run_dir=run_dir, config=CONFIG), image)
    assert not run_dir.exists()


def test_csv_appends_a_line_a_number_over_a_resume(tmp_path: Path, image: Path) -> None:
    for _ in range(2):
        _use(csv_logger(run_dir=tmp_path, config=CONFIG), image)
    rows = list(csv.DictReader((tmp_path / "steps.csv").open()))
    assert rows[0] == {"step": "3", "metric": "train/loss", "value": "1.5"}
    assert len(rows) == 4


def test_the_project_and_the_name_may_be_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "flowers")
    monkeypatch.setenv("WANDB_NAME", "third try")
    given: list[dict[str, Any]] = []
    monkeypatch.setattr("mobilevision.tracking.wandb.start", lambda keys, mode: given.append(keys))
    wandb_logger(run_dir=tmp_path / "a", config=CONFIG, mode="offline")
    wandb_logger(run_dir=tmp_path / "b", config=CONFIG, mode="offline", project="mine", name="first")
    assert [(keys["project"], keys["name"]) for keys in given] == [("flowers", "third try"), ("mine", "first")]


def test_who_goes_on_with_a_run_stays_in_its_project_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "flowers")
    monkeypatch.setenv("WANDB_NAME", "tulips")
    monkeypatch.setenv("WANDB_ENTITY", "garden")
    wandb_logger(run_dir=tmp_path, config=CONFIG, mode="offline").closing()
    for name in ("WANDB_PROJECT", "WANDB_NAME", "WANDB_ENTITY"):
        monkeypatch.delenv(name)
    again = wandb_logger(run_dir=tmp_path, config=CONFIG, mode="offline")
    assert isinstance(again, WandbTracker)
    assert (again.name, again._run.name, again._keys["entity"]) == ("flowers", "tulips", "garden")
    again.closing()
    named = wandb_logger(run_dir=tmp_path, config=CONFIG, mode="offline", project="trees")
    assert named.name == "trees", "but for what the config says"
    named.closing()


def test_a_mode_of_the_environment_that_there_is_none_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "bogus")
    with pytest.raises(UserError, match="WANDB_MODE=bogus: the variable says online, offline, dryrun, disabled"):
        choose_mode("auto")


def test_a_project_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"logger\.project=a/b: W&B takes no / in it"):
        wandb_logger(run_dir=tmp_path, config=CONFIG, mode="offline", project="a/b")


def test_tensorboard_writes_points_text_and_images(tmp_path: Path, image: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tracker = tensorboard_logger(run_dir=tmp_path, config=CONFIG)
    _use(tracker, image)
    assert "tensorboard --logdir" in tracker.closing()[0]
    read = events.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert read.Scalars("train/loss")[0].value == 1.5
    assert set(read.Tags()["images"]) == {"test/confusion", "test/samples/000"}
    assert "test/per_class/text_summary" in read.Tags()["tensors"]


def test_no_logger_takes_everything_and_keeps_nothing(tmp_path: Path, image: Path) -> None:
    _use(no_logger(run_dir=tmp_path / "run", config=CONFIG), image)
    assert not (tmp_path / "run").exists()


def test_boxes_are_sent_as_boxes(tmp_path: Path) -> None:
    from PIL import Image as PillowImage

    image = tmp_path / "plain.png"
    PillowImage.new("RGB", (40, 30)).save(image)
    outlines = {
        "prediction": [{"label": "cat", "score": 0.9, "box": [1.0, 2.0, 30.0, 20.0]}],
        "truth": [{"label": "dog", "box": [1.0, 2.0, 30.0, 20.0]}, {"label": "cat", "box": [0.0, 0.0, 9.0, 9.0]}],
    }
    tracker = wandb_logger(run_dir=tmp_path, config={}, mode="offline", pictures=True)
    other = {"truth": [{"label": "ant", "box": [3.0, 2.0, 9.0, 20.0]}]}
    both = [SampleImage(image, "1 cat, truth 1 dog", image, outlines), SampleImage(image, "1 ant", image, other)]
    tracker.samples("test/predictions", both)
    tracker.closing()
    files = (tmp_path / "wandb").glob("offline-run-*/files/media/metadata/boxes2D/test/*.json")
    layers = sorted((json.loads(file.read_text())["box_data"] for file in files), key=len)
    (prediction, ant), truth = sorted(layers[:2], key=lambda boxes: "scores" not in boxes[0]), layers[2]
    assert [box["class_id"] for box in truth] == [2, 1]
    assert (prediction[0]["class_id"], ant[0]["class_id"]) == (1, 0), "a class has one number in all images"
    assert prediction[0]["position"] == {"minX": 1.0, "minY": 2.0, "maxX": 30.0, "maxY": 20.0}
    assert prediction[0]["scores"] == {"score": 0.9}


def ended(tracker: Tracker, run_dir: Path) -> bytes:
    """What an offline run keeps for the server, all of it: the client's own process writes it, and may be behind."""
    tracker.log_metrics({"logged/last": 1.0}, step=1)
    tracker.closing()
    (file,) = (run_dir / "wandb").glob("offline-run-*/*.wandb")
    while b"logged/last" not in (kept := file.read_bytes()):
        time.sleep(0.1)
    return kept


def test_an_offline_run_keeps_its_model_for_the_sync(tmp_path: Path) -> None:
    for name, artifacts in (("kept", True), ("left out", False)):
        best = tmp_path / name / "checkpoints" / "best.ckpt"
        best.parent.mkdir(parents=True)
        best.write_bytes(b"weights")
        tracker = wandb_logger(run_dir=tmp_path / name, config=CONFIG, mode="offline", artifacts=artifacts)
        tracker.model(best, {"test/top1": 0.5})
        assert (str(best).encode() in ended(tracker, tmp_path / name)) == artifacts


def test_runs_of_a_sweep_and_of_a_cross_validation_are_a_group(tmp_path: Path) -> None:
    for file in ("sweep.json", "folds.yaml", None):
        above = tmp_path / f"all of {file}"
        above.mkdir()
        if file:
            (above / file).write_text("{}")
        kept = ended(wandb_logger(run_dir=above / "one", config=CONFIG, mode="offline"), above / "one")
        assert (f"all of {file}".encode() in kept.replace(str(above).encode(), b"")) == bool(file)
    named = wandb_logger(run_dir=above / "two", config=CONFIG, mode="offline", group="a group of mine")
    assert b"a group of mine" in ended(named, above / "two")
