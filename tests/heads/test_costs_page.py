"""The table of docs/detection.md is what the code counts, and what it counts is the paper's."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_holds_what_is_counted() -> None:
    script = runpy.run_path(str(ROOT / "benchmarks" / "detector_costs.py"))
    assert script["table"]() in (ROOT / "docs" / "detection.md").read_text(encoding="utf-8"), (
        "run: python benchmarks/detector_costs.py --write"
    )


def test_what_is_counted_rounds_to_what_the_paper_prints() -> None:
    script = runpy.run_path(str(ROOT / "benchmarks" / "detector_costs.py"))
    rows = [row for row in script["ROWS"] if row.paper != script["NOT_PRINTED"] and row.outputs == 91]
    assert len(rows) == 3
    for row in rows:
        cost = script["cost_of"](row)
        assert f"{cost.mult_adds / 1e9:.1f} / {cost.parameters / 1e6:.1f}" == row.paper
