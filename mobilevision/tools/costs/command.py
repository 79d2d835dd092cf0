"""``mobilevision cost``: what a composed model, or a run's, costs on a phone, before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from mobilevision.config.compose import compose
from mobilevision.errors import UserError

if TYPE_CHECKING:
    from mobilevision.tools.costs.counting import Counted


def cost(
    arguments: Sequence[str],
    *,
    outputs: int | None = None,
    layers: bool = False,
    as_json: bool = False,
    out: str | Path | None = None,
) -> Counted:
    """Count and print: parameters, mult-adds, activations, file sizes, by type of layer and layer by layer.

    Args:
        arguments: overrides as for a training, or one run folder.
        outputs: class scores of the head, for counting alone; see :func:`mobilevision.tools.costs.classes.known_of`.
        layers: whether every layer is printed.
        as_json: print one JSON object instead, all layers in it.
        out: folder for ``cost.json``, ``layers.csv`` and the chart ``cost.png``; None writes nothing.

    Raises:
        UserError: for all that the user can mend.
    """
    is_run = bool(arguments) and ("=" not in arguments[0] or Path(arguments[0]).is_dir())
    cfg, counted = _of_run(arguments) if is_run else _of_overrides(arguments, outputs)
    if is_run and outputs is not None:
        raise UserError(f"--outputs {outputs}: a run is counted as it was trained")

    from mobilevision.tools.costs import report

    found = report.as_dict(cfg, counted)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        report.show(found, layers=layers)
    if out is not None:
        report.write(found, Path(out), quiet=as_json)
    return counted


def _of_overrides(overrides: Sequence[str], outputs: int | None) -> tuple[DictConfig, Counted]:
    cfg = compose(overrides, complete=False)

    from mobilevision.config.plugins import load_for
    from mobilevision.tools.costs.classes import known_of
    from mobilevision.tools.costs.counting import cost_of

    load_for(cfg)
    if outputs is not None and cfg.head.get("outputs") is not None:
        cfg.head.outputs = outputs
    return cfg, cost_of(cfg, **known_of(cfg, outputs)._asdict())


def _of_run(arguments: Sequence[str]) -> tuple[DictConfig, Counted]:
    if len(arguments) > 1:
        raise UserError(f"{arguments[1]}: a run is counted as it was trained; for another, name overrides alone")

    from mobilevision.tracking.run_folder import RunFolder

    folder = RunFolder.existing(arguments[0])

    from mobilevision.config.loaded import read_config
    from mobilevision.config.plugins import load_for
    from mobilevision.tools.costs.classes import of_run
    from mobilevision.tools.costs.counting import cost_of

    cfg = read_config(folder.config)
    load_for(cfg)
    known, resolution = of_run(folder, str(cfg.task.kind))
    if "weights" in cfg.backbone:
        cfg.backbone.weights = None  # they may have gone, and the side is known
    return cfg, cost_of(cfg, **known._asdict(), resolution=resolution)
