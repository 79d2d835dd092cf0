"""report.html: one page that holds everything a run came to, readable in any browser, without a network."""

from __future__ import annotations

from pathlib import Path

from mobilevision.runs.folder import RunFolder, write_text
from mobilevision.runs.report.page import collect

__all__ = ["write_report"]


def write_report(folder: RunFolder) -> Path:
    """Make ``report.html`` from what lies in the run folder; a missing part is left out.

    Pictures, charts, style and script are inside the page: nothing is fetched, and the file can be sent as it is.

    Args:
        folder: the run's.

    Returns:
        The page's file.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent)
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    write_text(folder.report, pages.get_template("page.html.j2").render(collect(folder)))
    return folder.report
