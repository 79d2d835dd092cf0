"""Detections of a one-stage detector from its raw outputs.

NumPy alone: a copy of this file lies beside each exported model that leaves decoding to whoever runs it. That is why it
brings an IoU of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def decode(logits: Array, deltas: Array, facts: Mapping[str, Any]) -> dict[str, Array]:
    """Scores, boxes, non-maximum suppression within each class, and the best of all.

    Args:
        logits: float [B, A, O], class scores of each anchor; with background (``facts["background"]`` is its place)
            before softmax, without (null) before a sigmoid each.
        deltas: float [B, A, 4] of each box: (dx, dy, dw, dh) relative to its anchor where ``facts["coding"]`` is
            ``offsets``; where it is ``distances``, how far (left, top, right, bottom) lie from its middle in its sides.
        facts: anchors and settings, as in model.json.

    Returns:
        ``boxes`` float32 [B, D, 4], (left, top, right, bottom) in pixels of the input; ``scores`` float32 [B, D], best
        first, 0 where there is no detection; ``labels`` int64 [B, D], places in the list of classes, -1 there.
    """
    scores, boxes = _probabilities(logits, facts), _boxes(deltas, facts)
    most = facts["detections"]
    found = {
        "boxes": np.zeros((len(scores), most, 4), np.float32),
        "scores": np.zeros((len(scores), most), np.float32),
        "labels": np.full((len(scores), most), -1, np.int64),
    }
    for row in range(len(scores)):
        anchors, labels = _best(scores[row], boxes[row], facts)
        count = len(anchors)
        found["boxes"][row, :count] = boxes[row, anchors]
        found["scores"][row, :count] = scores[row, anchors, labels]
        found["labels"][row, :count] = labels
    return found


def _probabilities(logits: Array, facts: Mapping[str, Any]) -> Array:
    """Of the classes, without background and without outputs that stand for nothing: [B, A, classes]."""
    values = logits.astype(np.float32)
    if facts["background"] is None:
        alone: Array = 1 / (1 + np.exp(-np.maximum(values, -80)))[..., : facts["classes"]]
        return alone
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    shares = powers / powers.sum(axis=-1, keepdims=True)
    known: Array = np.delete(shares, facts["background"], axis=-1)[..., : facts["classes"]]
    return known


def _boxes(deltas: Array, facts: Mapping[str, Any]) -> Array:
    """Boxes cut to the input, float32 [B, A, 4]."""
    left, top, right, bottom = np.asarray(facts["anchors"], np.float32).T
    wide, high = right - left, bottom - top
    x, y = left + 0.5 * wide, top + 0.5 * high
    if facts.get("coding", "offsets") == "distances":
        before, above, after, below = np.moveaxis(deltas.astype(np.float32), -1, 0)
        corners = (x - before * wide, y - above * high, x + after * wide, y + below * high)
    else:  # a centre moved by parts of the anchor's sides, sides times exp
        weights = np.asarray(facts["coding_weights"], np.float32)
        dx, dy, dw, dh = np.moveaxis(deltas.astype(np.float32) / weights, -1, 0)
        x, y = dx * wide + x, dy * high + y
        largest = np.float32(facts["largest_log_scale"])
        half_width = 0.5 * (np.exp(np.minimum(dw, largest)) * wide)
        half_height = 0.5 * (np.exp(np.minimum(dh, largest)) * high)
        corners = (x - half_width, y - half_height, x + half_width, y + half_height)
    width, height = facts["clip"]
    limits = np.asarray((width, height, width, height), np.float32)
    inside: Array = np.minimum(np.maximum(np.stack(corners, axis=-1), 0), limits)
    return inside


def _best(scores: Array, boxes: Array, facts: Mapping[str, Any]) -> tuple[list[int], list[int]]:
    """Anchors and labels of one image's detections, best first."""
    anchors, labels = (scores > facts["score_threshold"]).nonzero()
    order = np.argsort(-scores[anchors, labels], kind="stable")
    limit = len(order) if facts["per_class"] is None else facts["per_class"]
    seen = np.zeros(scores.shape[1], np.int64)
    kept, of = np.zeros((facts["detections"], 4)), np.zeros(facts["detections"], np.int64)
    chosen: list[int] = []
    for anchor, label in zip(anchors[order].tolist(), labels[order].tolist(), strict=True):
        if len(chosen) == facts["detections"]:
            break
        seen[label] += 1
        if seen[label] > limit:
            continue
        rivals = kept[: len(chosen)][of[: len(chosen)] == label]
        if (_overlap(boxes[anchor].astype(np.float64), rivals) > facts["nms_iou"]).any():
            continue
        kept[len(chosen)], of[len(chosen)] = boxes[anchor], label
        chosen.append(anchor)
    return chosen, of[: len(chosen)].tolist()


def _overlap(box: Array, others: Array) -> Array:
    """Intersection over union of a box with each of others, [n]."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    common = np.maximum(sides, 0).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    overlap: Array = common / np.maximum(areas - common, 1e-12)
    return overlap
