"""A run that has learnt something: of random weights every export looks right."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def trained(coloured: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier that tells the colours apart."""
    from mobilevision.runs.compose import compose
    from mobilevision.runs.train import train

    folder = tmp_path_factory.mktemp("trained") / "run"
    few = ["data.resolution=32", "data.batch_size=6", "data.workers=0", "backbone.width=0.25", "trainer.max_epochs=12"]
    calm = ["trainer=cpu", "logger=none", "callbacks.pictures.count=0", "optimizer.lr=0.02", f"run_dir={folder}"]
    train(compose(["data=folder", f"data.root={coloured}", *few, *calm]))
    return folder
