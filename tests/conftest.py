"""What every test may use: the real data and weights where they are, one thread, no way online."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("OMP_NUM_THREADS", "1")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores Ctrl-C, and so its children
settings.register_profile("seeded", derandomize=True)
settings.load_profile("seeded")


def _shared(folder: str, variable: str) -> Path:
    path = Path(os.environ.get(variable, ROOT.parent / "shared" / folder))
    if not path.is_dir():
        pytest.skip(f"needs the folder {folder}/ of real files: set {variable}")
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images, or skip."""
    return _shared("data", "MOBILEVISION_TEST_DATA")


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """The folder of real pretrained weights, or skip."""
    return _shared("weights", "MOBILEVISION_TEST_WEIGHTS")


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
    """Images of three colours, with train, val and test; one class has a name that HTML must escape."""
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
    from mobilevision.config.compose import compose
    from mobilevision.training.train import train

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
    from mobilevision.config.compose import compose
    from mobilevision.training.train import train

    folder = tmp_path_factory.mktemp("trained") / "run"
    few = ["data.resolution=32", "data.batch_size=6", "data.workers=0", "backbone.width=0.25", "trainer.max_epochs=30"]
    calm = ["trainer=cpu", "logger=none", "callbacks.pictures.count=0", "optimizer.lr=0.02", f"run_dir={folder}"]
    train(compose(["data=folder", f"data.root={coloured}", *few, *calm]))
    return folder
