"""PCK and COCO's average precision of keypoints, in pixels of the image."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mobilevision.api import GatheredMetric

PCK = {"pck_05": 0.05, "pck_10": 0.1, "pck_20": 0.2}
"""Share of the longer side of the object's box within which a point is right."""
COCO = [
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow"),
    *("right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle"),
    "right_ankle",
]
"""The points of COCO's persons, in its order."""
USUAL = 0.05
"""Sigma of points that are not COCO's."""


def sigmas(names: tuple[str, ...], given: float | None) -> NDArray[np.float64]:
    """How far people differ on each point, over the root of the object's area: COCO's, or one for all."""
    if given is None and list(names) == COCO:
        from pycocotools.cocoeval import Params

        theirs: NDArray[np.float64] = Params(iouType="keypoints").kpt_oks_sigmas
        return theirs
    return np.full(len(names), USUAL if given is None else given)


@final
class PointMetrics(GatheredMetric):
    """``pck_05``, ``pck_10``, ``pck_20``; ``oks_ap``, ``oks_ap50`` and ``oks_ap75``; ``error``.

    PCK is the share of the labelled points that lie within so much of the longer side of the object's box (of its
    labelled points where it has none); ``error`` is their mean distance over that side. The average precision is that
    of pycocotools, the mean score of an object's points being its score.

    Args:
        names: of the points.
        sigma: of all points; None: COCO's for its 17 points, else 0.05.
    """

    errors = frozenset({"error"})

    def __init__(self, *, names: tuple[str, ...], sigma: float | None = None) -> None:
        k = len(names)
        shapes = {"object": (4,), "found": (k, 3), "truth": (k, 3)}
        super().__init__({name: (shape, torch.float64) for name, shape in shapes.items()})
        self.names, self.sigmas = names, sigmas(names, sigma)

    def update(self, prediction: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
        """``points`` and ``scores``; the target as :meth:`PointTargets.placed` has it."""
        scale, shift = target["to_image"][:, None].split(2, dim=2)

        def rows(points: Tensor, last: Tensor) -> Tensor:
            return torch.cat([points.double() * scale + shift, last.double()[..., None]], dim=2)

        self.append("object", torch.column_stack([target["place"].double(), target["side"], target["area"]]))
        self.append("found", rows(prediction["points"], prediction["scores"]))
        self.append("truth", rows(target["points"], target["visible"]))

    def compute(self) -> dict[str, Tensor]:
        """Scalars by name."""
        distance, labelled = self._distances()
        near = distance[labelled]
        pck = {name: (near <= share).double().mean() for name, share in PCK.items()}
        precision = zip(("oks_ap", "oks_ap50", "oks_ap75"), self._precision(), strict=True)
        return {
            **pck,
            **{name: torch.tensor(value, dtype=torch.float64) for name, value in precision},
            "error": near.mean(),
        }

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """``per_point``: how many are labelled, PCK, and the mean distance."""
        distance, labelled = self._distances()
        rows: list[dict[str, Any]] = []
        for number, name in enumerate(self.names):
            near = distance[labelled[:, number], number]
            values = {**{key: (near <= share).double().mean() for key, share in PCK.items()}, "error": near.mean()}
            plain = {key: round(float(value), 4) if len(near) else None for key, value in values.items()}
            rows.append({"point": name, "labelled": len(near), **plain})
        return {"per_point": rows}

    def _distances(self) -> tuple[Tensor, Tensor]:
        """Over the object's side, float64 [n, K], and which points are labelled."""
        found, truth = self.joined("found"), self.joined("truth")
        distance = (found[..., :2] - truth[..., :2]).norm(dim=2) / self.joined("object")[:, 2:3]
        return distance, truth[..., 2] > 0

    def _precision(self) -> list[float]:
        objects, found, truth = (self.joined(name).numpy() for name in ("object", "found", "truth"))
        if not len(objects):
            return [float("nan")] * 3
        order = np.lexsort((objects[:, 1], objects[:, 0]))
        return average_precision(objects[order], found[order], truth[order], self.sigmas)


def average_precision(
    objects: NDArray[np.float64], found: NDArray[np.float64], truth: NDArray[np.float64], sigma: NDArray[np.float64]
) -> list[float]:
    """COCO's AP over OKS of 0.5 to 0.95, at 0.5 and at 0.75, of one prediction an object.

    Args:
        objects: [n, 4], the number of the image, of the object, its side, its area.
        found: [n, K, 3], x, y and score.
        truth: [n, K, 3], x, y and visibility.
        sigma: [K].
    """
    from pycocotools import coco, cocoeval

    dataset, results = [], []
    for row, (image, _, _, area) in enumerate(objects.tolist()):
        shared = {"id": row + 1, "image_id": int(image), "category_id": 1, "area": area}
        labelled = int((truth[row, :, 2] > 0).sum())
        points = {"num_keypoints": labelled, "keypoints": truth[row].ravel().tolist(), "bbox": [0, 0, 1, 1]}
        dataset.append({**shared, **points, "iscrowd": 0})
        results.append({**shared, "keypoints": found[row].ravel().tolist(), "score": float(found[row, :, 2].mean())})
    images = [{"id": int(image)} for image in np.unique(objects[:, 0])]
    sides = [coco.COCO(), coco.COCO()]
    with contextlib.redirect_stdout(io.StringIO()):
        for side, annotations in zip(sides, (dataset, results), strict=True):
            side.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1}]}
            side.createIndex()
        evaluation = cocoeval.COCOeval(*sides, iouType="keypoints")
        evaluation.params.kpt_oks_sigmas = sigma
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, 0, 0, -1]  # of all thresholds and recalls, whatever the area
    return [
        float(each[each > -1].mean()) if (each > -1).any() else float("nan")
        for each in (precision, precision[0], precision[5])
    ]
