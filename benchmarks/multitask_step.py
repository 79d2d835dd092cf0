"""One training step of two tasks on one backbone: against the same tasks alone, and against what has to be computed.

    python benchmarks/multitask_step.py               # about three minutes

The embedded scenes at side 144, MobileNet V1 0.5, SSD and a classifier, batches of 16 of which every image has both
targets, one thread, float32. Three contenders take turns: both together, the detector alone, the classifier alone, and
the backbone alone with the maps that both need. "Bound" is the sum of the two alone less one backbone: what a joint
step cannot be below but for what is saved. Ratios of medians of CPU time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

PARTS = {"objects": "detection", "ground": "classification"}
SHARED = ["backbone.width=0.5", "data.resolution=144", "data.workers=0"]


def built(parts: list[str]) -> tuple[Any, dict[str, Any]]:
    """A task of these parts in training, and a batch."""
    from mobilevision.config.compose import compose
    from mobilevision.engine.build import build

    given = [f"parts.{name}={PARTS[name]}" for name in parts] + [f"parts.{name}.data=scenes" for name in parts]
    whole = build(compose(["task=multitask", *SHARED, *given]))
    source = whole.data.eval_dataloader("train").source
    return whole.task.train(), source.__getitems__([(0, index) for index in range(16)])


def step_of(task: Any, batch: dict[str, Any]) -> Callable[[], None]:
    """Forward, backward and an optimiser's step."""
    import torch

    optimizer = torch.optim.AdamW(task.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        torch.stack(list(task.loss(task.outputs(batch), batch).values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def backbone_step_of(task: Any, batch: dict[str, Any]) -> Callable[[], None]:
    """The same of the backbone alone, with the mean of its features as its loss."""
    import torch

    optimizer = torch.optim.AdamW(task.backbone.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        maps, pooled = task.extract(batch["image"])
        torch.stack([each.mean() for each in (*maps.values(), pooled) if each is not None]).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def main() -> None:
    """Time them in turn and print the ratios."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    joint = built(list(PARTS))
    contenders = {"both": step_of(*joint), "backbone": backbone_step_of(*joint)}
    contenders |= {name: step_of(*built([name])) for name in PARTS}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(steps + 2):
        for name, step in contenders.items():
            before = time.process_time()
            step()
            if turn >= 2:  # the first ones allocate
                times[name].append(time.process_time() - before)
    median = {name: statistics.median(values) for name, values in times.items()}
    for name, value in median.items():
        print(f"{name:10} {1e3 * value:7.1f} ms")
    apart = sum(median[name] for name in PARTS)
    print(f"both / the two alone          {median['both'] / apart:.2f}")
    print(f"both / bound                  {median['both'] / (apart - median['backbone']):.2f}")


if __name__ == "__main__":
    main()
