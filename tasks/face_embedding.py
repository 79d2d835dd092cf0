"""Whom or what an image shows, by likeness: embeddings of unit length (arXiv 1704.04861, section 4.7; 1503.03832)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
from torch import Tensor

from mobilevision.data.identities import IdentityTargets
from mobilevision.metrics import TaskMetric
from mobilevision.metrics.verification import VerificationMetrics
from mobilevision.spec import OutputKind
from mobilevision.tasks.base import Stage, Task
from mobilevision.visualization import charts
from mobilevision.visualization.draw import pairs

if TYPE_CHECKING:
    from mobilevision.data import Records

_PAIRS = 8  # of each sort of mistake
_SIDE = 160


@final
class FaceEmbedding(Task):
    """Learns to tell identities apart that it was never shown, faces or others; measured by verification.

    The loss of val and test, whose identities are not those of train, is that of all pairs in a batch
    (:func:`mobilevision.losses.embeddings.verification`), whatever the loss of train.
    """

    kind: ClassVar[str] = "identity"
    primary: ClassVar[str] = "auc"
    output_kind: ClassVar[OutputKind | None] = "embedding"
    answers: ClassVar[str] = "embedding"

    def decode(self, outputs: Tensor) -> dict[str, Tensor]:
        """``embedding``: float32 [B, D] of unit length."""
        return {"embedding": outputs.float()}

    def configure_metrics(self) -> TaskMetric:
        """As in :class:`Task`; the pairs to compare are told when an evaluation starts."""
        return VerificationMetrics()

    def look_at(self, stage: Stage, records: Records) -> None:
        """As in :class:`Task`; takes the listed pairs, if there are any."""
        metric = self.meter(stage).metric
        if isinstance(records.targets, IdentityTargets):
            self._measured()[stage] = records
            if isinstance(metric, VerificationMetrics):
                metric.pairs = records.targets.pairs

    def decide(self, metric: Any) -> dict[str, Any]:
        """``threshold``: the cosine from which two images of val are best taken for the same."""
        found = metric.threshold()
        return {} if found is None else {"threshold": found}

    def figures(self, stage: Stage) -> dict[str, Any]:
        """``roc``, ``similarities``, and ``hardest_pairs``, the mistakes of both sorts that are worst."""
        tables, metric = self.tables(stage), self.meter(stage).metric
        drawn = {}
        if tables["roc"]:
            threshold = self.decision.get("threshold")
            drawn["roc"] = charts.roc(tables["roc"])
            drawn["similarities"] = charts.similarities(tables["similarities"], threshold=threshold)
        records = self._measured().get(stage)
        if records is not None and isinstance(metric, VerificationMetrics):
            rows = [
                (*(_pixels(records, image) for image in (first, second)), _words(cosine, same), same)
                for first, second, cosine, same in metric.hardest(_PAIRS)
            ]
            if rows:
                drawn["hardest_pairs"] = pairs(rows)
        return drawn

    def _measured(self) -> dict[str, Records]:
        """What val, and test, looked at last."""
        found: dict[str, Records] = self.__dict__.setdefault("_records", {})
        return found


def _words(cosine: float, same: bool) -> str:
    return f"{'one identity' if same else 'two identities'}, similarity {cosine:.2f}"


def _pixels(records: Records, image: int) -> Any:
    index = int(np.flatnonzero(records.targets.images == image)[0])
    return records.pixels(index, size=(_SIDE, _SIDE))
