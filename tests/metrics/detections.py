"""Boxes to evaluate: batches as tasks give them, from real and drawn truth, and pycocotools by hand on the same."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

SIZE = (240, 320)
NAMES = [
    *("map", "map_50", "map_75", "map_small", "map_medium", "map_large"),
    *("mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large"),
]


@dataclass
class Image:
    """One image's truth and detections, all in its own pixels; ``boxes`` float64 [n, 4] are xyxy."""

    boxes: Any
    labels: Any
    crowd: Any
    difficult: Any
    area: Any
    found: Any
    found_labels: Any
    scores: Any
    size: tuple[int, int] = SIZE


def drawn(
    seed: int = 0,
    *,
    images: int = 30,
    classes: int = 5,
    boxes: int = 8,
    found: int = 25,
    crowd: float = 0.0,
    difficult: float = 0.0,
    ties: bool = False,
) -> list[Image]:
    """Random boxes, and detections that lie near them, or anywhere."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(images):
        count = int(random.integers(0, boxes + 1)) if boxes else 0
        corner = random.uniform(0, [SIZE[1] - 20, SIZE[0] - 20], (count, 2))
        side = np.exp(random.uniform(1, 5.3, (count, 2)))
        truth = np.concatenate([corner, np.minimum(corner + side, [SIZE[1], SIZE[0]])], axis=1)
        labels = random.integers(0, classes, count)
        area = (truth[:, 2:] - truth[:, :2]).prod(axis=1) * random.uniform(0.5, 1, count)
        said, said_labels = noisy(random, truth, labels, found, classes)
        scores = random.random(len(said)).astype(np.float32)
        scores = np.round(scores, 1) + np.float32(0.05) if ties else scores
        flags = random.random((2, count))
        made.append(Image(truth, labels, flags[0] < crowd, flags[1] < difficult, area, said, said_labels, scores))
    return made


def noisy(random: Any, truth: Any, labels: Any, count: int, classes: int) -> tuple[Any, Any]:
    """Boxes near true ones (some with another class), and a third that lie anywhere; float32 as a model's."""
    corner = random.uniform(0, [SIZE[1] - 40, SIZE[0] - 40], (count, 2))
    boxes = np.concatenate([corner, corner + random.uniform(5, 40, (count, 2))], axis=1)
    said = random.integers(0, classes, count)
    if len(truth):
        which = random.integers(0, len(truth), count)
        near = random.random(count) < 0.7
        side = np.tile(truth[which, 2:] - truth[which, :2], 2)
        moved = truth[which] + random.normal(0, 0.12, (count, 4)) * side
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        boxes = np.where(near[:, None], moved, boxes)
        said = np.where(near & (random.random(count) < 0.9), labels[which], said)
    return np.clip(boxes, 0, [SIZE[1], SIZE[0]] * 2).astype(np.float32).astype(np.float64), said


def tinycoco(folder: Path, split: str = "train2017", seed: int = 0) -> tuple[list[Image], dict[str, Any]]:
    """The images of a split with detections near the truth, and the annotation file's content."""
    content = json.loads((folder / "tinycoco" / "annotations" / f"instances_{split}.json").read_text())
    numbers = {each["id"]: place for place, each in enumerate(sorted(content["categories"], key=lambda c: c["id"]))}
    random = np.random.default_rng(seed)
    made = []
    for image in content["images"]:
        own = [each for each in content["annotations"] if each["image_id"] == image["id"]]
        boxes = np.array([each["bbox"] for each in own], dtype=np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = np.array([numbers[each["category_id"]] for each in own], dtype=np.int64)
        crowd = np.array([each["iscrowd"] for each in own], dtype=bool)
        area = np.array([each["area"] for each in own], dtype=np.float64)
        found, said = noisy(random, boxes, labels, 100, len(numbers))
        scores = random.random(100).astype(np.float32)
        size = (image["height"], image["width"])
        found = np.clip(found, 0, [size[1], size[0]] * 2)
        made.append(Image(boxes, labels, crowd, np.zeros_like(crowd), area, found, said, scores, size))
    return made, content


def batches(
    images: list[Image], *, batch: int = 4, frame: tuple[float, ...] = (1.0, 1.0, 0.0, 0.0)
) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Predictions and targets as a task gives them to its metric."""
    for start in range(0, len(images), batch):
        some = images[start : start + batch]
        yield (
            {
                "boxes": padded([to_input(p.found, frame) for p in some], 0, torch.float32, 4),
                "scores": padded([p.scores for p in some], 0, torch.float32),
                "labels": padded([p.found_labels for p in some], -1, torch.int64),
            },
            {
                "boxes": padded([to_input(p.boxes, frame) for p in some], 0, torch.float32, 4),
                "labels": padded([p.labels for p in some], -1, torch.int64),
                "crowd": padded([p.crowd for p in some], 0, torch.bool),
                "difficult": padded([p.difficult for p in some], 0, torch.bool),
                "original": padded([p.boxes for p in some], 0, torch.float64, 4),
                "area": padded([p.area for p in some], 0, torch.float64),
                "frame": torch.tensor([frame] * len(some), dtype=torch.float64),
                "size": torch.tensor([p.size for p in some]),
                "image": torch.arange(start, start + len(some)),
            },
        )


def to_input(boxes: Any, frame: tuple[float, ...]) -> Any:
    return boxes * np.tile(frame[:2], 2) + np.tile(frame[2:], 2)


def padded(values: list[Any], fill: float, kind: torch.dtype, *inner: int) -> Tensor:
    most = max([1, *(len(value) for value in values)])
    made = torch.full((len(values), most, *inner), fill, dtype=kind)
    for row, value in zip(made, values, strict=True):
        row[: len(value)] = torch.as_tensor(np.asarray(value).reshape(-1, *inner)).to(kind)
    return made


def by_hand(images: list[Image], classes: int, content: dict[str, Any] | None = None) -> COCOeval:
    """pycocotools as its demo shows it: json in, COCO, loadRes, COCOeval."""
    if content is None:
        content = as_json(images, classes)
    ids = [each["id"] for each in content["images"]]
    numbers = sorted(each["id"] for each in content["categories"])
    results = [
        {"image_id": number, "category_id": numbers[label], "bbox": xywh(box), "score": float(score)}
        for number, image in zip(ids, images, strict=True)
        for box, label, score in zip(image.found, image.found_labels, image.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = json.loads(json.dumps(content))
        truth.createIndex()
        found = truth.loadRes(json.loads(json.dumps(results))) if results else COCO()
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def as_json(images: list[Image], classes: int) -> dict[str, Any]:
    annotations = [
        {
            "image_id": number,
            "category_id": int(label) + 1,
            "bbox": xywh(box),
            "area": float(area),
            "iscrowd": int(crowd),
        }
        for number, image in enumerate(images)
        for box, label, area, crowd in zip(image.boxes, image.labels, image.area, image.crowd, strict=True)
    ]
    return {
        "info": {},
        "images": [{"id": number} for number in range(len(images))],
        "annotations": [{"id": number, **each} for number, each in enumerate(annotations, 1)],
        "categories": [{"id": number + 1, "name": str(number)} for number in range(classes)],
    }


def xywh(box: Any) -> list[float]:
    return [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]
