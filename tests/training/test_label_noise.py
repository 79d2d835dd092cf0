"""40 % of the training labels wrong: what is made for that gives a better model than plain training."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "label_noise.py"


@pytest.fixture
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("label_noise", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.release
@pytest.mark.timeout(1200)
def test_dropping_large_losses_beats_plain_training_on_wrong_labels(benchmark: ModuleType) -> None:
    given = benchmark.parts(0.4)
    images, test = benchmark.drawn(given, "train"), benchmark.drawn(given, "test")
    top1: dict[str, list[float]] = {"plain": [], "dropping": []}
    for seed in (1, 2):
        for name, words in {"plain": [], "dropping": ["loss=small_loss", "loss.drop=0.4", "loss.ramp=12"]}.items():
            built = benchmark.parts(0.4, *words)
            torch.manual_seed(seed)
            benchmark.train(built, images, 25)
            top1[name].append(benchmark.top1(built, test))
    assert sum(top1["dropping"]) / 2 > sum(top1["plain"]) / 2 + 0.02, top1  # seen: 0.05 more
