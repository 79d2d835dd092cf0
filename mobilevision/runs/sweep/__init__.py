"""Sweeps (``-m``): checked as a whole, run one by one or side by side, and summed up in a table and figures."""

from __future__ import annotations

from mobilevision.runs.sweep.check import check_sweep
from mobilevision.runs.sweep.jobs import run_job
from mobilevision.runs.sweep.summary import sum_up

__all__ = ["check_sweep", "run_job", "sum_up"]
