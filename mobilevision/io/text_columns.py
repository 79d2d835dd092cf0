"""Plain text for a terminal, a file and a page of documentation alike: lines, and tables with straight columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mobilevision.io.printable_text import visible

if TYPE_CHECKING:
    from rich.console import Console


def aligned(rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """Rows of cells as lines with straight columns.

    Args:
        rows: of equal length; the first is perhaps a heading.
        left: so many columns stand to the left, the others, of numbers, to the right.
    """
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def print_lines(lines: Iterable[str], *, style: str | None = None) -> None:
    """Print lines as they are; long ones are not broken, so that commands and paths can be copied."""
    from rich.console import Console

    console = Console(highlight=False)
    for line in lines:
        console.print(line, style=style, soft_wrap=True, markup=False)


def print_paragraph(text: str, *, style: str | None = None) -> None:
    """Print a text in lines of the terminal's width, or of 120 characters."""
    from rich.console import Console

    console = Console(highlight=False)
    console.print("\n".join(textwrap.wrap(text, min(console.width, 120))), style=style, markup=False)


def print_fact(name: str, text: str, *, width: int = 12, console: Console | None = None) -> None:
    """Print a name, in ``width`` characters, and lines of text behind it; nothing where there is no text.

    Long lines are not broken, so that commands and paths can be copied.
    """
    from rich.console import Console

    shown = console or Console(highlight=False)
    for number, line in enumerate(text.splitlines()):
        shown.print(f"{'' if number else name:<{width}}", end="", style="dim", markup=False)
        shown.print(visible(line, keep="\t"), soft_wrap=True, markup=False)


def side(resolution: Sequence[int]) -> str:
    """``224``, or ``192x256`` (height x width) where an image is no square."""
    height, width = resolution
    return f"{height}" if height == width else f"{height}x{width}"
