"""One run of a sweep: begun, gone on with, or there already; what fails is written down and the others go on."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mobilevision.errors import StoppedError, UserError
from mobilevision.ops.plain_yaml import read_yaml
from mobilevision.runs.auto_settings import AUTO
from mobilevision.runs.console import VARIABLE, line
from mobilevision.runs.folder import RunFolder, write_text
from mobilevision.runs.same_data import make_absolute
from mobilevision.runs.sweep.plan import Plan

ERROR = "error.txt"  # in the folder of a run that failed: why
_OWN = {"run_dir", "resume", "distill.teacher"}  # settled by the run itself
_OWN |= {"data.folds_final"}  # says whether one more run follows: no run of a fold differs by it

Start = Callable[[DictConfig], dict[str, float]]


def run_job(cfg: DictConfig, start: Start) -> dict[str, float] | None:
    """Do one run of the sweep that Hydra is at.

    Args:
        cfg: of this run.
        start: trains by a config.

    Returns:
        Its final metrics, or None where it failed.

    Raises:
        KeyboardInterrupt: where somebody stopped it, and so the sweep; the same command goes on.
    """
    hydra: Any = HydraConfig.get()
    plan = Plan.read(hydra.sweep.dir)
    folder = RunFolder(plan.place(hydra.overrides.task))
    number = int(OmegaConf.select(hydra, "job.num") or 0) + 1
    print(f"\nrun {number}{f' of {plan.runs}' if plan.runs else ''}: {folder.path.name}", flush=True)
    cfg.run_dir = str(folder.path)
    error = folder.path / ERROR
    try:
        result = finished(cfg, folder) or start(cfg)
    except StoppedError as stopped:
        print(line(stopped), file=sys.stderr, flush=True)
        raise KeyboardInterrupt from stopped  # Hydra would take any other exception for one run's own
    except Exception as failure:
        if os.environ.get(VARIABLE, "0") not in {"", "0"}:
            traceback.print_exc()
        print(line(failure), file=sys.stderr, flush=True)
        write_text(error, f"{line(failure).removeprefix('error: ')}\n")
        return None
    error.unlink(missing_ok=True)
    return result


def finished(cfg: DictConfig, folder: RunFolder) -> dict[str, float] | None:
    """The metrics of a run that is there already; one that was broken off is set to go on."""
    if not folder.config.exists():
        return None
    stated = cfg.copy()
    make_absolute(stated)
    if changed := differences(read_yaml(folder.config), stated):
        raise UserError(
            f"{folder.path} holds a run of another configuration ({', '.join(changed[:3])}): "
            "name another run_dir, or move it away"
        )
    if folder.metrics_json.exists():
        print(f"done already, in {folder.path}", flush=True)
        metrics: dict[str, float] = json.loads(folder.metrics_json.read_text(encoding="utf-8"))
        return metrics
    if folder.can_go_on:
        cfg.resume = str(folder.path)
    return None


def differences(before: Any, now: DictConfig) -> list[str]:
    """The keys in which two configurations differ."""
    first = dict(_flat(before, "")) if isinstance(before, dict) else {}
    second = _leaves(now)
    settled = _OWN | {"backbone.weights"} if now.pretrain.root is not None else _OWN
    keys = sorted((first.keys() | second.keys()) - settled, key=lambda key: (key.count("."), key))
    keys = [key for key in keys if second.get(key) != AUTO]  # the run decided it
    return [f"{key}: {first.get(key)}, now {second.get(key)}" for key in keys if first.get(key) != second.get(key)]


def _leaves(cfg: Any) -> dict[str, Any]:
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    return dict(_flat(plain, ""))


def _flat(values: dict[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def folders(sweep: str | Path) -> list[Path]:
    """The folders of a sweep's runs, those that failed too, by name."""
    return sorted(path for path in Path(sweep).iterdir() if (path / "config.yaml").exists() or (path / ERROR).exists())
