"""Top-1, top-5, per-class accuracy, macro F1, confusion matrix and calibration error, from integer sums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from mobilevision.metrics.metric import TaskMetric

# Confidences are added up as whole numbers of this unit: the same sum in any order and on any number of processes.
_UNIT = 2.0**-30


@final
class ClassificationMetrics(TaskMetric):
    """What is measured of a classifier.

    ``top1`` and ``top5``: share of samples whose class is among the k most probable (in top-5, classes that tie with
    the true one stand before it). ``balanced_accuracy`` and ``macro_f1``: means over the classes that occur in the
    truth. ``ece``: expected calibration error with ``bins`` equal bins of confidence (Guo et al. 2017, arXiv
    1706.04599, equation 3).

    Where classes have groups, ``group_top1`` is the share of samples taken for a class of their own group: whether the
    species was right, if not the breed.

    Args:
        classes: the class names in the order of the outputs.
        bins: bins of confidence.
        groups: the group of each class; empty where there are none.
    """

    errors: frozenset[str] = frozenset({"ece"})

    confusion: Tensor
    top5: Tensor
    bin_count: Tensor
    bin_confidence: Tensor
    bin_correct: Tensor

    def __init__(self, *, classes: tuple[str, ...], bins: int = 15, groups: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.classes = classes
        self.bins = bins
        self.groups = groups
        count = len(classes)
        shapes = {"confusion": (count, count), "top5": ()}
        shapes |= dict.fromkeys(("bin_count", "bin_correct", "bin_confidence"), (bins,))
        for name, shape in shapes.items():
            self.add_state(name, torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Mapping[str, Tensor], target: Tensor) -> None:
        """``prediction["probabilities"]``: float [B, K]; ``target``: int64 [B]."""
        probabilities = prediction["probabilities"].float().nan_to_num(0.0)  # of a model that diverged
        confidence, label = probabilities.max(dim=1)
        count = len(self.classes)
        self.confusion += torch.bincount(target * count + label, minlength=count * count).view(count, count)
        own = probabilities.gather(1, target[:, None])
        # A rank count is cheaper than a top-k; a constant output must not score, so ties count as wrong.
        rank = (probabilities >= own).sum(dim=1)
        self.top5 += (rank <= 5).sum()
        index = (confidence * self.bins).long().clamp(max=self.bins - 1)
        self.bin_count += torch.bincount(index, minlength=self.bins)
        self.bin_correct += torch.bincount(index[label == target], minlength=self.bins)
        self.bin_confidence.scatter_add_(0, index, (confidence / _UNIT).round().long())

    def compute(self) -> dict[str, Tensor]:
        """Scalars by name; all zero where nothing was measured."""
        confusion = self.confusion.cpu().double()  # some accelerators have no float64
        truth, hits = confusion.sum(dim=1), confusion.diagonal()
        total = truth.sum().clamp(min=1)
        occurs = truth > 0
        recall, f1 = self._per_class()
        coarser = {"group_top1": (confusion * self._same_group()).sum() / total} if self.groups else {}
        return {
            "top1": hits.sum() / total,
            "top5": self.top5.cpu().double() / total,
            "balanced_accuracy": recall[occurs].mean() if occurs.any() else torch.zeros((), dtype=torch.float64),
            "macro_f1": f1[occurs].mean() if occurs.any() else torch.zeros((), dtype=torch.float64),
            **coarser,
            "ece": (self.bin_correct.cpu().double() - self._bin_confidence()).abs().sum() / total,
        }

    def _same_group(self) -> Tensor:
        """Whether two classes are of one group, bool [K, K]."""
        names = sorted(set(self.groups))
        number = torch.tensor([names.index(group) for group in self.groups])
        return number[:, None] == number[None]

    def _bin_confidence(self) -> Tensor:
        """Sum of the confidences in each bin, float64 [bins]."""
        return self.bin_confidence.cpu().double() * _UNIT

    def _per_class(self) -> tuple[Tensor, Tensor]:
        """Recall (per-class accuracy) and F1 of each class, float64 [K]; zero where a class never occurs."""
        confusion = self.confusion.cpu().double()
        hits, truth, predicted = confusion.diagonal(), confusion.sum(dim=1), confusion.sum(dim=0)
        return hits / truth.clamp(min=1), 2 * hits / (truth + predicted).clamp(min=1)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """``per_class``: class, samples, accuracy, precision, f1; ``per_group``; ``confusion``: a row a true class."""
        recall, f1 = self._per_class()
        predicted = self.confusion.sum(dim=0)
        rows = [
            {
                "class": name,
                **({"group": self.groups[i]} if self.groups else {}),
                "samples": int(self.confusion[i].sum()),
                "accuracy": float(recall[i]),
                "precision": float(self.confusion[i, i]) / max(int(predicted[i]), 1),
                "f1": float(f1[i]),
            }
            for i, name in enumerate(self.classes)
        ]
        matrix = self.confusion.tolist()
        confusion = [
            {"class": name, **dict(zip(self.classes, row, strict=True))}
            for name, row in zip(self.classes, matrix, strict=True)
        ]
        coarser = {"per_group": self._per_group()} if self.groups else {}
        return {"per_class": rows, **coarser, "confusion": confusion, "calibration": self._calibration()}

    def _per_group(self) -> list[dict[str, Any]]:
        """A row a group: its classes and samples, the share taken for one of them, and the share that was right."""
        confusion = self.confusion.cpu().double()
        same = self._same_group()
        rows = []
        for name in sorted(set(self.groups)):
            own = same[self.groups.index(name)]
            samples = confusion[own].sum()
            kept, right = confusion[own][:, own].sum(), confusion.diagonal()[own].sum()
            counted = {"classes": int(own.sum()), "samples": int(samples)}
            some = samples.clamp(min=1)
            shares = {"group_accuracy": float(kept / some), "accuracy": float(right / some)}
            rows.append({"group": name, **counted, **shares})
        return rows

    def _calibration(self) -> list[dict[str, Any]]:
        """A row a bin of confidence: its samples, their mean confidence and the share that was right."""
        count = self.bin_count.cpu().clamp(min=1).double()
        correct = self.bin_correct.cpu().double()
        return [
            {"from": i / self.bins, "samples": int(self.bin_count[i]), "confidence": float(c), "accuracy": float(a)}
            for i, (c, a) in enumerate(zip(self._bin_confidence() / count, correct / count, strict=True))
        ]
