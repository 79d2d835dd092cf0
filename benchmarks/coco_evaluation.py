"""COCO's twelve numbers of many detections: ours against plain pycocotools.

    python benchmarks/coco_evaluation.py                   # about two minutes
    python benchmarks/coco_evaluation.py --images 5000     # as many as COCO's val: several minutes and 3 GB

Drawn truth (7 boxes an image on average, some crowd regions) and detections near it, the same for all contenders, each
run in a process of its own, the contenders taking turns, one thread. pycocotools is fed as its demo does it, ``COCO``,
``loadRes``, ``COCOeval``, but from lists in memory instead of json files; ours takes the batches of a task. The numbers
must be equal. The ratio is of medians over runs, in CPU time.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

OURS = {"ours with faster-coco-eval": "faster", "ours with pycocotools": "pycocotools"}
PLAIN = "pycocotools as it comes"
SIDE = 480
NAMES = [
    *("map", "map_50", "map_75", "map_small", "map_medium", "map_large"),
    *("mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large"),
]


def scenes(images: int, detections: int, classes: int) -> list[dict[str, Any]]:
    """Truth and detections of each image; boxes are float64 [n, 4], (left, top, right, bottom) in pixels."""
    random = np.random.default_rng(0)
    made = []
    for _ in range(images):
        count = int(random.integers(0, 15))
        corner = random.uniform(0, SIDE - 40, (count, 2))
        truth = np.concatenate([corner, corner + np.exp(random.uniform(2, 5.3, (count, 2)))], axis=1).clip(0, SIDE)
        corner = random.uniform(0, SIDE - 60, (detections, 2))
        found = np.concatenate([corner, corner + random.uniform(8, 60, (detections, 2))], axis=1)
        labels = random.integers(0, classes, count)
        said = random.integers(0, classes, detections)
        near = min(3 * count, detections)  # three guesses at each true box, the rest anywhere
        which = np.arange(near) % max(count, 1)
        side = np.tile(truth[which, 2:] - truth[which, :2], 2)
        found[:near] = (truth[which] + random.normal(0, 0.1, (near, 4)) * side).clip(0, SIDE)
        found[:near, 2:] = np.maximum(found[:near, 2:], found[:near, :2])
        said[:near] = labels[which]
        scores = random.random(detections).astype(np.float32)
        order = np.argsort(-scores)
        made.append(
            {
                **{"truth": truth, "labels": labels, "crowd": random.random(count) < 0.02},
                **{"found": found.astype(np.float32)[order], "said": said[order], "scores": scores[order]},
            }
        )
    return made


def worker(engine: str, images: int, detections: int, classes: int) -> dict[str, Any]:
    """One evaluation: seconds of CPU and clock, the process's most memory before and after, and the numbers."""
    pictures = scenes(images, detections, classes)
    measure = prepare_ours(pictures, engine, classes) if engine in OURS.values() else prepare_plain(pictures, classes)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before = time.process_time(), time.perf_counter()
    values = measure()
    return {
        "cpu": time.process_time() - before[0],
        "wall": time.perf_counter() - before[1],
        "memory": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024,
        "values": values,
    }


def prepare_plain(pictures, classes: int):  # noqa: ANN001, ANN201 - a function that evaluates
    """Lists for pycocotools, which are made before the clock starts."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def rows(kind: str, label: str) -> list[dict[str, Any]]:
        return [
            {
                **{"image_id": image, "category_id": int(number)},
                "bbox": [float(box[0]), float(box[1]), float(box[2]) - float(box[0]), float(box[3]) - float(box[1])],
            }
            for image, picture in enumerate(pictures)
            for box, number in zip(picture[kind], picture[label], strict=True)
        ]

    truth, found = rows("truth", "labels"), rows("found", "said")
    crowd = np.concatenate([picture["crowd"] for picture in pictures])
    for number, (row, region) in enumerate(zip(truth, crowd, strict=True), 1):
        row |= {"id": number, "area": row["bbox"][2] * row["bbox"][3], "iscrowd": int(region)}
    for row, score in zip(found, np.concatenate([picture["scores"] for picture in pictures]), strict=True):
        row["score"] = float(score)
    images = [{"id": number} for number in range(len(pictures))]
    content = {"info": {}, "images": images, "annotations": truth}
    content["categories"] = [{"id": number} for number in range(classes)]

    def measure() -> dict[str, float]:
        with contextlib.redirect_stdout(io.StringIO()):
            known = COCO()
            known.dataset = content
            known.createIndex()
            evaluation = COCOeval(known, known.loadRes(found), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return dict(zip(NAMES, map(float, evaluation.stats), strict=True))

    return measure


def prepare_ours(pictures, engine: str, classes: int):  # noqa: ANN001, ANN201 - a function that evaluates
    """The metric on batches of 32 that are made before the clock starts."""
    import torch

    from mobilevision.metrics import DetectionMetrics

    torch.set_num_threads(1)

    def stacked(some: list[dict[str, Any]], name: str, fill: float, kind: torch.dtype) -> torch.Tensor:
        parts = [torch.from_numpy(picture[name]).to(kind) for picture in some]
        made = torch.full((len(parts), max([1, *map(len, parts)]), *parts[0].shape[1:]), fill, dtype=kind)
        for row, part in zip(made, parts, strict=True):
            row[: len(part)] = part
        return made

    batches = []
    for start in range(0, len(pictures), 32):
        some = pictures[start : start + 32]
        boxes = stacked(some, "truth", 0, torch.float64)
        prediction = {
            "boxes": stacked(some, "found", 0, torch.float32),
            "scores": stacked(some, "scores", 0, torch.float32),
            "labels": stacked(some, "said", -1, torch.int64),
        }
        target = {
            **{"original": boxes, "area": (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)},
            "labels": stacked(some, "labels", -1, torch.int64),
            "crowd": (crowd := stacked(some, "crowd", 0, torch.bool)),
            "difficult": torch.zeros_like(crowd),
            "frame": torch.tensor([[1.0, 1.0, 0.0, 0.0]] * len(some), dtype=torch.float64),
            "size": torch.full((len(some), 2), SIDE),
            "image": torch.arange(start, start + len(some)),
        }
        batches.append((prediction, target))

    def measure() -> dict[str, float]:
        metric = DetectionMetrics(classes=tuple(map(str, range(classes))), engine=engine)
        for prediction, target in batches:
            metric.update(prediction, target)
        return {name: float(value) for name, value in metric.compute().items()}

    return measure


def run(engine: str, options: argparse.Namespace) -> dict[str, Any]:
    """One evaluation in a process of its own."""
    sizes = [str(options.images), str(options.detections), str(options.classes)]
    command = [sys.executable, __file__, "--worker", engine, *sizes]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Let the contenders take turns, hold their numbers against one another, and print the table."""
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(worker(sys.argv[2], *map(int, sys.argv[3:]))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 1000), ("detections", 100), ("classes", 80), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    runs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(options.rounds):
        for name, engine in {PLAIN: PLAIN, **OURS}.items():
            runs.setdefault(name, []).append(run(engine, options))
    expected = runs[PLAIN][0]["values"]
    for results in runs.values():
        for result in results:
            assert result["values"].keys() == expected.keys()
            assert all(abs(result["values"][name] - expected[name]) < 1e-8 for name in expected)
    print(f"{options.images} images x {options.detections} detections, {options.classes} classes, ", end="")
    print(f"{options.rounds} runs each; all twelve numbers equal to 8 decimals\n")
    print("| | CPU s | s | MB more | CPU ratio | clock ratio |\n|---|---|---|---|---|---|")
    base: dict[str, float] = {}
    for name, results in runs.items():
        cpu, wall, memory = (statistics.median(each[kind] for each in results) for kind in ("cpu", "wall", "memory"))
        base = base or {"cpu": cpu, "wall": wall}
        ratios = f"{base['cpu'] / cpu:.1f} | {base['wall'] / wall:.1f}"
        print(f"| {name} | {cpu:.2f} | {wall:.2f} | {memory:.0f} | {ratios} |")


if __name__ == "__main__":
    main()
