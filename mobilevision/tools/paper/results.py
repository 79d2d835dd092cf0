"""What runs of ours reached: every metrics.json below a folder, with the config of the run it belongs to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mobilevision.config.loaded import Targets, known_targets, read_config
from mobilevision.config.search_path import installed
from mobilevision.engine.info import read_info
from mobilevision.errors import UserError
from mobilevision.io.regular_files import read_text
from mobilevision.tools.paper.ours import composed
from mobilevision.tools.paper.reading import Row, Table
from mobilevision.tracking.run_folder import RunFolder

_SAME = ("_target_", "width", "conv", "depth", "size", "variant", "name")  # of a backbone
_STAGES = ("test", "all")  # val chose the checkpoint: it is no result


@dataclass(frozen=True)
class Result:
    """A run, or an evaluation of it on other data.

    Attributes:
        path: the folder with the metrics.
        cfg: the run's config.
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
    """The result of one file: of a run, or of an evaluation, which lies in ``<run>/evaluations/<date_time>/``."""
    own = RunFolder(path.parent)
    run = own if own.config.is_file() else RunFolder(path.parent.parent.parent)
    try:
        cfg = read_config(run.config, table)
        metrics = json.loads(read_text(path))
        assert isinstance(metrics, dict)
        data: Any = cfg.data if own is run else read_info(own).get("data", {})
        name = str(data["format"]["_target_"]).rpartition(".")[2]
        side = read_info(run).get("resolution") or cfg.data.resolution
        size = (side, side) if isinstance(side, int) else tuple(side)
        assert all(cfg[each] for each in ("task", "backbone", "head"))
    except Exception:  # whatever lies there is not a run of ours
        return
    yield Result(path.parent, cfg, size, name, metrics)
