"""Small images and a data module over them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mobilevision.data import Augment, DataModule
from mobilevision.data.formats import Shapes

Save = Callable[..., Path]


def photo(seed: int, height: int = 48, width: int = 64) -> Image.Image:
    """A smooth image with some detail, so that JPEG and resizing behave as on a photo."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Save an image under tmp_path: save("train/cat/1.jpg", seed=1)."""

    def _save(name: str, *, seed: int = 0, image: Image.Image | None = None, **options: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (image or photo(seed)).save(path, **{"quality": 95, **options})
        return path

    return _save


@pytest.fixture
def shapes() -> Callable[..., DataModule]:
    """A small shapes module, set up: shapes(train=24, workers=2)."""

    def _shapes(*, train: int = 24, val: int = 10, **options: Any) -> DataModule:
        given = {"batch_size": 5, "workers": 0, "resolution": 32, "augment": Augment(), "seed": 3, **options}
        module = DataModule(format=Shapes(train=train, val=val, test=10, side=32), **given)
        module.setup_data()
        return module

    return _shapes
