"""Epochs of a student with its teacher's outputs from the cache, against a teacher that looks at every batch anew.

    python benchmarks/teacher_cache.py

One thread and processor time, the embedded shapes at side 96, MobileNet V1 at 0.25 under one at 1.0 (random weights
take as long). The two ways take turns, and the medians of their epochs are compared; drawing is counted in.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from mobilevision.config.compose import compose
from mobilevision.distill import ModelTeacher
from mobilevision.engine.build import build
from mobilevision.training.distillation import cached, make

SIDE = 96


def student(images: int, *overrides: str) -> tuple[Any, Any]:
    """Config and parts of a small classifier of the shapes."""
    words = [f"data.resolution={SIDE}", f"data.format.train={images}", "data.format.val=8", "data.format.test=8"]
    cfg = compose([*words, "data.workers=0", "augment=none", *overrides])
    return cfg, build(cfg)


def epoch(built: Any, optimizer: torch.optim.Optimizer) -> float:
    """Processor seconds of one pass over train."""
    start = time.process_time()
    for batch in built.data.train_dataloader():
        optimizer.zero_grad()
        features = built.task.extract(batch["image"])
        outputs = built.task.outputs({**batch, "features": features})
        parts = built.task.distiller(outputs, features, batch, built.task.loss)
        torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return time.process_time() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    _, wide = student(32, "backbone.width=1.0")
    spec = wide.task.data_spec
    teacher = ModelTeacher(
        backbone=wide.task.backbone,
        head=wide.task.head,
        resolution=spec.resolution,
        classes=spec.classes,
        name="teacher",
    )
    times: dict[str, list[float]] = {"looks": [], "cached": []}
    with tempfile.TemporaryDirectory() as folder:
        cfg, looking = student(options.images, "backbone.width=0.25", "distill=outputs", "distill.teacher=none")
        cfg.distill.cache_folder = str(Path(folder))
        start = time.process_time()
        known = cached(cfg, looking, teacher)
        filling = time.process_time() - start
        _, reading = student(options.images, "backbone.width=0.25")
        pairs = {"looks": (looking, teacher), "cached": (reading, known)}
        for built, who in pairs.values():
            built.task.train()
            built.task.distiller = make(cfg, built, who)
        optimizers = {name: torch.optim.SGD(built.task.parameters(), lr=0.01) for name, (built, _) in pairs.items()}
        for _ in range(options.epochs):
            for name, (built, _) in pairs.items():
                times[name].append(epoch(built, optimizers[name]))
    looks, kept = (statistics.median(times[name]) for name in ("looks", "cached"))
    print(f"python {platform.python_version()}, torch {torch.__version__}, {options.images} images at side {SIDE}")
    print(f"an epoch: {looks:.2f} s with the teacher, {kept:.2f} s with its cache, filled once in {filling:.2f} s")
    print(f"ratio {looks / kept:.2f}; the cache pays from epoch {max(1, round(filling / (looks - kept) + 0.5))} on")


if __name__ == "__main__":
    main()
