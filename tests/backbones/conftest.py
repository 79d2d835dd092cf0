"""A network of a few thousand weights, and images to give it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from mobilevision.backbones import mobilenet_v1


@pytest.fixture
def images() -> Tensor:
    """Two random images, uint8 [2, 3, 64, 64], channels innermost as the loaders give them."""
    torch.manual_seed(0)
    return torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8).permute(0, 3, 1, 2)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Writes the weights of a small MobileNet V1 under timm's names, with a classifier, in a few disguises."""

    def write(name: str = "small.safetensors", *, width: float = 0.25, classes: int = 7, prefix: str = "") -> Path:
        torch.manual_seed(1)
        body = mobilenet_v1(width=width)
        state = {f"{prefix}{key}": value.clone() for key, value in body.model.state_dict().items()}
        state[f"{prefix}classifier.weight"] = torch.randn(classes, body.spec.width)
        state[f"{prefix}classifier.bias"] = torch.randn(classes)
        path = tmp_path / name
        if path.suffix == ".safetensors":
            save_file(state, path)
        else:
            torch.save({"epoch": 3, "state_dict": state}, path)
        return path

    return write
