"""``mobilevision paper``: every table of arXiv 1704.04861 beside what is counted now."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path

from mobilevision.tools.paper.reading import table, tables

_WIDEST = 120


def paper(*, number: int | None = None, as_json: bool = False, results: str | Path | None = None) -> None:
    """Print the tables.

    Args:
        number: one of them; None for all.
        as_json: print one JSON list instead.
        results: folder in which runs of ours are looked for; None looks nowhere.

    Raises:
        UserError: no such table, or no such folder.
    """
    chosen = tables() if number is None else (table(number),)

    from mobilevision.tools.paper.results import find_results
    from mobilevision.tools.paper.text import WHAT, as_dict, lines_of, text_of

    found = [] if results is None else find_results(results)
    if as_json:
        print(json.dumps([as_dict(each, lines_of(each, found)) for each in chosen], indent=2))
        return
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    for each in chosen:
        print(text_of(each, lines_of(each, found), width=width), flush=True)
    print("\n".join(textwrap.wrap(WHAT, width, break_on_hyphens=False)))
