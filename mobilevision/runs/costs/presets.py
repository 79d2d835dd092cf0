"""A config without its pretrained weights: they cost a download and change nothing but the side they expect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from mobilevision.backbones.presets import Preset


def without_weights(cfg: DictConfig) -> DictConfig:
    """A copy whose backbone starts from nothing, with the preset (so the side) that its weights bring.

    Nothing is fetched: of weights of timm's hub, timm itself knows what they expect.

    Raises:
        UserError: a file or run folder of weights that cannot be read.
    """
    bare = cfg.copy()
    weights = bare.backbone.get("weights")
    if weights is None:
        return bare
    bare.backbone.weights = None
    noted = _noted(str(weights))
    if noted is not None and bare.backbone.get("preset", "no such key") is None:
        OmegaConf.update(bare, "backbone.preset", noted.to_dict(), force_add=True)
    return bare


def _noted(weights: str) -> Preset | None:
    import timm

    from mobilevision.backbones.presets import pretraining
    from mobilevision.backbones.weights import read_weights

    if weights == "timm":  # the architecture's own preset is theirs
        return None
    if not Path(weights).expanduser().exists() and timm.is_model(weights.partition(".")[0]):
        found = timm.get_pretrained_cfg(weights)
        return pretraining(found.to_dict()) if found is not None else None
    return read_weights(weights, hub=None).preset
