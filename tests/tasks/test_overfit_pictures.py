"""Detectors learn eight real images by heart; whoever cannot has a broken matcher, decoder, loss or geometry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mobilevision.config.compose import compose
from mobilevision.training.train import train

IMAGES = (458054, 456496, 502136, 289393, 308394, 41888, 403385, 331352)
"""Of COCO's train 2017: 34 boxes, crowded ones among them, none under 12 pixels of an input of 300."""


@pytest.fixture
def eight(shared_data: Path, tmp_path: Path) -> Path:
    """The images as a set whose train and val are the same."""
    whole = json.loads((shared_data / "tinycoco" / "annotations" / "instances_train2017.json").read_text())
    whole["images"] = [image for image in whole["images"] if image["id"] in IMAGES]
    whole["annotations"] = [each for each in whole["annotations"] if each["image_id"] in IMAGES]
    assert (len(whole["images"]), len(whole["annotations"])) == (8, 34)
    (tmp_path / "annotations").mkdir()
    for split in ("train2017", "val2017"):
        (tmp_path / split).mkdir()
        for image in whole["images"]:
            source = next((shared_data / "tinycoco").rglob(image["file_name"]))
            (tmp_path / split / image["file_name"]).write_bytes(source.read_bytes())
        (tmp_path / "annotations" / f"instances_{split}.json").write_text(json.dumps(whole))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(("head", "epochs"), [("ssd", 70), ("faster_rcnn", 60)])
def test_eight_images_are_learnt_by_heart(
    head: str, epochs: int, eight: Path, shared_weights: Path, tmp_path: Path
) -> None:
    weights = shared_weights / "mobilenet_v1_0.5_160_in1k.safetensors"
    command = ["task=detection", f"head={head}", "data=coco_json", f"data.root={eight}", "data.batch_size=4"]
    command += ["backbone.width=0.5", f"backbone.weights={weights}", "augment=boxes_none", "data.workers=0"]
    command += ["optimizer.lr=0.002", "optimizer.weight_decay=0", "trainer.gradient_clip_val=5", "logger=none"]
    command += [
        f"trainer.max_epochs={epochs}",
        "trainer.check_val_every_n_epoch=10",
        "callbacks.pictures.enabled=false",
    ]
    measured = train(compose([*command, f"run_dir={tmp_path / 'run'}"]))
    assert measured["val/map_50"] > 0.9, measured
