"""Many yes-or-no questions about an image: the paper's face attributes (section 4.5), or any other labels."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor

from mobilevision.metrics import AttributeMetrics, TaskMetric
from mobilevision.metrics.attributes import FEWEST
from mobilevision.spec import OutputKind
from mobilevision.tasks.base import Stage, Task
from mobilevision.visualization import charts

_HALF = 0.5
_NOT_CHOSEN = f"threshold not chosen: fewer than {FEWEST} val samples with it or without it"


@final
class FaceAttributes(Task):
    """A sigmoid an attribute; measured by average precision, AUC, accuracy, F1 and calibration.

    What val says is kept with the weights: a temperature an attribute, by which its logit is divided so that its
    probability means what it says, and the probability from which the attribute is called there. An evaluation of val
    within a training uses what the one before chose, so that it does not judge by its own choice.

    Args:
        threshold: what thresholds are to be best for: ``f1``, which also finds rare attributes, or ``accuracy``.
        parts: as in :class:`Task`.
    """

    kind: ClassVar[str] = "attributes"
    primary: ClassVar[str] = "mean_ap"
    output_kind: ClassVar[OutputKind | None] = "sigmoid"
    answers: ClassVar[str] = "attributes"

    def __init__(self, *, threshold: Literal["f1", "accuracy"] = "f1", **parts: Any) -> None:
        super().__init__(**parts)
        self.threshold = threshold

    def decode(self, outputs: Tensor) -> dict[str, Tensor]:
        """Predictions of logits [B, A].

        Returns:
            ``logits`` float [B, A] as the head gives them, ``probabilities`` float [B, A], calibrated where val was
            measured, and ``present`` bool [B, A], whether the attribute is predicted present.
        """
        logits = outputs.float()
        probabilities = (logits / self._decided("temperatures", 1.0, logits)).sigmoid()
        return {
            "logits": logits,
            "probabilities": probabilities,
            "present": probabilities >= self._decided("thresholds", _HALF, logits),
        }

    def explained(self, outputs: Tensor) -> Tensor | None:
        """The logit of the most probable attribute."""
        return outputs.amax(dim=1)

    def configure_metrics(self) -> TaskMetric:
        """As in :class:`Task`."""
        return AttributeMetrics(classes=self.data_spec.classes)

    def decide(self, metric: Any) -> dict[str, Any]:
        """``temperatures`` and ``thresholds`` (calibrated probabilities), a number an attribute."""
        fitted = metric.temperatures()
        return {"temperatures": fitted.tolist(), "thresholds": metric.thresholds(fitted, by=self.threshold)}

    def tables(self, stage: Stage) -> dict[str, list[dict[str, Any]]]:
        """As in :class:`Task`; ``per_attribute`` with threshold, temperature and why val chose none."""
        tables = super().tables(stage)
        if "per_attribute" not in tables:
            return tables
        default = len(self.data_spec.classes)
        chosen = zip(
            tables["per_attribute"],
            self.decision.get("thresholds") or [_HALF] * default,
            self.decision.get("temperatures") or [1.0] * default,
            strict=True,
        )
        rows = []
        for row, threshold, temperature in chosen:
            # Both as they were: val did not choose.
            left = bool(self.decision) and threshold == _HALF and temperature == 1.0
            note = "; ".join(filter(None, (row["note"], _NOT_CHOSEN * left)))
            first = {key: value for key, value in row.items() if key != "note"}
            rows.append({**first, "threshold": threshold, "temperature": temperature, "note": note})
        return {**tables, "per_attribute": rows}

    def figures(self, stage: Stage) -> dict[str, Any]:
        """``average_precision`` of each attribute; ``reliability``: what is said against what is so."""
        tables = self.tables(stage)
        return {
            "average_precision": charts.average_precisions(tables["per_attribute"]),
            "reliability": charts.attribute_reliability(tables["calibration"]),
        }

    def _decided(self, name: str, default: float, like: Tensor) -> Tensor:
        """What val chose, a number an attribute."""
        values = self.decision.get(name) or [default] * len(self.data_spec.classes)
        return torch.tensor(values, dtype=like.dtype, device=like.device)
