"""Our figure beside the paper's: counted now, or read off a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, final

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torchvision import models
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.rpn import RPNHead

from mobilevision.config.compose import compose
from mobilevision.config.loaded import Targets, known_targets, read_config
from mobilevision.config.search_path import installed
from mobilevision.cost import Cost, LayerCost, count
from mobilevision.cost.layers import FULL
from mobilevision.engine.info import read_info
from mobilevision.errors import UserError
from mobilevision.io.atomic_files import read_metrics
from mobilevision.tools.costs.counting import class_info_of, cost_of
from mobilevision.tools.paper.reading import Column, Row, Table
from mobilevision.tracking.run_folder import RunFolder

Value = float | int | str


def our_figure(table: Table, row: Row, column: Column) -> Value | None:
    """What we count for a cell; None where there is nothing to count, or a run is needed.

    Returns:
        An exact count, a share in percent, or a description of a layer.
    """
    source = table.source(row, column)
    if source in ("given", "metric") or (found := row_cost(table, row)) is None:
        return None
    if row.layer is not None:
        return _described([each for each in found.layers if each.mult_adds][row.layer], source)
    rows = [each for each in found.layers if row.within in each.name and row.kind in (None, each.kind)]
    if source == "parameters":
        return found.parameters
    key = source.removesuffix("_share")
    mine: int = sum(getattr(each, key) for each in rows)
    return 100 * mine / sum(getattr(each, key) for each in found.layers) if key != source else mine


def row_cost(table: Table, row: Row) -> Cost | None:
    """What the model of a row costs, or None where the row has no model."""
    if row.model is not None:
        make, side = OTHERS[row.model]
        with torch.device("meta"):
            model = make()
        return count(model, torch.empty(1, 3, side, side, device="meta"))
    own = row.config or row.sources or row.kind is not None or row.layer is not None
    return _counted((*table.config, *row.config), table.outputs) if own else None


@cache
def composed(overrides: tuple[str, ...]) -> DictConfig:
    """The config of a row; several rows share one."""
    return compose(overrides, complete=False)


@cache
def _counted(overrides: tuple[str, ...], outputs: int | None) -> Cost:
    cfg = composed(overrides)
    return cost_of(cfg, **class_info_of(cfg, outputs)._asdict()).cost


def _described(layer: LayerCost, source: str) -> str:
    """A layer in the words of the paper's Table 1."""
    if source == "input":
        channels, *sides = layer.inputs
        return "x".join(map(str, [*(sides or [1, 1]), channels]))
    if layer.kind == FULL:
        return "s1" if source == "stride" else f"{layer.inputs[0]}x{layer.shape[0]}"
    if source == "stride":
        return f"s{round(layer.inputs[-1] / layer.shape[-1])}"
    kernel = layer.kind.rpartition(" ")[2]
    return f"{kernel}x{layer.shape[0]} dw" if " dw " in layer.kind else f"{kernel}x{layer.inputs[0]}x{layer.shape[0]}"


# What runs of ours reached: every metrics.json below a folder, with the config of the run it belongs to.

_SAME = ("_target_", "width", "conv", "depth", "size", "variant", "name")  # of a backbone
_STAGES = ("test", "all")  # val chose the checkpoint: it is no result


@dataclass(frozen=True)
class Result:
    """A run, an evaluation of it on other data, or one of pretrained weights.

    Attributes:
        path: the folder with the metrics.
        cfg: the config of the run, or of the weights' model.
        resolution: (height, width) of its input.
        data: class of the data format that it was measured on.
        metrics: ``<stage>/<metric>`` -> value.
    """

    path: Path
    cfg: DictConfig
    resolution: tuple[int, ...]
    data: str
    metrics: Mapping[str, float]


def find_results(folder: str | Path) -> list[Result]:
    """All results below a folder; files that are none are passed over.

    Raises:
        UserError: there is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"--results {folder}: there is no such folder")
    table = known_targets(installed())
    return [each for path in sorted(root.rglob("metrics.json")) for each in _read(path, table)]


def best(results: Sequence[Result], table: Table, row: Row) -> tuple[float, Result] | None:
    """The best that a run of the row's model reached on the table's data, as a fraction; None without one."""
    metric = row.metric or table.metric
    if metric is None or row.model is not None or not (row.config or row.metric):
        return None
    cfg = composed((*table.config, *row.config))
    found = [
        (float(value), each)
        for each in results
        if each.data == table.data and _same_model(each, cfg, str(cfg.task.kind))
        for stage in _STAGES
        if isinstance(value := each.metrics.get(f"{stage}/{metric}"), int | float)
    ]
    return max(found, key=lambda pair: pair[0], default=None)


def _same_model(result: Result, cfg: DictConfig, kind: str) -> bool:
    own, side = result.cfg, cfg.data.resolution
    if str(own.task.kind) != kind or list(result.resolution) != [side, side]:
        return False
    if kind == "boxes" and own.head["_target_"] != cfg.head["_target_"]:
        return False
    return all(own.backbone.get(key) == cfg.backbone.get(key) for key in _SAME)


def _read(path: Path, table: Targets) -> Iterator[Result]:
    """The result of one file: of a run, or of an evaluation.

    That of a run lies in ``<run>/evaluations/<date_time>/``; that of pretrained weights says itself what they are.
    """
    own = RunFolder(path.parent)
    if not own.config.is_file() and isinstance(read_info(own).get("config"), Mapping):
        yield from _of_weights(path, own)
        return
    run = own if own.config.is_file() else RunFolder(path.parent.parent.parent)
    try:
        cfg = read_config(run.config, table)
        metrics = read_metrics(path)
        data: Any = cfg.data if own is run else read_info(own).get("data", {})
        name = str(data["format"]["_target_"]).rpartition(".")[2]
        side = read_info(run).get("resolution") or cfg.data.resolution
        size = (side, side) if isinstance(side, int) else tuple(side)
        assert all(cfg[each] for each in ("task", "backbone", "head"))
    except Exception:  # whatever lies there is not a run of ours
        return
    yield Result(path.parent, cfg, size, name, metrics)


def _of_weights(path: Path, folder: RunFolder) -> Iterator[Result]:
    """The result of pretrained weights. Nothing was chosen by val, so that it counts as a test."""
    info = read_info(folder)
    try:
        text = json.dumps(info["config"])
        if "${" in text:  # references are resolved before they are written
            return
        cfg = OmegaConf.create(json.loads(text))
        name = str(info["data"]["format"]["_target_"]).rpartition(".")[2]
        height, width = info["resolution"]
        metrics = {f"{_STAGES[0]}/{key.partition('/')[2]}": value for key, value in read_metrics(path).items()}
        assert all(cfg[each] for each in ("task", "backbone", "head"))
        assert cfg.task.kind
    except Exception:  # whatever lies there is no evaluation of ours
        return
    yield Result(path.parent, cfg, (height, width), name, metrics)


# The other models of the paper's tables, as torchvision has them, on shapes alone.

COCO_OUTPUTS = 91
DOGS = 120


class Other(NamedTuple):
    """A model to count.

    Attributes:
        make: builds it, with random weights.
        side: of its input in pixels.
    """

    make: Callable[[], nn.Module]
    side: int


@final
class SingleShot(nn.Module):
    """The network of torchvision's SSD without its first and last steps, which look at values."""

    def __init__(self) -> None:
        super().__init__()
        made = models.detection.ssd300_vgg16(weights=None, weights_backbone=None, num_classes=COCO_OUTPUTS)
        self.backbone, self.head = made.backbone, made.head

    def forward(self, images: Tensor) -> Any:
        """Raw outputs of images."""
        return self.head(list(self.backbone(images).values()))


@final
class TwoStage(nn.Module):
    """Faster R-CNN over VGG 16 as arXiv 1506.01497 describes it: 9 anchors, 300 regions, VGG's own two large layers."""

    regions, anchors, stride = 300, 9, 16

    def __init__(self) -> None:
        super().__init__()
        body = models.vgg16(weights=None)
        self.features = body.features[:-1]  # to stride 16
        self.proposals = RPNHead(512, self.anchors)
        self.large = body.classifier[:-1]
        self.predictor = FastRCNNPredictor(4096, COCO_OUTPUTS)

    def forward(self, images: Tensor) -> Any:
        """Raw outputs of both stages; where the regions lie changes nothing of the cost."""
        maps = self.features(images)
        regions = maps.new_empty(self.regions, 512 * 7 * 7)
        return self.proposals([maps]), self.predictor(self.large(regions))


OTHERS = {
    "vgg16": Other(lambda: models.vgg16(weights=None), 224),
    "googlenet": Other(lambda: models.googlenet(weights=None, aux_logits=False, init_weights=False), 224),
    "squeezenet": Other(lambda: models.squeezenet1_0(weights=None), 224),
    "alexnet": Other(lambda: models.alexnet(weights=None), 224),
    "inception_v3": Other(
        lambda: models.inception_v3(weights=None, aux_logits=False, init_weights=False, num_classes=DOGS), 299
    ),
    "ssd300_vgg16": Other(SingleShot, 300),
    "frcnn300_vgg16": Other(TwoStage, 300),
    "frcnn600_vgg16": Other(TwoStage, 600),
}
