"""One training step on the CPU: ours against timm as it comes.

    python benchmarks/training_step.py                # about two minutes
    python benchmarks/training_step.py --ablate       # what each part brings

Both train MobileNet V1 1.0 at 224 pixels with ReLU6, a linear layer and SGD in float32, each run in a process of its
own, the contenders taking turns. timm's is given normalised floats; ours uint8 pixels that it normalises itself.
The ratio is of medians over runs; CPU time is the figure to trust on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

OURS = ("tuned allocator", "channels last", "ReLU6 in place")
TIMM: tuple[str, ...] = ()


def worker(parts: set[str], batch: int, side: int, steps: int, threads: int) -> dict[str, float]:
    """Train for some steps and return the median seconds a step, of CPU and of the clock."""
    if OURS[0] in parts:
        from mobilevision.training.train import tune_allocator

        tune_allocator()
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    step = our_step(parts, batch, side) if parts else timm_step(batch, side)
    cpu, wall = [], []
    for _ in range(steps + 2):
        before = time.process_time(), time.perf_counter()
        step()
        cpu.append(time.process_time() - before[0])
        wall.append(time.perf_counter() - before[1])
    return {"cpu": statistics.median(cpu[2:]), "wall": statistics.median(wall[2:])}


def timm_step(batch: int, side: int) -> Callable[[], None]:
    """Plain timm: contiguous, float images."""
    import timm
    import torch

    model = timm.create_model("mobilenetv1_100").train()
    images = torch.randn(batch, 3, side, side)
    return training(model, images, torch.randint(0, 1000, (batch,)))


def our_step(parts: set[str], batch: int, side: int) -> Callable[[], None]:
    """A backbone of ours under a linear layer: uint8 images as the loaders give them."""
    import torch
    from torch import Tensor, nn

    from mobilevision.backbones import mobilenet_v1
    from mobilevision.backbones.activations import ReLU6
    from mobilevision.spec import Needs

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = mobilenet_v1(activation="relu6")
            self.last = nn.Linear(self.body.spec.width, 1000)

        def forward(self, images: Tensor) -> Tensor:
            return self.last(self.body(images, Needs(pooled=True)).pooled)

    model = Classifier().train()
    images = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8)
    if OURS[1] in parts:
        model, images = (thing.to(memory_format=torch.channels_last) for thing in (model, images))
    if OURS[2] not in parts:
        for module in model.modules():
            if isinstance(getattr(module, "act", None), ReLU6):
                module.act = nn.ReLU6(inplace=True)
    return training(model, images, torch.randint(0, 1000, (batch,)))


def training(model, images, targets) -> Callable[[], None]:  # noqa: ANN001 - torch is imported in the workers only
    """Forward, backward and an SGD step."""
    import torch

    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        torch.nn.functional.cross_entropy(model(images), targets).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def measure(parts: tuple[str, ...], options: argparse.Namespace) -> dict[str, float]:
    """One run in a process of its own."""
    sizes = [str(options.batch), str(options.side), str(options.steps), str(options.threads)]
    command = [sys.executable, __file__, "--worker", json.dumps(parts), *sizes]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Let the contenders take turns, and print the table."""
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(worker(set(json.loads(sys.argv[2])), *map(int, sys.argv[3:]))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("batch", 16), ("side", 224), ("steps", 6), ("threads", 1), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--ablate", action="store_true", help="also ours with one part less at a time")
    options = parser.parse_args()
    contenders = {"timm, eager, as it comes": TIMM, "ours": OURS}
    if options.ablate:
        contenders |= {f"ours without {part}": tuple(other for other in OURS if other != part) for part in OURS}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for _ in range(options.rounds):
        for name, parts in contenders.items():
            runs[name].append(measure(parts, options))
    print(f"batch {options.batch}, side {options.side}, {options.threads} thread(s), {options.rounds} runs each\n")
    print("| | CPU ms a step | ms a step | img/s | CPU ratio | clock ratio |\n|---|---|---|---|---|---|")
    base: dict[str, float] = {}
    for name, results in runs.items():
        cpu, wall = (statistics.median(result[kind] for result in results) for kind in ("cpu", "wall"))
        base = base or {"cpu": cpu, "wall": wall}
        ratios = f"{base['cpu'] / cpu:.2f} | {base['wall'] / wall:.2f}"
        print(f"| {name} | {1000 * cpu:.0f} | {1000 * wall:.0f} | {options.batch / wall:.1f} | {ratios} |")


if __name__ == "__main__":
    main()
