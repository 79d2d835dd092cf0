"""What little data and good weights ask for, where the config leaves it to the data by ``auto``.

With some ten pictures a class a whole network learns them by heart. So that it does not lose to a linear layer on
frozen features, fit that layer first, keep the batch statistics that came with the weights, and change these little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobilevision.runs.features import cacheable

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mobilevision.runs.build import Built

FEW = 50
"""Training pictures a class, on average, up to which data is little."""
GENTLY, ENOUGH = 0.2, 25
"""Share of the rate for pretrained weights that is left then, from so many pictures a class; below, in proportion."""


def settle_few(cfg: DictConfig, built: Built) -> None:
    """Decide ``probe.enabled=auto`` and ``freeze.statistics=auto``, and say so in the notes.

    Args:
        cfg: the run's config; ``auto`` becomes true or false.
        built: what was made of it; its notes are changed.
    """
    spec = built.task.data_spec
    pictures = sum(spec.counts) / max(len(spec.classes), 1)
    few = built.task.backbone.report is not None and 0 < pictures <= FEW and cacheable(built.task)
    decided = []
    for key in ("probe.enabled", "freeze.statistics"):
        node, _, name = key.partition(".")
        if cfg[node][name] == "auto":
            cfg[node][name] = few
            decided.append(key)
    if few and decided:
        changes = ", ".join(f"{key}=true" for key in decided)
        if cfg.optimizer.lr is None:
            built.task.lr *= GENTLY * min(1.0, pictures / ENOUGH)
            changes += f", learning rate {built.task.lr:.2g}"
        built.data.splits.notes.append(f"few pictures ({pictures:.0f} a class) and pretrained weights: {changes}")
