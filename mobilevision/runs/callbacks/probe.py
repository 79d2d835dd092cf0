"""Fit the head on frozen features before anything else is trained.

Fine-tuning from a random head first tears pretrained features apart and then mends them; from a fitted head it need
not (Kumar et al. 2022, arXiv 2202.10054: linear probing, then fine-tuning). On a few hundred pictures that is worth
points, and costs seconds: the features are computed once.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, final

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn

from mobilevision.errors import UserError
from mobilevision.runs.features import SplitFeatures, cacheable, split_features


@final
class Probe(Callback):
    """Fits the head with L-BFGS on the features of the unaugmented pictures.

    Val chooses its weight decay; without a val, cross-validation within train does, and then all of train is fitted.

    Args:
        decays: weight decays of the head's matrices to try.
        steps: L-BFGS iterations for each.
        folds: parts of train for the cross-validation.
    """

    def __init__(
        self,
        *,
        decays: tuple[float, ...] | list[float] = (1e-3, 1e-2, 3e-2, 1e-1),
        steps: int = 100,
        folds: int = 5,
    ) -> None:
        if folds < 2:
            raise UserError(f"probe.folds={folds}: cross-validation takes at least 2 parts of train")
        self.decays = tuple(decays)
        self.steps = steps
        self.folds = folds
        self.scores: dict[float, float] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Fit, unless this run was started before."""
        if trainer.ckpt_path is not None or trainer.global_step:
            return
        if not cacheable(pl_module):
            raise UserError(
                "probe.enabled=true fits a head on pooled features; this one takes maps: probe.enabled=false"
            )
        if pl_module.kind == "identity":
            raise UserError("probe.enabled=true fits a classifier; identities are compared: probe.enabled=false")
        data = trainer.datamodule  # type: ignore[attr-defined]
        train = split_features(pl_module, data, "train")
        val = None if data.splits.val is None else split_features(pl_module, data, "val")
        pairs = [(train, val)] if val is not None else list(parts(train, self.folds))
        start = copy.deepcopy(pl_module.head.state_dict())
        for decay in self.decays:
            self.scores[decay] = self._score(pl_module, pairs, start, decay)
        better = max if pl_module.mode == "max" else min
        best = better(self.scores, key=self.scores.__getitem__)
        pl_module.head.load_state_dict(start)
        fit_head(pl_module, train, decay=best, steps=self.steps)
        pl_module.train(pl_module.training)  # the head was measured in evaluation mode; it now learns on
        if trainer.is_global_zero:
            by = (
                f"val/{pl_module.primary}" if val is not None else f"{pl_module.primary} of {len(pairs)} folds of train"
            )
            print(f"probe: {by} {self.scores[best]:.4f} (weight decay {best:g})", flush=True)

    def _score(
        self, task: Any, pairs: list[tuple[SplitFeatures, SplitFeatures]], start: dict[str, Tensor], decay: float
    ) -> float:
        """Mean score of heads that were each fitted on one part and measured on another."""
        scores = []
        for fitted, measured in pairs:
            task.head.load_state_dict(start)
            fit_head(task, fitted, decay=decay, steps=self.steps)
            scores.append(score(task, measured))
        return sum(scores) / len(scores)


def parts(whole: SplitFeatures, folds: int) -> Iterator[tuple[SplitFeatures, SplitFeatures]]:
    """Each of the folds as what is measured, all others as what is fitted; every class is spread over the folds.

    Args:
        whole: what is to be cut.
        folds: how many; no more than there are samples.
    """
    number = len(whole.target)
    order = torch.randperm(number, generator=torch.Generator().manual_seed(0))
    if whole.target.ndim == 1:
        order = order[whole.target[order].argsort(stable=True)]
    turn = torch.empty(number, dtype=torch.int64)
    turn[order] = torch.arange(number) % folds
    for fold in range(min(folds, number)):
        yield take(whole, turn != fold), take(whole, turn == fold)


def take(whole: SplitFeatures, rows: Tensor) -> SplitFeatures:
    """Some samples, chosen by bool [n]."""
    maps = {stride: feature[rows] for stride, feature in whole.features.maps.items()}
    pooled = None if whole.features.pooled is None else whole.features.pooled[rows]
    return SplitFeatures(whole.features._replace(maps=maps, pooled=pooled), whole.target[rows], whole.places[rows])


def fit_head(task: Any, train: SplitFeatures, *, decay: float, steps: int) -> None:
    """Minimise the task's own loss plus ``decay / 2`` times the squared matrices of its head, on cached features."""
    device = next(task.head.parameters()).device
    features, batch = _to(train, device)
    head: nn.Module = task.head.eval()
    task.loss.eval()  # a loss that changes over epochs starts with the training
    parameters = [parameter for parameter in head.parameters() if parameter.requires_grad]
    optimizer = torch.optim.LBFGS(parameters, max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.stack(list(task.loss(head(features), batch).values())).sum()
        loss = loss + 0.5 * decay * sum(p.square().sum() for p in parameters if p.ndim > 1)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    optimizer.zero_grad()


@torch.no_grad()
def score(task: Any, part: SplitFeatures) -> float:
    """The task's primary metric on cached features."""
    device = next(task.head.parameters()).device
    features, batch = _to(part, device)
    metric = task.configure_metrics().to(device)
    metric.update(task.decode(task.head.eval()(features)), batch["target"])
    return float(metric.compute()[task.primary])


def _to(part: SplitFeatures, device: torch.device) -> tuple[Any, dict[str, Tensor]]:
    maps = {stride: feature.to(device) for stride, feature in part.features.maps.items()}
    pooled = None if part.features.pooled is None else part.features.pooled.to(device)
    return part.features._replace(maps=maps, pooled=pooled), {"target": part.target.to(device)}
