"""Segmentation as a plugin against torchvision's LR-ASPP, from the same backbone, on the same batches: IoU and minutes.

    python benchmarks/segmentation.py TINYCOCO V2_WEIGHTS --epochs 30

TINYCOCO is a folder that ``data=coco_masks`` reads, V2_WEIGHTS a file of timm's ``mobilenetv2_100``. Both models are
trained by this loop: AdamW at one rate with a cosine, cross-entropy, the same augmented batches in the same order, one
thread; ours has the head of ``examples/mobilevision_segmentation``, theirs is
``torchvision.models.segmentation.lraspp.LRASPP`` over the same dilated body. Measured at the size of the input, on
train (how far it is learnt by heart) and on val. Needs the plugin installed.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate
from torchvision.models.segmentation.lraspp import LRASPP

from mobilevision.config.compose import compose
from mobilevision.engine.build import build
from mobilevision.spec import Needs

IGNORED = 255


class Body(nn.Module):
    """A backbone as torchvision's model wants it.

    Args:
        backbone: of mobilevision, already dilated.
    """

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """``low`` at stride 8 and ``high``, the dilated last stage."""
        maps = self.backbone(images, Needs((8, 32), output_stride=16)).maps
        return {"low": maps[8], "high": maps[32]}


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """At whatever size a model gives them."""
    found = model(images)
    return found["out"] if isinstance(found, dict) else found


def measure(model: nn.Module, built: Any, split: str) -> dict[str, float]:
    """The plugin's own metric."""
    model.eval()
    metric = built.task.configure_metrics()
    with torch.inference_mode():
        for batch in built.data.eval_dataloader(split):
            logits = interpolate(logits_of(model, batch["image"]), batch["target"].shape[1:], mode="bilinear")
            metric.update({"mask": logits.argmax(1).to(torch.uint8)}, batch["target"])
    return {name: float(value) for name, value in metric.compute().items()}


def main() -> None:
    """Train both, print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tinycoco")
    parser.add_argument("weights")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    words = ["task=segmentation", "data=coco_masks", f"data.root={given.tinycoco}", "backbone=mobilenet_v2"]
    words += [f"backbone.weights={given.weights}", f"data.resolution={given.side}", "data.workers=0"]
    words += ["data.batch_size=8", f"seed={given.seed}"]
    for name in ("mobilevision", "torchvision"):
        torch.manual_seed(given.seed)
        built = build(compose(words))
        model: nn.Module = built.task
        if name == "torchvision":
            channels = built.task.backbone.spec.strides
            model = LRASPP(Body(built.task.backbone), channels[8], channels[32], len(built.data.spec.classes))
        parameters = sum(weight.numel() for weight in model.parameters())
        optimizer = torch.optim.AdamW(model.parameters(), lr=given.lr, weight_decay=0.01)
        loader = built.data.train_dataloader()
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, given.epochs * len(loader))
        began = time.process_time()
        for epoch in range(given.epochs):
            model.train()
            loader.epochs.set_epoch(epoch)
            for batch in loader:
                logits = interpolate(logits_of(model, batch["image"]), batch["target"].shape[1:], mode="bilinear")
                loss = cross_entropy(logits, batch["target"].long(), ignore_index=IGNORED)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        minutes = (time.process_time() - began) / 60
        for split in ("train", "val"):
            shown = "  ".join(f"{key} {value:.3f}" for key, value in measure(model, built, split).items())
            print(f"{name:<14}{split:<7}{shown}  {parameters:,} parameters  {minutes:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
