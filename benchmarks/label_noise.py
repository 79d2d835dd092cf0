"""Test accuracy after training on labels of which some are wrong, with and without what is meant to help.

    python benchmarks/label_noise.py

Embedded shapes of 48 pixels, 2000 to train on, 0, 20 and 40 % of the labels made wrong (test stays clean), MobileNet V1
0.25, mirror images as the only augmentation, so that there is something to learn by heart. The last epoch's weights are
tested: whoever has wrong labels has no clean val to choose an epoch by. Images are drawn once and kept; one thread.
"""

from __future__ import annotations

import argparse
import platform
import time
from typing import NamedTuple

import torch
from torch import Tensor

from mobilevision.config.compose import compose
from mobilevision.engine.build import Built, build
from mobilevision.training.train import tune_allocator

BATCH = 32
OPTIONS = {
    "plain": [],
    "label smoothing 0.1": ["loss.label_smoothing=0.1"],
    "label smoothing 0.3": ["loss.label_smoothing=0.3"],
    "bootstrap, hard, 0.8": ["loss=bootstrap"],
    "bootstrap, soft, 0.8 over 12 epochs": ["loss=bootstrap", "loss.mode=soft", "loss.ramp=12"],
    "small loss over 12 epochs": ["loss=small_loss", "loss.ramp=12"],  # drops the share that is wrong, 10 % at least
}


class PredictionImages(NamedTuple):
    """A split in memory: uint8 [n, 3, 48, 48] and int64 [n]."""

    images: Tensor
    labels: Tensor


def parts(noise: float, *words: str) -> Built:
    """What a command with these words would train."""
    drawn = ["data.resolution=48", "data.format.side=48", "data.format.train=2000", "data.format.val=10"]
    fixed = ["task=classification", "backbone.width=0.25", "data.workers=0", f"data.batch_size={BATCH}", "augment=none"]
    torch.manual_seed(0)
    return build(compose([*fixed, *drawn, f"data.label_noise={noise:g}", *words]))


def drawn(built: Built, split: str) -> PredictionImages:
    """All of a split."""
    batches = list(built.data.eval_dataloader(split))
    return PredictionImages(
        torch.cat([batch["image"] for batch in batches]), torch.cat([batch["target"] for batch in batches])
    )


def train(built: Built, given: PredictionImages, epochs: int) -> None:
    """Train with the config's own optimiser, schedule and loss."""
    task, number = built.task.train(), len(given.labels)
    optimizer = task.optimizer_factory(backbone=task.backbone.model, head=task.head)
    schedule = task.schedule(optimizer, total_steps=epochs * (number // BATCH))
    for _ in range(epochs):
        order = torch.randperm(number)
        for start in range(0, number - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            images = given.images[rows]
            images[::2] = images[::2].flip(3)
            images = images.contiguous(memory_format=torch.channels_last)
            loss = torch.stack(list(task.loss(task(images), {"target": given.labels[rows]}).values())).sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()


@torch.inference_mode()
def top1(built: Built, test: PredictionImages) -> float:
    """Share of the test that is right."""
    task = built.task.eval()
    right = sum(
        int((task(images).argmax(1) == labels).sum())
        for images, labels in zip(test.images.split(200), test.labels.split(200), strict=True)
    )
    return right / len(test.labels)


def main() -> None:
    """Train one option after another and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.4, 0.2, 0.0])
    parser.add_argument("--options", nargs="+", choices=list(OPTIONS), default=list(OPTIONS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    tune_allocator()
    print(f"python {platform.python_version()}, torch {torch.__version__}, {options.epochs} epochs", flush=True)
    for noise in options.noise:
        given = parts(noise)
        pictures, test = drawn(given, "train"), drawn(given, "test")
        for name in options.options:
            words = OPTIONS[name]
            more = [f"loss.drop={max(noise, 0.1):g}"] if "loss=small_loss" in words else []
            built, start = parts(noise, *words, *more), time.process_time()
            train(built, pictures, options.epochs)
            seconds = time.process_time() - start
            print(f"{noise:4.0%}  {name:38}{top1(built, test):.3f}  ({seconds:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
