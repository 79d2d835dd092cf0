"""The config.yaml of a run folder, which anybody may have written: plain values, checked before any import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mobilevision.errors import UserError
from mobilevision.ops.plain_yaml import read_yaml
from mobilevision.runs.config.keys import check_claims, stated_type
from mobilevision.runs.config.layout import Claim, Layout, leaves
from mobilevision.runs.config.targets import Targets, check_targets, known_targets
from mobilevision.runs.search_path import installed

MOST_BYTES, MOST_NODES = 1_000_000, 20_000  # ours have some 10 kB and 300 values
BUILT = ("task", "data", "backbone", "head", "loss", "optimizer", "scheduler", "trainer")


def read_config(path: Path, table: Targets | None = None) -> DictConfig:
    """A run's config.yaml; nothing that it names is imported here, and ``data.format.download`` is off.

    Args:
        path: the file.
        table: what it may build, place by place; None takes what our config groups and the plugins' name.

    Raises:
        UserError: if it cannot be read, is not the config of a run, holds references (``${...}``), or wants to build
            what no config group names at that place, or a value is none that its key takes; one line names the key.
    """
    values = read_yaml(path, most_bytes=MOST_BYTES, most_nodes=MOST_NODES)
    if not isinstance(values, dict) or "task" not in values:
        raise UserError(f"{path}: not the config of a run")
    try:
        checked = check_targets(values, table if table is not None else known_targets(installed()))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    for name in BUILT:
        node = checked.get(name)
        if not isinstance(node, dict) or "_target_" not in node:
            raise UserError(f"{path}: not the config of a run: {name} should hold keys, with a _target_ among them")
    if problem := _problem(checked):
        raise UserError(f"{path}: {problem}")
    try:
        cfg = OmegaConf.create(offline(checked))
    except OmegaConfBaseException as error:
        raise UserError(f"{path}: not the config of a run: {str(error).splitlines()[0]}") from None
    assert isinstance(cfg, DictConfig)
    return cfg


def _problem(values: dict[str, Any]) -> str | None:
    """The first value of another type, or out of the range, that the annotation of its key states."""
    layout = Layout(values=values)
    claims = [Claim(key, value, f"{key}={value}") for key, value in leaves(values) if not key.endswith("_")]
    for claim in claims:
        if claim.value is None and (accepted := stated_type(claim.key, layout)) is not None:
            if reason := accepted.refusal(None):
                return f"{claim.where}: {reason}"
        elif line := next(check_claims([claim], layout), None):
            return line
    return None


def offline(values: dict[str, Any]) -> dict[str, Any]:
    """The same without leave to download data: a run that was loaded opens no connection for its data."""
    data = values.get("data")
    form = data.get("format") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(form, dict) or not form.get("download"):
        return values
    return {**values, "data": {**data, "format": {**form, "download": False}}}
