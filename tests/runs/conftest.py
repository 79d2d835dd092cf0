"""What the tests of composing, plugins and commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Write = Callable[[Path, dict[str, str]], Path]


@pytest.fixture(scope="session")
def write() -> Write:
    """Writes files by their names below a folder; gives the folder."""

    def files(folder: Path, texts: dict[str, str]) -> Path:
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return folder

    return files


@pytest.fixture(scope="session")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of three colours, with train, val and test; one class has a name that HTML must escape."""
    root, rng = tmp_path_factory.mktemp("coloured"), np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4), ("test", 5)):
        for channel, name in enumerate(("red", "green", "blue & <b>")):
            for number in range(count):
                pixels = rng.integers(0, 120, (40, 48, 3), dtype=np.uint8)
                pixels[..., channel] += 120
                file = root / split / name / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(file)
    return root


@pytest.fixture(scope="session")
def finished_run(coloured: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run on ``coloured`` that came to its end; tests that change it work on a copy."""
    from mobilevision.runs.compose import compose
    from mobilevision.runs.train import train

    folder = tmp_path_factory.mktemp("runs") / "run"
    train(
        compose(
            [
                "data=folder",
                f"data.root={coloured}",
                "data.resolution=32",
                "data.batch_size=8",
                "data.workers=0",
                "backbone.width=0.25",
                "trainer=cpu",
                "trainer.max_epochs=2",
                "logger=csv",
                "callbacks.pictures.count=6",
                f"run_dir={folder}",
            ]
        )
    )
    return folder


@pytest.fixture(scope="session")
def trained(coloured: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier that tells the colours apart: of random weights every export looks right."""
    from mobilevision.runs.compose import compose
    from mobilevision.runs.train import train

    folder = tmp_path_factory.mktemp("trained") / "run"
    few = ["data.resolution=32", "data.batch_size=6", "data.workers=0", "backbone.width=0.25", "trainer.max_epochs=30"]
    calm = ["trainer=cpu", "logger=none", "callbacks.pictures.count=0", "optimizer.lr=0.02", f"run_dir={folder}"]
    train(compose(["data=folder", f"data.root={coloured}", *few, *calm]))
    return folder
