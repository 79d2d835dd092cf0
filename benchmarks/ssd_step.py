"""One training step of SSD 300 on the CPU: ours against torchvision's ``SSD`` class over the same body.

    python benchmarks/ssd_step.py                     # about four minutes

MobileNet V1 1.0 with ReLU6, 80 classes, six default boxes at every place of six maps, 1x1 predictors, eight boxes an
image, SGD in float32. torchvision's gets timm's body as it comes and images as a list of floats, ours uint8
pixels. Each run is in a process of its own, the contenders taking turns; one more is ours with torch's own allocator,
contiguous tensors and copying ReLU6, which shows what is due to the head and the loss alone. Ratios of medians; CPU
time is the figure to trust on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

SIDE, CLASSES, BOXES = 300, 80, 8
CONTENDERS = {"torchvision": "torchvision's SSD class", "plain": "ours, plain tensors", "ours": "ours"}


def worker(name: str, batch: int, steps: int) -> dict[str, float]:
    """Train for some steps and return the median seconds a step, of CPU and of the clock."""
    if name == "ours":
        from mobilevision.training.train import tune_allocator

        tune_allocator()
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    step = torchvisions_step(batch) if name == "torchvision" else our_step(batch, fast=name == "ours")
    cpu, wall = [], []
    for _ in range(steps + 2):
        before = time.process_time(), time.perf_counter()
        step()
        cpu.append(time.process_time() - before[0])
        wall.append(time.perf_counter() - before[1])
    return {"cpu": statistics.median(cpu[2:]), "wall": statistics.median(wall[2:])}


def targets(batch: int) -> tuple[Any, Any]:
    """Random boxes float [batch, BOXES, 4] in pixels, and labels [batch, BOXES]."""
    import torch

    corners = torch.rand(batch, BOXES, 2) * SIDE * 0.6
    sizes = 20 + torch.rand(batch, BOXES, 2) * (SIDE * 0.4 - 20)
    return torch.cat([corners, corners + sizes], dim=-1), torch.randint(0, CLASSES, (batch, BOXES))


def our_step(batch: int, fast: bool) -> Callable[[], None]:
    """Our backbone, head and loss."""
    import torch
    from torch import nn

    from mobilevision.backbones import mobilenet_v1
    from mobilevision.backbones.activations import ReLU6
    from mobilevision.heads import SSDHead
    from mobilevision.losses import MultiBox
    from mobilevision.spec import DataSpec

    data = DataSpec(kind="boxes", classes=tuple(map(str, range(CLASSES))), channels=3, resolution=(SIDE, SIDE))
    body = mobilenet_v1(activation="relu6")
    head = SSDHead(backbone=body.spec, data=data, reduced=False, activation="relu6")
    model, criterion = nn.ModuleList([body, head]).train(), MultiBox(data=data)
    images = torch.randint(0, 256, (batch, 3, SIDE, SIDE), dtype=torch.uint8)
    if fast:
        model, images = (thing.to(memory_format=torch.channels_last) for thing in (model, images))
    else:
        for module in model.modules():
            if isinstance(getattr(module, "act", None), ReLU6):
                module.act = nn.ReLU6(inplace=True)
    boxes, labels = targets(batch)
    target = {"boxes": boxes, "labels": labels, "crowd": torch.zeros_like(labels, dtype=torch.bool)}

    def loss() -> Any:
        return sum(criterion(head(body(images, head.needs), target), {"target": target}).values())

    return training(model, loss)


def torchvisions_step(batch: int) -> Callable[[], None]:
    """The ``SSD`` class over timm's body, with the same layers after it."""
    import timm
    import torch
    from torch import nn
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.ssd import SSD
    from torchvision.ops.misc import Conv2dNormActivation as Conv

    class Body(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = timm.create_model("mobilenetv1_100", features_only=True, out_indices=(3, 4))
            self.out_channels = [512, 1024, 512, 256, 256, 128]
            pairs = zip(self.out_channels[1:], self.out_channels[2:], strict=False)
            self.extras = nn.ModuleList(
                nn.Sequential(
                    Conv(before, after // 2, 1, activation_layer=nn.ReLU6),
                    Conv(after // 2, after, 3, 2, activation_layer=nn.ReLU6),
                )
                for before, after in pairs
            )

        def forward(self, x: Any) -> dict[str, Any]:
            maps = self.body(x)
            for extra in self.extras:
                maps.append(extra(maps[-1]))
            return OrderedDict(enumerate(maps))

    body, boxes = Body(), DefaultBoxGenerator([[2, 3]] * 6, min_ratio=0.2, max_ratio=0.95)
    model = SSD(body, boxes, (SIDE, SIDE), CLASSES + 1).train()
    for heads, each in ((model.head.classification_head, CLASSES + 1), (model.head.regression_head, 4)):
        heads.module_list = nn.ModuleList(nn.Conv2d(wide, 6 * each, 1) for wide in body.out_channels)
    images = [torch.rand(3, SIDE, SIDE) for _ in range(batch)]
    corners, labels = targets(batch)
    annotations = [{"boxes": box, "labels": label + 1} for box, label in zip(corners, labels, strict=True)]
    return training(model, lambda: sum(model(images, annotations).values()))


def training(model: Any, loss: Callable[[], Any]) -> Callable[[], None]:
    """Forward, backward and an SGD step."""
    import torch

    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)

    def step() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def measure(name: str, options: argparse.Namespace) -> dict[str, float]:
    """One run in a process of its own."""
    command = [sys.executable, __file__, "--worker", name, str(options.batch), str(options.steps)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Let the contenders take turns, and print the table."""
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(worker(sys.argv[2], *map(int, sys.argv[3:]))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("batch", 8), ("steps", 6), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for _ in range(options.rounds):
        for name in CONTENDERS:
            runs[name].append(measure(name, options))
    print(f"batch {options.batch}, side {SIDE}, one thread, {options.rounds} runs each\n")
    print("| | CPU ms a step | ms a step | img/s | CPU ratio | clock ratio |\n|---|---|---|---|---|---|")
    base: dict[str, float] = {}
    for name, title in CONTENDERS.items():
        cpu, wall = (statistics.median(result[kind] for result in runs[name]) for kind in ("cpu", "wall"))
        base = base or {"cpu": cpu, "wall": wall}
        ratios = f"{base['cpu'] / cpu:.2f} | {base['wall'] / wall:.2f}"
        print(f"| {title} | {1000 * cpu:.0f} | {1000 * wall:.0f} | {options.batch / wall:.1f} | {ratios} |")


if __name__ == "__main__":
    main()
