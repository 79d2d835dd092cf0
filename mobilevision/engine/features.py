"""Features of a whole split, computed once with a backbone that stands still."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from lightning_fabric.utilities.apply_func import move_data_to_device
from torch import Tensor
from torch.utils._pytree import tree_map

from mobilevision.spec import Features, PartFeatures

if TYPE_CHECKING:
    from mobilevision.data import DataModule
    from mobilevision.tasks.base import Task


class SplitFeatures(NamedTuple):
    """Features and targets of a split, in its order.

    Attributes:
        features: tensors with all samples as their batch, on the CPU.
        target: the targets of all samples, a tensor or a dict of tensors.
        places: int64 [n], their places in the split; an image that was left out as unreadable is missing.
    """

    features: Features | PartFeatures
    target: Any
    places: Tensor


def cacheable(task: Task) -> bool:
    """Whether a task's features are small enough to be kept for every image: the pooled ones are, maps are not."""
    return bool(task.head.needs.pooled and not task.head.needs.strides)


@torch.no_grad()
def split_features(task: Task, data: DataModule, split: Literal["train", "val"]) -> SplitFeatures:
    """Features of every sample of a split, from unaugmented images, in evaluation mode.

    Args:
        task: a :class:`mobilevision.tasks.base.Task`.
        data: a :class:`mobilevision.data.DataModule` that is set up.
        split: which part.
    """
    training = task.training
    task.eval()
    device = next(task.backbone.parameters()).device
    parts: list[SplitFeatures] = []
    for batch in data.eval_dataloader(split, shard=False):
        # A frozen backbone's features may be cached already.
        features = batch.get("features") or task.head.extract(task.backbone, batch["image"].to(device))
        parts.append(SplitFeatures(move_data_to_device(features, "cpu"), batch["target"], batch["index"]))
    task.train(training)
    joined: SplitFeatures = tree_map(lambda *each: None if each[0] is None else torch.cat(each), *parts)
    return joined
