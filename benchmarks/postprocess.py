"""From raw outputs to detections on the CPU: ours against torchvision's ``SSD.postprocess_detections``.

    python benchmarks/postprocess.py                  # about a minute

SSD 300's 1917 default boxes and 80 classes, both with the same thresholds, and their detections are compared before
anything is timed. Three loads: scores like a trained detector's (a few objects an image, some doubt around them), like
a half-trained one's, and random ones, where every class passes almost everywhere. One thread, the two taking turns,
CPU time, medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision.models.detection import ssd

from mobilevision.ops.anchors import default_boxes, default_sizes
from mobilevision.ops.box_coding import SSD_WEIGHTS
from mobilevision.ops.candidates import Candidates
from mobilevision.ops.postprocess import detections

SIDE, CLASSES = 300, 80
GRIDS = [(19, 19), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)]
THRESHOLD, IOU, PER_CLASS, MOST = 0.01, 0.45, 400, 200  # torchvision's defaults
LOADS = {"trained": (3.0, 16.0), "half trained": (3.0, 12.0), "random": (1.0, 0.0)}


def candidates(batch: int, spread: float, background: float) -> Candidates:
    """Random outputs; the higher the logit of background, the fewer of them pass the threshold."""
    generator = torch.Generator().manual_seed(0)
    references = default_boxes(GRIDS, default_sizes(len(GRIDS), (SIDE, SIDE)), (SIDE, SIDE)).expand(batch, -1, -1)
    logits = spread * torch.randn(*references.shape[:2], CLASSES + 1, generator=generator)
    logits[..., 0] += background
    deltas = torch.randn(references.shape, generator=generator)
    valid = torch.ones(references.shape[:2], dtype=torch.bool)
    return Candidates(logits, deltas, references, valid, SSD_WEIGHTS)


def ours(given: Candidates) -> dict[str, Tensor]:
    """As a head decodes."""
    return detections(
        given, resolution=(SIDE, SIDE), score_threshold=THRESHOLD, iou=IOU, per_class=PER_CLASS, most=MOST
    )


def torchvisions() -> Callable[[Candidates], list[dict[str, Tensor]]]:
    """Its method, on a model that has nothing but its thresholds."""
    model = ssd.SSD.__new__(ssd.SSD)
    nn.Module.__init__(model)
    model.box_coder = ssd.det_utils.BoxCoder(SSD_WEIGHTS)
    model.score_thresh, model.nms_thresh = THRESHOLD, IOU
    model.topk_candidates, model.detections_per_img = PER_CLASS, MOST

    def run(given: Candidates) -> list[dict[str, Tensor]]:
        outputs = {"bbox_regression": given.deltas, "cls_logits": given.logits}
        return model.postprocess_detections(outputs, list(given.anchors), [(SIDE, SIDE)] * len(given.logits))

    return run


def compare(found: dict[str, Tensor], expected: list[dict[str, Tensor]]) -> int:
    """Raise unless both are the same detections; how many there are."""
    for row, theirs in enumerate(expected):
        count = len(theirs["scores"])
        assert int((found["scores"][row] > 0).sum()) == count
        torch.testing.assert_close(found["scores"][row, :count], theirs["scores"])
        assert torch.equal(found["labels"][row, :count], theirs["labels"] - 1)
        torch.testing.assert_close(found["boxes"][row, :count], theirs["boxes"], atol=1e-3, rtol=0)
    return sum(len(theirs["scores"]) for theirs in expected)


def seconds(work: Callable[[], object]) -> float:
    """CPU time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


@torch.no_grad()
def main() -> None:
    """Let both take turns on each load, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(1)
    theirs = torchvisions()
    print(f"batch {options.batch}, {CLASSES} classes, one thread, medians of {options.rounds} turns, CPU ms an image\n")
    print("| scores | above the threshold | detections | torchvision | ours | ratio |\n|---|---|---|---|---|---|")
    for name, load in LOADS.items():
        given = candidates(options.batch, *load)
        passing = int((given.logits.softmax(dim=-1)[..., 1:] > THRESHOLD).sum()) // options.batch
        kept = compare(ours(given), theirs(given)) // options.batch
        times = [
            (seconds(lambda given=given: theirs(given)), seconds(lambda given=given: ours(given)))
            for _ in range(options.rounds)
        ]
        base, own = (1000 * statistics.median(column) / options.batch for column in zip(*times, strict=True))
        print(f"| {name} | {passing} | {kept} | {base:.2f} | {own:.2f} | {base / own:.2f} |")


if __name__ == "__main__":
    main()
