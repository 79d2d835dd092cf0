"""A training step and an answer of PicoDet on the CPU: against SSD at like mult-adds over the same body.

    python benchmarks/picodet_step.py                 # about four minutes

MobileNet V1 0.5, 80 classes, float32: SSD at side 300, PicoDet and its reading that suppresses nothing at 288. A step
is forward, loss, backward and AdamW on eight images with eight boxes each; an answer is one image from pixels to
detections. What comes after the raw outputs stands beside it, of logits in which 400 scores pass the threshold, as a
trained detector's do. Contenders take turns on one thread; medians of CPU time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

CLASSES, BOXES, BATCH, PASSING = 80, 8, 8, 400
CONTENDERS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "ssd": ("SSDHead", 300, {}),
    "picodet": ("PicoDetHead", 288, {}),
    "picodet, one to one": ("PicoDetHead", 288, {"one_to_one": True}),
}
"""Head, side and options."""


def works_of(name: str) -> dict[str, Callable[[], Any]]:
    """What is timed of one contender."""
    import torch
    from torch import nn

    from mobilevision import heads
    from mobilevision.backbones import mobilenet_v1
    from mobilevision.losses import MultiBox, TaskAligned
    from mobilevision.spec import DataSpec

    kind, side, options = CONTENDERS[name]
    torch.manual_seed(0)
    data = DataSpec(kind="boxes", classes=tuple(map(str, range(CLASSES))), channels=3, resolution=(side, side))

    def model() -> Any:
        body = mobilenet_v1(width=0.5)
        both = nn.ModuleList([body, getattr(heads, kind)(backbone=body.spec, data=data, **options)])
        return both.to(memory_format=torch.channels_last)

    body, head = model().train()
    criterion = MultiBox(data=data) if kind == "SSDHead" else TaskAligned(data=data)
    optimizer = torch.optim.AdamW([*body.parameters(), *head.parameters()], lr=1e-4)
    images = torch.randint(0, 256, (BATCH, 3, side, side), dtype=torch.uint8).to(memory_format=torch.channels_last)
    corners = torch.rand(BATCH, BOXES, 2) * side * 0.6
    boxes = torch.cat([corners, corners + 20 + torch.rand(BATCH, BOXES, 2) * (side * 0.4 - 20)], dim=-1)
    labels = torch.randint(0, CLASSES, (BATCH, BOXES))
    target = {"boxes": boxes, "labels": labels, "crowd": torch.zeros_like(labels, dtype=torch.bool)}

    def step() -> None:
        optimizer.zero_grad()
        losses = criterion(head(body(images, head.needs), target), {"target": target})
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()

    seen, answering = model().eval()
    raw = answering(seen(images[:1], answering.needs))
    logits = torch.full_like(raw.final.logits, -12.0)
    if kind == "SSDHead":
        logits[..., 0] = 0.0  # background
    points, classes = (torch.randint(0, most, (PASSING,)) for most in (logits.shape[1], CLASSES))
    logits[0, points, classes + logits.shape[2] - CLASSES] = torch.empty(PASSING).uniform_(-4, 3)
    trained = raw._replace(final=raw.final._replace(logits=logits))

    @torch.inference_mode()
    def answer() -> Any:
        return answering.decode(answering(seen(images[:1], answering.needs)))

    return {"step": step, "answer": answer, "of it after raw outputs": lambda: answering.decode(trained)}


def main() -> None:
    """Let the contenders take turns, and print the table."""
    import torch

    from mobilevision.training.train import tune_allocator

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    tune_allocator()
    torch.set_num_threads(1)
    works = {name: works_of(name) for name in CONTENDERS}
    times: dict[tuple[str, str], list[float]] = {}
    for turn in range(rounds + 2):
        for name, each in works.items():
            for what, work in each.items():
                before = time.process_time()
                work()
                if turn >= 2:  # the first ones allocate
                    times.setdefault((name, what), []).append(time.process_time() - before)
    print(f"one thread, medians of {rounds} turns\n\n| | CPU ms | against SSD |\n|---|---|---|")
    for what in works["ssd"]:
        for name in CONTENDERS:
            own, base = (1000 * statistics.median(times[each, what]) for each in (name, "ssd"))
            print(f"| {what}, {name} | {own:.1f} | {own / base:.2f} |")


if __name__ == "__main__":
    main()
