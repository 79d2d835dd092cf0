"""Options that change what a step is must resume exactly too; and finders and caches must leave the weights alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mobilevision.errors import UserError
from mobilevision.runs.build import build
from mobilevision.runs.callbacks import CtrlC
from mobilevision.runs.compose import compose
from mobilevision.runs.config.resuming import compose_resume
from mobilevision.runs.features import split_features
from mobilevision.runs.train import train
from mobilevision.runs.tuning import find_batch_size

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
IDENTITIES = ["task=face_embedding", "data.per_identity=2", "data.format.pictures=2", "loss.warmup=10"]


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return state


@pytest.mark.parametrize(
    "options",
    [["freeze.epochs=1", "freeze.cache=false"], ["freeze.epochs=1"], ["trainer.accumulate_grad_batches=4"], IDENTITIES],
    ids=["frozen", "cached", "accumulated", "identities"],
)
def test_a_stop_inside_an_epoch_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    train(compose([*SMALL, *options, f"run_dir={tmp_path / 'whole'}"]))
    ask, batches = CtrlC.on_train_batch_end, iter(range(100))

    def ask_at_the_sixth(self: CtrlC, *args: Any, **kwargs: Any) -> None:
        self._asked = self._asked or next(batches) == 5
        ask(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(CtrlC, "on_train_batch_end", ask_at_the_sixth)
        with pytest.raises(UserError, match="resume="):
            train(compose([*SMALL, *options, f"run_dir={tmp_path / 'cut'}"]))
    train(compose_resume(tmp_path / "cut"))
    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_the_batch_size_finder_leaves_the_weights_alone() -> None:
    built = build(compose(SMALL))
    before = {name: value.clone() for name, value in built.task.state_dict().items()}
    assert find_batch_size(built.task, built.data, torch.device("cpu")) == 8
    assert all(torch.equal(value, before[name]) for name, value in built.task.state_dict().items())


def test_a_skipped_picture_does_not_shift_cached_features(tmp_path: Path) -> None:
    from PIL import Image

    for place in range(6):
        folder = tmp_path / "data" / f"class{place % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (40 * place, 0, 90)).save(folder / f"{place}.png")
    (tmp_path / "data" / "class0" / "1bad.png").write_bytes(b"not a picture")
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
