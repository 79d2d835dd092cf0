"""One training step of Faster R-CNN 300 on the CPU: ours against torchvision's class over the same body.

    python benchmarks/faster_rcnn_step.py             # about six minutes

MobileNet V1 1.0 with ReLU6 whose last stage runs on 64 regions an image, 80 classes, twelve anchors a place, eight
boxes an image, SGD in float32. torchvision's ``FasterRCNN`` gets timm's body and images as a list of floats, ours
uint8 pixels. Each run is in a process of its own, the contenders taking turns; two more are ours with torch's own
allocator, contiguous tensors and copying ReLU6, and that with torchvision's ``roi_align``, which show what each is
worth. Ratios of medians; CPU time is the figure to trust on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

SIDE, CLASSES, BOXES, REGIONS = 300, 80, 8, 64
CONTENDERS = {
    "torchvision": "torchvision's FasterRCNN class",
    "roi_align": "ours, plain tensors, torchvision's RoIAlign",
    "plain": "ours, plain tensors",
    "ours": "ours",
}


def worker(name: str, batch: int, steps: int) -> dict[str, float]:
    """Train for some steps and return the median seconds a step, of CPU and of the clock."""
    if name == "ours":
        from mobilevision.training.train import tune_allocator

        tune_allocator()
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    step = torchvisions_step(batch) if name == "torchvision" else our_step(batch, name)
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


def our_step(batch: int, name: str) -> Callable[[], None]:
    """Our backbone, head and loss."""
    import torch
    from torch import nn

    from mobilevision.backbones import mobilenet_v1
    from mobilevision.backbones.activations import ReLU6
    from mobilevision.heads import FasterRCNNHead
    from mobilevision.losses import MultiBox
    from mobilevision.ops import roi_align
    from mobilevision.spec import DataSpec

    data = DataSpec(kind="boxes", classes=tuple(map(str, range(CLASSES))), channels=3, resolution=(SIDE, SIDE))
    body = mobilenet_v1(activation="relu6")
    head = FasterRCNNHead(backbone=body.spec, data=data, regions=REGIONS)
    head.take_tail(body.split_tail())
    body.keep(head.needs)
    model, criterion = nn.ModuleList([body, head]).train(), MultiBox(data=data)
    images = torch.randint(0, 256, (batch, 3, SIDE, SIDE), dtype=torch.uint8)
    if name == "ours":
        model, images = (thing.to(memory_format=torch.channels_last) for thing in (model, images))
    else:
        for module in model.modules():
            if isinstance(getattr(module, "act", None), ReLU6):
                module.act = nn.ReLU6(inplace=True)
    if name == "roi_align":
        roi_align._bags = roi_align._by_torchvision
    boxes, labels = targets(batch)
    target = {"boxes": boxes, "labels": labels, "crowd": torch.zeros_like(labels, dtype=torch.bool)}

    def loss() -> Any:
        return sum(criterion(head(body(images, head.needs), target), {"target": target}).values())

    return training(model, loss)


def torchvisions_step(batch: int) -> Callable[[], None]:
    """The ``FasterRCNN`` class over timm's body, with the same layers after it."""
    import timm
    import torch
    from torch import nn
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.faster_rcnn import FasterRCNN, FastRCNNPredictor
    from torchvision.ops import MultiScaleRoIAlign

    last = timm.create_model("mobilenetv1_100").blocks[4]
    last[0].conv_dw.stride = (1, 1)

    class Body(nn.Module):
        out_channels = 512

        def __init__(self) -> None:
            super().__init__()
            self.body = timm.create_model("mobilenetv1_100", features_only=True, out_indices=(3,))

        def forward(self, x: Any) -> Any:
            return self.body(x)[0]

    model = FasterRCNN(
        Body(),
        rpn_anchor_generator=AnchorGenerator(((30, 60, 120, 240),), ((0.5, 1.0, 2.0),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], 7, 2),
        box_head=nn.Sequential(last, nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        box_predictor=FastRCNNPredictor(1024, CLASSES + 1),
        min_size=SIDE,
        max_size=SIDE,
        rpn_post_nms_top_n_train=1000,
        box_batch_size_per_image=REGIONS,
    ).train()
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
    for name, default in (("batch", 4), ("steps", 3), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for _ in range(options.rounds):
        for name in CONTENDERS:
            runs[name].append(measure(name, options))
    print(f"batch {options.batch}, side {SIDE}, {REGIONS} regions an image, one thread, {options.rounds} runs each\n")
    print("| | CPU ms a step | ms a step | img/s | CPU ratio | clock ratio |\n|---|---|---|---|---|---|")
    base: dict[str, float] = {}
    for name, title in CONTENDERS.items():
        cpu, wall = (statistics.median(result[kind] for result in runs[name]) for kind in ("cpu", "wall"))
        base = base or {"cpu": cpu, "wall": wall}
        ratios = f"{base['cpu'] / cpu:.2f} | {base['wall'] / wall:.2f}"
        print(f"| {title} | {1000 * cpu:.0f} | {1000 * wall:.0f} | {options.batch / wall:.1f} | {ratios} |")


if __name__ == "__main__":
    main()
