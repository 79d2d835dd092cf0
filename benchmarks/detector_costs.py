"""The table of docs/detection.md: what the detectors cost, counted, beside the paper's Table 13.

python benchmarks/detector_costs.py            # print it
python benchmarks/detector_costs.py --write    # put it into docs/detection.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mobilevision.backbones import mobilenet_v1, mobilenet_v2, mobilenet_v3
from mobilevision.cost import Cost, count
from mobilevision.heads import DetectionHead, FasterRCNNFPNHead, FasterRCNNHead, PicoDetHead, SSDHead, SSDLiteHead
from mobilevision.spec import DataSpec
from mobilevision.tools.costs.counting import Deployed

PAGE = Path(__file__).resolve().parents[1] / "docs" / "detection.md"
MARKED = re.compile(r"(<!-- costs -->\n).*?(<!-- end -->)", re.DOTALL)
NOT_PRINTED = "-"


class Row(NamedTuple):
    """One line of the table; the paper's figures as printed, G mult-adds and M parameters."""

    what: str
    head: type[DetectionHead]
    side: int
    outputs: int
    paper: str = NOT_PRINTED
    make: Any = mobilenet_v1
    body: Mapping[str, Any] = {}


ROWS = [
    Row("SSD 300, V1 1.0", SSDHead, 300, 91, "1.2 / 6.8"),
    Row("SSD 300, V1 1.0", SSDHead, 300, 81, "1.2 / 6.8"),
    Row("Faster R-CNN 300, V1 1.0", FasterRCNNHead, 300, 91, "25.2 / 6.1"),
    Row("Faster R-CNN 300, V1 1.0", FasterRCNNHead, 300, 81, "25.2 / 6.1"),
    Row("Faster R-CNN 600, V1 1.0", FasterRCNNHead, 600, 91, "30.5 / 6.1"),
    Row("Faster R-CNN 600, V1 1.0", FasterRCNNHead, 600, 81, "30.5 / 6.1"),
    Row("SSD 300, V1 0.5", SSDHead, 300, 81, body={"width": 0.5}),
    Row("SSDLite 320, V2 1.0", SSDLiteHead, 320, 81, make=mobilenet_v2),
    Row("SSDLite 320, V3 large", SSDLiteHead, 320, 81, make=mobilenet_v3, body={"size": "large"}),
    Row("PicoDet 320, V1 0.5", PicoDetHead, 320, 81, body={"width": 0.5}),
    Row("PicoDet 320, V2 1.0", PicoDetHead, 320, 81, make=mobilenet_v2),
    Row("PicoDet 320, V3 large", PicoDetHead, 320, 81, make=mobilenet_v3, body={"size": "large"}),
    Row("Faster R-CNN FPN 320, V2 1.0", FasterRCNNFPNHead, 320, 81, make=mobilenet_v2),
]


def cost_of(row: Row) -> Cost:
    """Count a row for one image; in the widest case background stands for an output without a class."""
    classes = tuple(map(str, range(row.outputs - 1)))
    with torch.device("meta"):
        body = row.make(**row.body)
        spec = DataSpec(kind="boxes", classes=classes, channels=3, resolution=(row.side, row.side))
    return count(
        Deployed(body, row.head(backbone=body.spec, data=spec)),
        torch.empty(1, 3, row.side, row.side, device="meta"),
    )


def table() -> str:
    """The table in Markdown."""
    lines = [
        "| detector | class outputs | mult-adds | parameters | paper, G / M |",
        "|---|---|---|---|---|",
    ]
    for row in ROWS:
        cost = cost_of(row)
        lines.append(f"| {row.what} | {row.outputs} | {cost.mult_adds:,} | {cost.parameters:,} | {row.paper} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(MARKED.sub(lambda found: found[1] + table() + found[2], text), encoding="utf-8")
    else:
        print(table(), end="")
