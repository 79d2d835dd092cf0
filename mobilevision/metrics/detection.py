"""COCO's twelve numbers, tables by class, and the score from which each class's detections are worth showing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from mobilevision.metrics.coco import Accumulated, Engine, accumulate, summary
from mobilevision.metrics.detection_tables import curves, error_tables, operating_point, per_class_rows, pr_rows
from mobilevision.metrics.metric import GatheredMetric
from mobilevision.metrics.scenes import FOUND_COLUMNS, TRUTH_COLUMNS, Scenes, scenes


@final
class DetectionMetrics(GatheredMetric):
    """Metrics of a detector, with the numbers of COCO's own evaluation.

    ``map_50`` (average precision at an overlap of one half), ``map`` (mean over overlaps 0.5 to 0.95) and ``map_75``;
    ``map_small``, ``map_medium``, ``map_large`` (objects of less than 32 x 32 pixels of the image, more than 96 x 96,
    and between); ``mar_1``, ``mar_10``, ``mar_100`` (recall with so many detections a class and image) and recall by
    size. Classes that do not occur in the truth are left out of every mean, and so is a size of which there is no true
    box: its number is missing. The truth is the same in every epoch, so the names are, too.

    Crowd regions are neither to be found nor wrong to be found, and so are difficult boxes (as in Pascal VOC).
    Everything is measured in pixels of the images themselves, boxes clipped to them.

    Args:
        classes: the class names in the order of the labels.
        engine: ``auto`` takes faster-coco-eval where it is installed, else pycocotools; their numbers are equal.
    """

    def __init__(self, *, classes: tuple[str, ...], engine: Engine = "auto") -> None:
        truth, found = ((len(columns),) for columns in (TRUTH_COLUMNS, FOUND_COLUMNS))
        super().__init__(
            {"images": ((), torch.int64), "truth": (truth, torch.float64), "found": (found, torch.float64)}
        )
        self.classes = classes
        self.engine: Engine = engine
        self._evaluated: dict[bool, Accumulated] = {}  # of this process alone (False), and of all

    def update(self, prediction: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
        """Add a batch.

        Args:
            prediction: ``boxes`` float [B, D, 4], (left, top, right, bottom) in pixels of the input, ``scores``
                float [B, D], ``labels`` int64 [B, D], -1 where there is no detection. Labels beyond the classes and
                numbers that are not finite are left out.
            target: ``original`` float64 [B, M, 4], ``area`` float64 [B, M], ``labels`` int64 [B, M] (-1 where there is
                no box), ``crowd`` and ``difficult`` bool [B, M], ``frame`` float64 [B, 4] (scale x, scale y, shift x,
                shift y from image to input), ``size`` int64 [B, 2] (height, width), ``image`` int64 [B].
        """
        self._evaluated.clear()
        # Some accelerators have no float64, and the evaluation is the CPU's: a copy a batch, and no more memory there.
        predicted = {name: value.detach().cpu() for name, value in prediction.items()}
        known = {name: value.detach().cpu() for name, value in target.items()}
        self.append("images", known["image"])
        self.append("truth", self._truth_rows(known))
        self.append("found", self._found_rows(predicted, known))

    def _truth_rows(self, target: Mapping[str, Tensor]) -> Tensor:
        """``TRUTH_COLUMNS``, float64 [m, 9]."""
        image, place = torch.nonzero(target["labels"] >= 0, as_tuple=True)
        columns = [target[name][image, place].double() for name in ("labels", "crowd", "difficult", "area")]
        boxes = target["original"][image, place].double()
        return torch.cat([torch.stack([target["image"][image].double(), *columns], dim=1), boxes], dim=1)

    def _found_rows(self, prediction: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Tensor:
        """``FOUND_COLUMNS``, float64 [n, 7]."""
        labels, scores, boxes = (prediction[name] for name in ("labels", "scores", "boxes"))
        usable = (labels >= 0) & (labels < len(self.classes)) & scores.isfinite() & boxes.isfinite().all(dim=-1)
        image, place = torch.nonzero(usable, as_tuple=True)
        frame, size = target["frame"][image].double(), target["size"][image].double()
        corners = (boxes[image, place].double().view(-1, 2, 2) - frame[:, None, 2:]) / frame[:, None, :2]
        corners = torch.minimum(corners.clamp(min=0), size.flip(1)[:, None])
        columns = [target["image"][image].double(), labels[image, place].double(), scores[image, place].double()]
        return torch.cat([torch.stack(columns, dim=1), corners.flatten(1)], dim=1)

    def compute(self) -> dict[str, Tensor]:
        """Scalars by name, float64."""
        values = summary(self._evaluation(self._scenes()))
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """What the report shows.

        Returns:
            ``per_class``: class, boxes (that count), ap, ap_50, and precision, recall and f1 at the threshold with the
            best F1 (overlap one half). ``pr_curves``: class, recall, precision, score, a row a hundredth of recall.
            ``errors``: kind, count and share of what is shown above the thresholds; ``errors_by_class``: a row a
            class. What a class has too few boxes for is None.
        """
        everything = self._scenes()
        found = curves(everything)
        points = [operating_point(curve) for curve in found]
        overall, by_class = error_tables(everything, [point.threshold for point in points], self.classes)
        precision = self._evaluation(everything).precision[..., 0, -1]
        return {
            "per_class": per_class_rows(found, points, precision, self.classes),
            "pr_curves": pr_rows(found, self.classes),
            "errors": overall,
            "errors_by_class": by_class,
        }

    def thresholds(self) -> list[float]:
        """The score with the best F1 at an overlap of one half, a class; detections from it on are shown.

        It lies midway between the last detection that is worth keeping and the next. A class without a true box, or
        of which none is found, gets 0.5.
        """
        return [operating_point(curve).threshold for curve in curves(self._scenes())]

    def reset(self) -> None:
        """Start anew."""
        self._evaluated.clear()
        super().reset()

    def _evaluation(self, everything: Scenes) -> Accumulated:
        """COCO's evaluation, done once for the numbers and for the tables: it is what takes the time."""
        if self._is_synced not in self._evaluated:
            self._evaluated[self._is_synced] = accumulate(everything, engine=self.engine)
        return self._evaluated[self._is_synced]

    def _scenes(self) -> Scenes:
        """Everything measured so far; the same in whatever order and on however many processes it came."""
        images, truth, found = (self.joined(name).numpy() for name in ("images", "truth", "found"))
        return scenes(images, truth, found, classes=len(self.classes))
