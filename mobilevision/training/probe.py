"""Fit the head on frozen features before anything else is trained.

Fine-tuning from a random head first tears pretrained features apart and then mends them; from a fitted head it need
not (Kumar et al. 2022, arXiv 2202.10054: linear probing, then fine-tuning). On a few hundred images that is worth
points, and costs seconds: the features are computed once. What the fitted head reaches is epoch 0 of the run.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from lightning_fabric.utilities.apply_func import move_data_to_device
from torch import Tensor, nn

from mobilevision.engine.features import SplitFeatures, cacheable, split_features
from mobilevision.errors import UserError
from mobilevision.ops.rows import take
from mobilevision.spec import Features

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mobilevision.data import DataModule
    from mobilevision.tasks.base import Task


FOLDED_IMAGES = 5_000
"""Training images up to which folds of train choose the weight decay."""
FOLDED_PRODUCTS = 5e8
"""Images times features times classes that all folds together may have; with more, fewer of the folds are measured."""


def probes(task: Task) -> bool:
    """Whether a task has a head that can be fitted by itself: a classifier of pooled features."""
    return cacheable(task) and task.kind != "identity"


def probe(cfg: DictConfig, task: Task, data: DataModule, device: torch.device) -> dict[str, float]:
    """Fit the task's head with L-BFGS on the features of the unaugmented images, and measure it.

    Cross-validation within train chooses the weight decay of the head's matrices, then all of train is fitted: on a
    small val the best of several decays is good by luck, and training would have to beat that. From
    :data:`FOLDED_IMAGES` on val chooses, if there is one.

    Args:
        cfg: of the run; its ``probe`` has the weight decays to try, the iterations for each, and the folds.
        task: a :class:`mobilevision.tasks.base.Task` before its first step; its head is fitted in place.
        data: set up.
        device: where to compute; the task is left there.

    Returns:
        What val measures of the fitted model, ``val/<metric>`` -> value; without a val, ``probe/<metric>``, the mean
        over the folds, of the metric that the run follows.

    Raises:
        UserError: a head that takes maps, or that learns from identities.
    """
    if not cacheable(task):
        raise UserError("probe.enabled=true fits a head on pooled features; this one takes maps: probe.enabled=false")
    if task.kind == "identity":
        raise UserError("probe.enabled=true fits a classifier; identities are compared: probe.enabled=false")
    steps, training = int(cfg.probe.steps), task.training
    task.to(device)
    train = split_features(task, data, "train")
    val = None if data.splits.val is None else split_features(task, data, "val")
    folds = val is None or len(train.places) <= FOLDED_IMAGES
    pairs = [(train, val)] if val is not None and not folds else list(parts(train, cfg.probe.folds))
    weights = sum(parameter.numel() for parameter in task.head.parameters())
    pairs = pairs[: max(1, int(FOLDED_PRODUCTS / max(len(train.places) * weights, 1)))]
    start = copy.deepcopy(task.head.state_dict())

    def score_of(decay: float) -> float:
        """Mean over heads that were each fitted on one part and measured on another."""
        scores = []
        for fitted, measured in pairs:
            task.head.load_state_dict(start)
            fit_head(task, fitted, decay=decay, steps=steps)
            scores.append(score(task, measured))
        return sum(scores) / len(scores)

    scores = {float(decay): score_of(float(decay)) for decay in cfg.probe.decays}
    best = (max if task.followed_mode == "max" else min)(scores, key=scores.__getitem__)
    task.head.load_state_dict(start)
    fit_head(task, train, decay=best, steps=steps)
    values = {f"probe/{task.followed}": scores[best]} if val is None else measure(task, val)
    task.train(training)  # the head was measured in evaluation mode; it now learns on
    return values


@torch.no_grad()
def measure(task: Task, val: SplitFeatures) -> dict[str, float]:
    """What val measures of the head on cached features; what val decides, such as thresholds, is decided too."""
    features, batch = _to(val, next(task.head.parameters()).device)
    meter = task.meter("val")
    meter.reset()
    outputs = task.head.eval()(features)
    loss = torch.stack(list(task.loss.eval()(outputs, batch).values())).sum()
    meter.update(loss, task.decode(outputs), batch["target"], samples=len(val.places))
    # In the precision in which an epoch's are logged: the same value is not to look like a better one.
    values = {f"val/{name}": float(torch.as_tensor(value).float()) for name, value in meter.compute().items()}
    task.decision = task.decide(meter.metric)
    meter.reset()
    return values


def parts(whole: SplitFeatures, folds: int) -> Iterator[tuple[SplitFeatures, SplitFeatures]]:
    """Each of the folds as what is measured, all others as what is fitted; every class is spread over the folds.

    Args:
        whole: what is to be cut.
        folds: how many; no more than there are samples.
    """
    number = len(whole.places)
    order = torch.randperm(number, generator=torch.Generator().manual_seed(0))
    if isinstance(whole.target, Tensor) and whole.target.ndim == 1:
        order = order[whole.target[order].argsort(stable=True)]
    turn = torch.empty(number, dtype=torch.int64)
    turn[order] = torch.arange(number) % folds
    for fold in range(min(folds, number)):
        yield take(whole, turn != fold), take(whole, turn == fold)


def fit_head(task: Task, train: SplitFeatures, *, decay: float, steps: int) -> None:
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
def score(task: Task, part: SplitFeatures) -> float:
    """The metric that the run follows, on cached features."""
    device = next(task.head.parameters()).device
    features, batch = _to(part, device)
    metric = task.configure_metrics().to(device)
    metric.update(task.decode(task.head.eval()(features)), batch["target"])
    return float(metric.compute()[task.followed])


def _to(part: SplitFeatures, device: torch.device) -> tuple[Features, dict[str, Any]]:
    """The features, and a batch with the targets."""
    return move_data_to_device(part.features, device), {"target": move_data_to_device(part.target, device)}
