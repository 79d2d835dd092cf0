"""Two stages as one command: the second starts from the first's weights; the first is trained once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mobilevision.config.compose import compose
from mobilevision.errors import UserError
from mobilevision.training.prerequisite_runs import first_stage, pretrain
from mobilevision.training.train import train

QUICK = ["backbone.width=0.25", "data.resolution=32", "data.batch_size=8", "data.workers=0", "logger=none"]
QUICK += ["trainer.max_epochs=1", "trainer.limit_train_batches=1", "callbacks.pictures.enabled=false"]
BEETLES = ["task=fine_grained", "data.format.train=24", "data.format.val=12", "data.format.test=12"]


@pytest.mark.slow
def test_the_second_stage_starts_from_the_first(
    coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [*BEETLES, *QUICK, f"pretrain.root={coloured}", "pretrain.loss=bootstrap", "optimizer.lr=1e-30"]
    train(compose([*command, f"run_dir={tmp_path / 'second'}"]))
    said = capsys.readouterr().out
    assert "pretraining: on " in said
    assert "classes     3: " in said
    assert "classes     12: " in said, "another number of classes starts the head afresh"
    (first,) = (tmp_path / "outputs" / "pretrained").iterdir()
    states = [
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in (first, tmp_path / "second")
    ]
    name = "backbone.model.conv_stem.weight"
    assert torch.equal(states[0][name], states[1][name])
    settled = pretrain(compose(command), train)
    assert "trained before" in capsys.readouterr().out
    assert Path(settled.backbone.weights).name == first.name


def test_the_first_stage_has_the_run_s_model_and_its_own_data() -> None:
    words = ["experiment=paper_dogs", "pretrain.root=web", "data.resolution=192", "backbone.width=0.75"]
    first = first_stage(compose(words))
    assert first.data.root == "web"
    assert first.data.on_error == "skip"
    assert first.data.resolution == 192
    assert first.backbone.width == 0.75
    assert first.loss._target_.endswith("Bootstrap")
    assert first.pretrain.root is None
    other = first_stage(compose([*words[:3], "backbone.width=0.5"]))
    assert other.run_dir != first.run_dir


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(UserError, match=r"pretrain\.root is for classes and places, and the task learns from boxes"):
        pretrain(compose(["task=detection", "pretrain.root=web"]), train)
    with pytest.raises(UserError, match="trains on one device"):
        pretrain(compose(["task=fine_grained", "pretrain.root=web", "trainer.devices=2"]), train)
