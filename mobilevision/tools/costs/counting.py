"""From a composed config to its cost: backbone and head, built of shapes alone, traced once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from mobilevision.config.auto_settings import without_training
from mobilevision.config.parts import names
from mobilevision.cost import Cost, Unfilled, count
from mobilevision.data.module import height_and_width
from mobilevision.engine.build import build_backbone, build_data, build_head, default_side
from mobilevision.engine.info import read_info
from mobilevision.errors import UserError
from mobilevision.heads import Head
from mobilevision.spec import DataSpec
from mobilevision.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from mobilevision.backbones import Backbone
    from mobilevision.backbones.presets import Preset


WITHOUT_DATA = "--outputs N counts without data"


class ClassInfo(NamedTuple):
    """What a head has to know of the data.

    Attributes:
        classes: how many; of a detector without background.
        cells: of Earth, as a :class:`mobilevision.spec.DataSpec` carries them, where the classes are such.
        parts: of a task of several parts, the same of each.
    """

    classes: int
    cells: dict[str, Any] | None = None
    parts: Mapping[str, ClassInfo] | None = None


def class_info_of(cfg: DictConfig, outputs: int | None) -> ClassInfo:
    """What a config's head is made for.

    Args:
        cfg: composed.
        outputs: class scores of the head, of a detector with background; None: of a detector ``head.outputs``, where
            that is set, else what the data set holds.

    Raises:
        UserError: the data set is not there, or the head has no class scores.
    """
    if names(cfg):
        if outputs is not None:
            raise UserError(f"--outputs {outputs}: each part has outputs of its own; leave it out, the data tells them")
        return _of_data(cfg)
    if cfg.task.kind == "identity":  # the length of its vector is a key, whoever the identities are
        if outputs is not None:
            head = class_name(cfg.head)
            raise UserError(f"--outputs {outputs}: head={head} gives a vector; head.dimensions sets its length")
        return ClassInfo(2)
    known = cfg.head.get("outputs") if outputs is None else outputs
    if known is not None:
        least = 2 if cfg.task.kind == "boxes" else 1
        if known < least:
            raise UserError(f"--outputs {known}: at least {least}{', background included' if least == 2 else ''}")
        return ClassInfo(int(known) - (least - 1))
    return _of_data(cfg)


def class_info_of_run(folder: RunFolder, kind: str) -> tuple[ClassInfo, tuple[int, int]]:
    """What a run was trained for, and (height, width) of its input: from its info.json, else from its checkpoint.

    Raises:
        UserError: neither of them says it.
    """
    info = read_info(folder)
    if kind in ("coordinate", "multitask") or not {"classes", "resolution"} <= set(info):  # checkpoints know the rest
        info = _of_checkpoint(folder)
    try:
        height, width = (int(side) for side in info["resolution"])
        return _class_info(info), (height, width)
    except (TypeError, ValueError) as error:
        raise UserError(f"{folder.info_json}: not what a run of ours says of itself ({error})") from error


def _of_checkpoint(folder: RunFolder) -> dict[str, Any]:
    from mobilevision.io.tensor_files import read_checkpoint

    file = next((path for path in (folder.best, folder.last) if path.is_file()), None)
    known = read_checkpoint(file).get("mobilevision") if file is not None else None
    if known is None:
        raise UserError(f"{folder.path}: no info.json and no checkpoint that say what the run is for")
    try:
        return DataSpec.from_dict(known["data"]).to_dict()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{file}: not a checkpoint of mobilevision ({error})") from error


def _of_data(cfg: DictConfig) -> ClassInfo:
    missing = [key for key in OmegaConf.missing_keys(cfg) if key.startswith("data.")]
    if missing:
        raise UserError(f"{' and '.join(sorted(missing))}: not set; {WITHOUT_DATA}")
    try:
        spec = build_data(cfg).setup_data()
    except UserError as error:
        raise UserError(f"{error}; {WITHOUT_DATA}") from error
    return _class_info(spec.to_dict())


def _class_info(spec: Mapping[str, Any]) -> ClassInfo:
    parts = {name: _class_info(part) for name, part in (spec.get("parts") or {}).items()}
    return ClassInfo(len(spec["classes"]), spec.get("cells"), parts or None)


# A config without its pretrained weights: they cost a download and change nothing but the side they expect.


def without_weights(cfg: DictConfig) -> DictConfig:
    """A copy whose backbone starts from nothing, with the preset (so the side) that its weights bring.

    Nothing is fetched: of weights of timm's hub, timm itself knows what they expect.

    Raises:
        UserError: a file or run folder of weights that cannot be read.
    """
    bare = cfg.copy()
    if bare.head.get("weights") is not None:
        bare.head.weights = None  # what layers they need stands in other keys
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

    from mobilevision.backbones.keras_weights import preset_of
    from mobilevision.backbones.presets import pretraining
    from mobilevision.backbones.torchvision_weights import version_of
    from mobilevision.backbones.weights import read_weights

    if weights == "timm" or version_of(weights) is not None:  # the architecture's own side is theirs
        return None
    if weights == "keras" or weights.startswith("keras-"):
        return preset_of(f"mobilenet_1_0_{weights[6:]}_tf")
    if not Path(weights).expanduser().exists() and timm.is_model(weights.partition(".")[0]):
        found = timm.get_pretrained_cfg(weights)
        return pretraining(found.to_dict()) if found is not None else None
    return read_weights(weights, hub=None).preset


# A data set that is not there, as far as a head has to know it to be counted.

_GOLDEN = (1 + 5**0.5) / 2


def spec_of(
    kind: str,
    *,
    classes: int,
    channels: int,
    resolution: tuple[int, int],
    cells: dict[str, Any] | None = None,
    parts: Mapping[str, DataSpec] | None = None,
) -> DataSpec:
    """The spec of a data set with so many classes, whose names are numbers.

    Args:
        kind: what is learnt from.
        classes: how many; cells of Earth, for ``coordinate``.
        channels: of an image.
        resolution: (height, width) of the input in pixels.
        cells: as a :class:`DataSpec` carries them; None spreads so many over Earth.
        parts: of each part, where there are several.
    """
    if kind == "coordinate" and cells is None:
        cells = spread_cells(classes)
    return DataSpec(kind, tuple(map(str, range(classes))), channels, resolution, cells=cells, parts=dict(parts or {}))


def spread_cells(count: int) -> dict[str, Any]:
    """So many cells of one level, evenly over Earth: along a spiral from pole to pole."""
    import numpy as np

    from mobilevision.geo import s2
    from mobilevision.geo.cells import Cells

    place = np.arange(count) + 0.5
    latitude = np.degrees(np.arcsin(1 - 2 * place / count))
    longitude = (place * 360 / _GOLDEN) % 360 - 180
    for level in range(s2.LEVELS + 1):
        ids = np.unique(s2.cell_ids(latitude, longitude, level))
        if len(ids) == count:
            break
    return Cells(ids, np.ones(count, dtype=np.int64), *s2.centres(ids)).to_dict()


# What torch, and models, raise where values are missing.
_NO_VALUES = (RuntimeError, AssertionError, TypeError, ValueError)


@dataclass(frozen=True)
class Counted:
    """A model's cost, and for what input and outputs it holds.

    Attributes:
        cost: of one image.
        backbone: what the backbone calls itself.
        resolution: (height, width) of the input in pixels.
        channels: of the input.
        classes: classes that the head was made for; of a detector without background.
    """

    cost: Cost
    backbone: str
    resolution: tuple[int, int]
    channels: int
    classes: int

    @property
    def architecture(self) -> str:
        """The backbone without its width."""
        return self.backbone.rpartition("_")[0] or self.backbone


def cost_of(
    cfg: DictConfig,
    *,
    classes: int,
    cells: dict[str, Any] | None = None,
    parts: Mapping[str, ClassInfo] | None = None,
    resolution: tuple[int, int] | None = None,
) -> Counted:
    """Count what a config describes, without data, weights, loss or teacher; nothing takes memory.

    A tenth of a second for a MobileNet. To count many, compose once and change values of a copy: composing takes
    longer than counting.

    Args:
        cfg: composed; it is left as it is.
        classes: how many the head tells apart; of a detector without background.
        cells: of Earth, where the classes are such; None takes as many somewhere.
        parts: the same of each part, where there are several.
        resolution: (height, width) of the input; None: ``data.resolution``, else what head or weights expect.

    Raises:
        UserError: head and backbone that do not fit, values that they refuse, or an input they do not run on.
    """
    for device in ("meta", "cpu"):  # where something, perhaps of a plugin, looks at values: let there be some
        try:
            model, image = deployed(
                cfg, classes=classes, cells=cells, parts=parts, resolution=resolution, device=device
            )
            _, channels, height, width = image.shape
            return Counted(count(model, image), model.backbone.name, (height, width), channels, classes)
        except _NO_VALUES as error:
            failure = error
    reason = (str(failure).strip() or type(failure).__name__).splitlines()[0]
    both = f"{class_name(cfg.backbone)} and {class_name(cfg.head)}"
    raise UserError(f"{both} do not run on this input: {reason}") from failure


@final
class Deployed(nn.Module):
    """What of a task predicts: the backbone, as far as the head needs it, and the head.

    Args:
        backbone: it gives its last stage to a head that takes it, and loses what the head does without.
        head: made for it.
    """

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        if head.needs.tail:
            head.take_tail(backbone.split_tail())
        backbone.keep(head.needs)
        self.backbone, self.head = backbone, head

    def forward(self, images: Tensor) -> Any:
        """Raw outputs of images [B, C, H, W], uint8."""
        return self.head(self.head.extract(self.backbone, images))


def deployed(
    cfg: DictConfig,
    *,
    classes: int,
    cells: dict[str, Any] | None = None,
    parts: Mapping[str, ClassInfo] | None = None,
    resolution: tuple[int, int] | None = None,
    device: str = "cpu",
) -> tuple[Deployed, Tensor]:
    """What a config describes as it predicts, with random weights, and a grey image for it.

    Args:
        cfg: composed; it is left as it is.
        classes: how many the head tells apart; of a detector without background.
        cells: as for :func:`cost_of`.
        parts: as for :func:`cost_of`.
        resolution: (height, width) of the input; None: as for :func:`cost_of`.
        device: where both lie; on ``meta`` there are shapes only.

    Returns:
        The model in training mode, and uint8 [1, channels, height, width].

    Raises:
        UserError: head and backbone that do not fit, or values that they refuse.
    """
    bare = without_training(without_weights(cfg))
    with torch.device(device), Unfilled():
        backbone = build_backbone(bare)
        side = default_side(bare, backbone)
        size = resolution or height_and_width(bare.data.resolution) or (side, side)
        kind, channels = str(bare.task.kind), backbone.channels
        of_parts = {}
        for name, part in (parts or {}).items():
            own = bare.parts[name]
            shape: Any = {"channels": channels, "resolution": height_and_width(own.data.resolution) or size}
            of_parts[name] = spec_of(str(own.task.kind), classes=part.classes, cells=part.cells, **shape)
        spec = spec_of(kind, classes=classes, cells=cells, parts=of_parts, channels=channels, resolution=size)
        head = build_head(bare, spec, backbone)
        return Deployed(backbone, head), torch.full((1, channels, *size), 128, dtype=torch.uint8)


def class_name(node: DictConfig) -> str:
    """The class that a node of a config builds, without its module."""
    return str(node["_target_"]).rpartition(".")[2]
