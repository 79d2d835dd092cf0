"""Average precision, AUC, accuracy, F1 and calibration of many attributes, each by itself and on average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, final

import torch
from torch import Tensor
from torchmetrics.utilities.data import dim_zero_cat

from mobilevision.metrics.metric import TaskMetric
from mobilevision.metrics.ranking import area_under_roc, average_precision, best_thresholds, rank
from mobilevision.metrics.temperature import binned, fit_temperatures

FEWEST = 5  # samples of either value from which on a threshold and a temperature are more than luck
_STATES = {
    "logits": torch.float32,
    "probabilities": torch.float32,
    "present": torch.bool,
    "truth": torch.float32,
}


class Judged(NamedTuple):
    """What is measured of each attribute, float64 [A]; ``both`` is bool: whether both of its values occur."""

    known: Tensor
    positives: Tensor
    both: Tensor
    ap: Tensor
    auc: Tensor
    accuracy: Tensor
    f1: Tensor


@final
class AttributeMetrics(TaskMetric):
    """What is measured of attributes.

    ``mean_ap``: mean over attributes of the exact average precision (the paper's measure); ``mean_auc``: of the area
    under the ROC curve; ``mean_accuracy`` and ``mean_f1``: of accuracy and F1 at the thresholds that the predictions
    were made with. Attributes of which the truth has a single value are left out of all four, and named in the table.
    ``cross_entropy``: of the probabilities against the truth, averaged over attributes, which also tells how well a
    teacher's probabilities are met; ``ece``: expected calibration error over all answers.

    Truth from 0.5 up counts as having the attribute; NaN is unknown and left out.

    Args:
        classes: the attributes in the order of the outputs.
        bins: bins of probability.
    """

    errors: ClassVar[frozenset[str]] = frozenset({"cross_entropy", "ece"})

    logits: list[Tensor]
    probabilities: list[Tensor]
    present: list[Tensor]
    truth: list[Tensor]

    def __init__(self, *, classes: tuple[str, ...], bins: int = 15) -> None:
        super().__init__()
        self.classes, self.bins = classes, bins
        for name in _STATES:
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, prediction: Mapping[str, Tensor], target: Tensor) -> None:
        """Add a batch.

        Args:
            prediction: ``logits`` and ``probabilities``, float [B, A], and ``present``, bool [B, A]: whether the
                attribute is said to be there.
            target: float [B, A], 0 to 1, NaN where unknown.
        """
        for name in ("logits", "probabilities", "present"):
            getattr(self, name).append(prediction[name].detach().to(_STATES[name]))
        self.truth.append(target.detach().float())

    def compute(self) -> dict[str, Tensor]:
        """Scalars by name, float64; the means are 0 where no attribute has both values."""
        judged = self._judged()
        means = {name: getattr(judged, name)[judged.both] for name in ("ap", "auc", "accuracy", "f1")}
        return {
            **{f"mean_{name}": each.sum() / max(len(each), 1) for name, each in means.items()},
            "cross_entropy": self._cross_entropy(),
            "ece": binned(self._all("probabilities"), self._all("truth"), bins=self.bins).error,
        }

    def thresholds(self, temperatures: Tensor, *, by: str) -> list[float]:
        """The calibrated probability from which each attribute is best called there; 0.5 where there are too few.

        Args:
            temperatures: float64 [A].
            by: ``f1`` or ``accuracy``.
        """
        found = best_thresholds(rank(self._all("logits"), self._all("truth")), by=by, fewest=FEWEST)
        return torch.where(found.isnan(), 0.5, (found / temperatures.cpu()).sigmoid()).tolist()

    def temperatures(self) -> Tensor:
        """What the logits are best divided by, float64 [A]; 1 where there are too few."""
        return fit_temperatures(self._all("logits"), self._all("truth"), fewest=FEWEST)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """``per_attribute`` and ``calibration``.

        Returns:
            ``per_attribute``: attribute, samples (of which it is known), positives, ap, auc, accuracy, f1, note (why it
            is left out of the means); what cannot be told is None. ``calibration``: a row a bin of probability, of all
            attributes together: from, then samples, their mean probability and the share that was so, before
            calibration (``raw_...``) and after.
        """
        judged = self._judged()
        rows = []
        for at, name in enumerate(self.classes):
            counts = {"samples": int(judged.known[at]), "positives": int(judged.positives[at])}
            both = bool(judged.both[at])
            numbers = {key: float(getattr(judged, key)[at]) for key in ("ap", "auc", "accuracy", "f1")}
            if not both:
                numbers = dict.fromkeys(numbers)  # type: ignore[assignment]  # None: not to be told
            rows.append({"attribute": name, **counts, **numbers, "note": "" if both else _why(*counts.values())})
        return {"per_attribute": rows, "calibration": self._calibration()}

    def _calibration(self) -> list[dict[str, Any]]:
        truth = self._all("truth")
        raw = binned(self._all("logits").sigmoid(), truth, bins=self.bins)
        fitted = binned(self._all("probabilities"), truth, bins=self.bins)
        columns: dict[str, Sequence[float]] = {"from": [at / self.bins for at in range(self.bins)]}
        for prefix, bins in (("raw_", raw), ("", fitted)):
            count = bins.number.clamp(min=1)
            columns[f"{prefix}samples"] = bins.number.long().tolist()
            columns[f"{prefix}probability"] = (bins.said / count).tolist()
            columns[f"{prefix}share"] = (bins.true / count).tolist()
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _judged(self) -> Judged:
        truth, present = self._all("truth"), self._all("present")
        ranking = rank(self._all("logits"), truth)
        known, positive = truth.isfinite(), truth >= 0.5
        right = ((present == positive) & known).sum(dim=0).double()
        hits = (present & positive).sum(dim=0).double()
        said, total = (present & known).sum(dim=0).double(), known.sum(dim=0).double()
        return Judged(
            known=total,
            positives=ranking.positives,
            both=(ranking.positives > 0) & (ranking.negatives > 0),
            ap=average_precision(ranking),
            auc=area_under_roc(ranking),
            accuracy=right / total.clamp(min=1),
            f1=2 * hits / (ranking.positives + said).clamp(min=1),
        )

    def _cross_entropy(self) -> Tensor:
        """Mean over attributes of the means over the samples that know them, float64."""
        truth = self._all("truth")
        known = truth.isfinite()
        said = self._all("probabilities").double().nan_to_num(0.5).clamp(1e-7, 1 - 1e-7)
        true = torch.where(known, truth, 0.0).double()
        loss = -(true * said.log() + (1 - true) * (1 - said).log()) * known
        number = known.sum(dim=0)
        return (loss.sum(dim=0) / number.clamp(min=1)).sum() / (number > 0).sum().clamp(min=1)

    def _all(self, name: str) -> Tensor:
        """All rows of a state, on the CPU, which knows float64."""
        return self._joined(name).cpu()

    def _joined(self, name: str) -> Tensor:
        """All rows of a state where they are; none, of the right shape and type, where there was no batch."""
        parts: Sequence[Tensor] | Tensor = getattr(self, name)
        if isinstance(parts, Tensor):  # as torchmetrics leaves it after gathering
            return parts
        empty = torch.zeros(0, len(self.classes), dtype=_STATES[name], device=self.device)
        joined: Tensor = dim_zero_cat([empty, *parts])
        return joined

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        """Gather the states; torchmetrics alone would give a process without a batch one of another shape and type."""
        for name in _STATES:
            setattr(self, name, [self._joined(name)])
        super()._sync_dist(*args, **kwargs)


def _why(samples: int, positives: int) -> str:
    """Why an attribute is left out of the means."""
    if not samples:
        return "unknown for all samples"
    return "all samples have it" if positives else "no sample has it"
