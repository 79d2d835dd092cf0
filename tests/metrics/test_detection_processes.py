"""Two processes measure exactly what one does, whatever each of them has seen."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from mobilevision.metrics import DetectionMetrics

sys.path.insert(0, str(Path(__file__).parent))
from detections import batches, drawn

CLASSES = tuple("abcde")
SHARES: dict[str, Any] = {
    "alternating": lambda place, rank: place % 2 == rank,
    "one has nothing": lambda place, rank: rank == 1,
}


def results(metric: DetectionMetrics) -> Any:
    numbers = {name: float(value) for name, value in metric.compute().items()}
    with metric.sync_context():
        return numbers, metric.tables(), metric.thresholds()


def process(rank: int, folder: str, share: str, found: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    metric = DetectionMetrics(classes=CLASSES)
    for epoch in range(2):  # the second on what the first left behind
        metric.reset()
        for place, (prediction, target) in enumerate(batches(drawn(epoch, found=found, crowd=0.1, ties=True), batch=3)):
            if SHARES[share](place, rank):
                metric.update(prediction, target)
        torch.save(results(metric), f"{folder}/{rank}{epoch}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize(
    ("share", "found"),
    [
        ("one has nothing", 25),
        pytest.param("alternating", 25, marks=pytest.mark.slow),
        pytest.param("alternating", 0, marks=pytest.mark.slow),
    ],
)
def test_two_processes_are_one(tmp_path: Path, share: str, found: int) -> None:
    mp.spawn(process, args=(str(tmp_path), share, found), nprocs=2)
    for epoch in range(2):
        metric = DetectionMetrics(classes=CLASSES)
        for prediction, target in batches(drawn(epoch, found=found, crowd=0.1, ties=True), batch=30):
            metric.update(prediction, target)
        for rank in range(2):
            assert torch.load(tmp_path / f"{rank}{epoch}.pt", weights_only=False) == results(metric)
