"""Freezing with cached features, the probe, averaging, the finders: in one process on a few drawn images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mobilevision.config.compose import compose
from mobilevision.errors import UserError
from mobilevision.training.train import train

SMALL = [
    "backbone.width=0.25",
    "data.resolution=32",
    "data.format.train=64",
    "data.format.val=16",
    "data.format.test=16",
    "data.batch_size=8",
    "data.workers=0",
    "trainer=cpu",
    "trainer.max_epochs=2",
    "logger=none",
    "callbacks.pictures.enabled=false",
]


def run(folder: Path, *overrides: str) -> dict[str, Any]:
    train(compose([*SMALL, f"run_dir={folder}", *overrides]))
    checkpoint: dict[str, Any] = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    return checkpoint


def backbone(checkpoint: dict[str, Any]) -> dict[str, torch.Tensor]:
    state = checkpoint["state_dict"]
    return {name: value for name, value in state.items() if name.startswith("backbone") and value.is_floating_point()}


def changed(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("cache", ["true", "false"])
def test_a_frozen_backbone_does_not_move_and_the_head_does(tmp_path: Path, cache: str) -> None:
    run(tmp_path / "one", "freeze.epochs=1", f"freeze.cache={cache}", "trainer.max_epochs=1")
    held = run(tmp_path / "two", "freeze.epochs=2", f"freeze.cache={cache}")
    first = torch.load(tmp_path / "one" / "checkpoints" / "last.ckpt", weights_only=True)
    assert not changed(backbone(first), backbone(held))
    head = "head.classifier.weight"
    assert not torch.equal(first["state_dict"][head], held["state_dict"][head])


def test_it_thaws_at_its_epoch(tmp_path: Path) -> None:
    frozen = run(tmp_path / "one", "freeze.epochs=1", "trainer.max_epochs=1")
    thawed = run(tmp_path / "two", "freeze.epochs=1")
    assert changed(backbone(frozen), backbone(thawed))


def test_a_probe_fits_the_head_before_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = run(tmp_path, "probe.enabled=true", "probe.decays=[0.001]", "freeze.epochs=1", "optimizer.lr=1e-12")
    assert "probe: val/top1" in capsys.readouterr().out
    # With hardly any learning rate all that the head knows comes from the probe, which begins at tiny weights.
    assert float(checkpoint["state_dict"]["head.classifier.weight"].norm()) > 1.0


def test_averaged_weights_are_what_is_kept(tmp_path: Path) -> None:
    plain = run(tmp_path / "plain")
    averaged = run(tmp_path / "ema", "callbacks.ema.enabled=true", "callbacks.ema.decay=0.5")
    assert changed(backbone(plain), backbone(averaged))
    train_weights = {name: value for name, value in averaged["current_model_state"].items()}
    assert not changed(backbone(plain), {name: train_weights[name] for name in backbone(plain)})


def test_the_finders_write_what_they_find_into_the_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "tune.batch_size=true", "tune.learning_rate=true", "trainer.max_epochs=1")
    output = capsys.readouterr().out
    assert "tune: data.batch_size=8" in output  # an epoch of 64 samples keeps eight steps
    config = (tmp_path / "config.yaml").read_text()
    assert "learning_rate: false" in config
    assert "lr: null" not in config
    assert (tmp_path / "learning_rate.png").is_file()


def test_layer_decay_and_accumulation_and_clipping_compose(tmp_path: Path) -> None:
    checkpoint = run(
        tmp_path,
        "optimizer=sgd",
        "optimizer.layer_decay=0.7",
        "scheduler=step",
        "trainer.accumulate_grad_batches=2",
        "trainer.gradient_clip_val=1.0",
        "loss.class_weights=balanced",
        "loss.label_smoothing=0.1",
        "augment=heavy",
    )
    assert checkpoint["global_step"] == 8


def test_a_diverged_run_says_so_and_keeps_its_last_good_checkpoint(tmp_path: Path) -> None:
    good = run(tmp_path / "good", "optimizer=sgd", "trainer.max_epochs=1")
    with pytest.raises(UserError, match=r"the loss became (nan|inf).*optimizer\.lr"):
        run(tmp_path / "bad", "optimizer=sgd", "optimizer.lr=1e30", "scheduler=constant", "scheduler.warmup=0")
    saved = tmp_path / "bad" / "checkpoints" / "last.ckpt"
    assert (
        not saved.exists()
        or torch.isfinite(torch.load(saved, weights_only=True)["state_dict"]["head.classifier.bias"]).all()
    )
    assert torch.isfinite(good["state_dict"]["head.classifier.bias"]).all()


def test_a_taken_run_folder_is_refused(tmp_path: Path) -> None:
    run(tmp_path, "trainer.max_epochs=1")
    with pytest.raises(UserError, match="resume="):
        train(compose([*SMALL, f"run_dir={tmp_path}"]))
