"""The table of docs/backbones.md is what the code counts."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_holds_what_is_counted() -> None:
    script = runpy.run_path(str(ROOT / "benchmarks" / "backbone_costs.py"))
    assert script["table"]() in (ROOT / "docs" / "backbones.md").read_text(encoding="utf-8"), (
        "run: python benchmarks/backbone_costs.py --write"
    )
