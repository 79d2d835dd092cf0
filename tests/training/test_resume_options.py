"""Finders and caches must leave the weights alone; data that moved is asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from mobilevision.cli import main
from mobilevision.config.compose import compose
from mobilevision.engine.build import build
from mobilevision.engine.features import split_features
from mobilevision.errors import UserError
from mobilevision.training.tuning import find_batch_size

SMALL = [
    "backbone.width=0.25",
    "data.resolution=32",
    "data.format.train=64",
    "data.format.val=8",
    "data.format.test=8",
    "data.batch_size=8",
    "data.workers=0",
    "trainer=cpu",
    "trainer.max_epochs=2",
    "logger=none",
    "callbacks.pictures.enabled=false",
]


def test_the_batch_size_finder_leaves_the_weights_alone() -> None:
    built = build(compose(SMALL))
    before = {name: value.clone() for name, value in built.task.state_dict().items()}
    assert find_batch_size(built.task, built.data, torch.device("cpu")) == 8
    assert all(torch.equal(value, before[name]) for name, value in built.task.state_dict().items())


def test_a_skipped_image_does_not_shift_cached_features(tmp_path: Path) -> None:
    from PIL import Image

    for place in range(6):
        folder = tmp_path / "data" / f"class{place % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (40 * place, 0, 90)).save(folder / f"{place}.png")
    (tmp_path / "data" / "class0" / "1bad.png").write_bytes(b"not an image")
    overrides = ["data=folder", f"data.root={tmp_path / 'data'}", "data.on_error=skip", "data.val_fraction=0"]
    built = build(compose([*overrides, "data.test_fraction=0", "backbone.width=0.25", "data.resolution=32"]))
    part = split_features(built.task, built.data, "train")
    built.data.cache_features({"train": part.features}, until_epoch=1, index={"train": part.places})
    source = built.data.eval_dataloader("train").source
    assert len(part.places) == len(source) - 1 == 6
    batch = source.__getitems__([(0, place) for place in range(len(source))])
    assert torch.equal(batch["index"], part.places)
    assert torch.equal(batch["features"].pooled, part.features.pooled)
    assert batch["target"].tolist() == [int(source.records.targets[place]) for place in part.places.tolist()]


def test_data_that_is_gone_is_told_first(finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    config = run / "config.yaml"
    cfg = OmegaConf.load(config)
    lay = OmegaConf.select(cfg, "data.root")
    OmegaConf.update(cfg, "data.root", "/nowhere/pictures")
    OmegaConf.save(cfg, config)
    said = rf"^the data of this run lay at data\.root=/nowhere/pictures and is not there: resume={run} data\.root="
    with pytest.raises(UserError, match=said):
        main.run([f"resume={run}"])
    main.run([f"resume={run}", f"data.root={lay}"])
    assert OmegaConf.select(OmegaConf.load(config), "data.root") == str(lay)
