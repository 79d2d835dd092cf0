"""From class scores and box offsets to detections.

Equal to torchvision's ``SSD.postprocess_detections`` without its loop over classes. Suppression never lets a low score
remove a higher one, so the best ``most`` detections can be had from the highest scores alone: a few hundred are looked
at, and more only where too few of these survive.
"""

from __future__ import annotations

from typing import NamedTuple, NotRequired, TypedDict, Unpack

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import nms

from mobilevision.ops.boxes import clip_tensor
from mobilevision.ops.candidates import Decodable
from mobilevision.ops.suppression import suppress


class Limits(TypedDict):
    """Which candidates become detections.

    Attributes:
        resolution: (height, width) of the input in pixels, to which boxes are clipped.
        score_threshold: only scores above it become detections.
        iou: boxes of one class that overlap a better one by more than this are dropped.
        per_class: at most this many of each class go into suppression; None for all.
        most: detections of an image, D.
        classes: how many of the outputs after background mean something; None or left out for all.
        smallest: boxes with a side shorter than this many pixels are dropped; left out for 0.
    """

    resolution: tuple[int, int]
    score_threshold: float
    iou: float
    per_class: int | None
    most: int
    classes: NotRequired[int | None]
    smallest: NotRequired[float]


# Detections with shapes that depend on no values: what :mod:`mobilevision.ops.postprocess` does, for exported graphs.


def fixed_detections(candidates: Decodable, **limits: Unpack[Limits]) -> dict[str, Tensor]:
    """The best of each class, suppression within each class, the best of all; see :func:`detections`."""
    resolution, most, per_class = limits["resolution"], limits["most"], limits["per_class"]
    probabilities = candidates.probabilities()[..., : limits.get("classes")]
    scores = probabilities.masked_fill(~candidates.valid[..., None], 0.0).transpose(1, 2)
    count, anchors = scores.shape[1:]
    each = min(per_class or anchors, anchors)
    scores, places = scores.topk(each, dim=2)  # [B, classes, each]
    boxes = clip_tensor(candidates.boxes_by_class(places), resolution)
    kept = suppress(boxes.flatten(0, 1), scores.flatten(0, 1), limits["iou"], limits["score_threshold"]).view_as(scores)
    if smallest := limits.get("smallest"):
        kept = kept & _real(boxes, smallest)
    wanted = min(most, count * each)
    best, order = scores.masked_fill(~kept, 0.0).flatten(1).topk(wanted, dim=1)
    found = best > 0
    corners = boxes.flatten(1, 2).gather(1, order[..., None].expand(-1, -1, 4))
    labels = (_whole_part(order, each, count * each) + 1) * found - 1
    return {
        "boxes": functional.pad(corners * found[..., None], (0, 0, 0, most - wanted)),
        "scores": functional.pad(best, (0, most - wanted)),
        "labels": functional.pad(labels, (0, most - wanted), value=-1),
    }


FIRST = 4
"""How many candidates are looked at first, times the detections wanted; then four times as many, and so on."""


def detections(candidates: Decodable, **limits: Unpack[Limits]) -> dict[str, Tensor]:
    """Scores, the best of each class, non-maximum suppression within each class, the best of all.

    Args:
        candidates: raw outputs of a batch.
        **limits: see :class:`Limits`.

    Returns:
        ``boxes`` float32 [B, D, 4], (left, top, right, bottom) in pixels of the input; ``scores`` float32 [B, D],
        descending, 0 where there is no detection; ``labels`` int64 [B, D], -1 there. On meta tensors, only shapes.
    """
    if torch.compiler.is_exporting():
        return fixed_detections(candidates, **limits)
    most = limits["most"]
    scores = candidates.probabilities().detach()[..., : limits.get("classes")]
    batch = len(scores)
    boxes, best = scores.new_zeros(batch, most, 4), scores.new_zeros(batch, most)
    labels = torch.full((batch, most), -1, dtype=torch.int64, device=scores.device)
    if scores.is_meta:
        return {"boxes": boxes, "scores": best, "labels": labels}
    for row in range(batch):
        anchors, kinds = (scores[row] > limits["score_threshold"]).nonzero(as_tuple=True)
        real = candidates.valid[row][anchors]
        source = _Source(candidates, row, scores[row], anchors[real], kinds[real])
        found = _best(source, limits)
        count = len(found[1])
        boxes[row, :count], best[row, :count], labels[row, :count] = found
    return {"boxes": boxes, "scores": best, "labels": labels}


class _Source(NamedTuple):
    """One image of a batch: its scores [A, classes], and the place and class of those above the threshold."""

    candidates: Decodable
    row: int
    scores: Tensor
    anchors: Tensor
    labels: Tensor


def _real(boxes: Tensor, smallest: float) -> Tensor:
    """Bool [...]: boxes [..., 4] with no side shorter than ``smallest``."""
    return (boxes[..., 2:] - boxes[..., :2] >= smallest).all(dim=-1)


def _best(source: _Source, limits: Limits) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, scores and labels of one image's detections, best first."""
    resolution, iou, per_class, most = limits["resolution"], limits["iou"], limits["per_class"], limits["most"]
    passing = source.scores[source.anchors, source.labels]
    take = min(len(passing), FIRST * most)
    while True:
        scores, order = passing.topk(take)
        anchors, labels = source.anchors[order], source.labels[order]
        if per_class is not None and take > per_class:
            kept = _rank(labels) < per_class
            scores, anchors, labels = scores[kept], anchors[kept], labels[kept]
        boxes = _boxes(source, anchors, labels, resolution)
        if smallest := limits.get("smallest"):
            real = _real(boxes, smallest)
            boxes, scores, labels = boxes[real], scores[real], labels[real]
        # Classes lie side by side, so that one suppression serves all; float64 keeps the overlaps exact.
        shifted = boxes.double() + (labels * (max(resolution) + 1.0))[:, None]
        kept = nms(shifted, scores.double(), iou)[:most]
        if len(kept) == most or take == len(passing):
            return boxes[kept], scores[kept], labels[kept]
        take = min(len(passing), FIRST * take)


def _boxes(source: _Source, anchors: Tensor, labels: Tensor, resolution: tuple[int, int]) -> Tensor:
    """Boxes of the candidates at some places, cut to the input."""
    boxes = source.candidates.boxes_of(source.row, anchors, labels).detach()
    return clip_tensor(boxes, resolution)


def _rank(labels: Tensor) -> Tensor:
    """How many of the same label stand before each."""
    ordered, order = labels.sort(stable=True)
    places = torch.arange(len(labels), device=labels.device)
    starts = torch.searchsorted(ordered, ordered)  # where each label begins
    return torch.empty_like(labels).scatter_(0, order, places - starts)


def top_k_detections(
    candidates: Decodable, *, resolution: tuple[int, int], score_threshold: float, most: int
) -> dict[str, Tensor]:
    """The highest scores, whatever overlaps: for heads of which one candidate alone finds an object.

    Shapes depend on no values, so that it can be exported; nothing but a top-k and two gathers.

    Args:
        candidates: raw outputs of a batch.
        resolution: (height, width) of the input in pixels, to which boxes are clipped.
        score_threshold: only scores above it become detections.
        most: detections of an image, D.

    Returns:
        As :func:`detections`.
    """
    scores = candidates.probabilities()
    classes, wanted = scores.shape[2], min(most, scores.shape[1] * scores.shape[2])
    best, order = scores.flatten(1).topk(wanted, dim=1)
    found = best > score_threshold
    places = _whole_part(order, classes, scores[0].numel())
    labels = order - places * classes
    boxes = candidates.boxes_by_class(places[:, None])[:, 0]
    return {
        "boxes": functional.pad(clip_tensor(boxes, resolution) * found[..., None], (0, 0, 0, most - wanted)),
        "scores": functional.pad(best * found, (0, most - wanted)),
        "labels": functional.pad((labels + 1) * found - 1, (0, most - wanted), value=-1),
    }


_WHOLE_IN_FLOAT32 = 2**24  # integers below it, and the whole parts of their quotients, are exact in float32


def _whole_part(order: Tensor, each: int, most: int) -> Tensor:
    """Indices [...] below ``most`` over an integer: ``//`` is exported with signs and booleans, which few take."""
    return (order.float() / each).floor().long() if most <= _WHOLE_IN_FLOAT32 else order // each
