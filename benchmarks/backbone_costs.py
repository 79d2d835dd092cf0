"""The table of docs/backbones.md: what every backbone costs, counted, beside what was published.

python benchmarks/backbone_costs.py            # print it
python benchmarks/backbone_costs.py --write    # put it into docs/backbones.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from mobilevision.backbones import Backbone, mobilenet_v1, mobilenet_v2, mobilenet_v3, mobilenet_v4
from mobilevision.cost import count
from mobilevision.heads import LinearHead
from mobilevision.tools.costs.counting import Deployed, spec_of

PAGE = Path(__file__).resolve().parents[1] / "docs" / "backbones.md"
MARKED = re.compile(r"(<!-- costs -->\n).*?(<!-- end -->)", re.DOTALL)


class Row(NamedTuple):
    """One line of the table; published figures as printed, millions of mult-adds and of parameters."""

    what: str
    make: Callable[[], Backbone]
    side: int
    published: str
    classes: int = 1000


def v1(what: str, side: int, published: str, classes: int = 1000, **arguments: object) -> Row:
    """A row of arXiv 1704.04861."""
    return Row(what, partial(mobilenet_v1, **arguments), side, published, classes)  # type: ignore[arg-type]


def v4(variant: str, side: int, published: str) -> Row:
    """A row of arXiv 2404.10518."""
    return Row(f"V4 {variant}", partial(mobilenet_v4, variant=variant), side, published)


ROWS = [
    v1("V1 1.0", 224, "569 / 4.2"),
    v1("V1 0.75", 224, "325 / 2.6", width=0.75),
    v1("V1 0.5", 224, "149 / 1.3", width=0.5),
    v1("V1 0.25", 224, "41 / 0.5", width=0.25),
    v1("V1 1.0", 192, "418 / 4.2"),
    v1("V1 1.0", 160, "290 / 4.2"),
    v1("V1 1.0", 128, "186 / 4.2"),
    v1("V1 0.5", 160, "76 / 1.32", width=0.5),
    v1("V1 1.0 `conv=full`", 224, "4866 / 29.3", conv="full"),
    v1("V1 1.0 `depth=shallow`", 224, "307 / 2.9", depth="shallow"),
    v1("V1 1.0, Stanford Dogs", 224, "569 / 3.3", 120),
    v1("V1 0.75, Stanford Dogs", 224, "325 / 1.9", 120, width=0.75),
    v1("V1 1.0, Stanford Dogs", 192, "418 / 3.3", 120),
    v1("V1 0.75, Stanford Dogs", 192, "239 / 1.9", 120, width=0.75),
    v1("V1 1.0, PlaNet's cells", 224, "580 / 13", 10_000),
    *(
        Row(f"V2 {width}", partial(mobilenet_v2, width=width), 224, published)
        for width, published in (
            (1.4, "582 / 6.06"),
            (1.0, "300 / 3.47"),
            (0.75, "209 / 2.61"),
            (0.5, "97 / 1.95"),
            (0.35, "59 / 1.66"),
        )
    ),
    *(
        Row(f"V3 {size} {width}", partial(mobilenet_v3, size=size, width=width), 224, published)
        for size, width, published in (
            ("large", 1.0, "219 / 5.4"),
            ("large", 0.75, "155 / 4.0"),
            ("small", 1.0, "56 / 2.5"),
            ("small", 0.75, "44 / 2.4"),
        )
    ),
    v4("conv_small", 224, "200 / 3.8"),
    v4("conv_medium", 256, "1000 / 9.2"),
    v4("conv_large", 384, "5900 / 31"),
    v4("hybrid_medium", 256, "1200 / 10.5"),
    v4("hybrid_large", 384, "7200 / 35.9"),
]


def table() -> str:
    """The table in Markdown; nothing in it takes memory, for all of it happens on the meta device."""
    lines = ["| backbone | side | classes | mult-adds | parameters | published, M |", "|---|---|---|---|---|---|"]
    for row in ROWS:
        with torch.device("meta"):
            body = row.make()
            data = spec_of("class", classes=row.classes, channels=3, resolution=(row.side, row.side))
            model = Deployed(body, LinearHead(backbone=body.spec, data=data))
        cost = count(model, torch.empty(1, 3, row.side, row.side, device="meta"))
        counted = f"{cost.mult_adds:,} | {cost.parameters:,}"
        lines.append(f"| {row.what} | {row.side} | {row.classes} | {counted} | {row.published} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(MARKED.sub(lambda found: found[1] + table() + found[2], text), encoding="utf-8")
    else:
        print(table(), end="")
