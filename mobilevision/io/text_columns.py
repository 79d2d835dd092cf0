"""Tables of plain text, which a terminal, a file and a page of documentation show alike."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], *, left: int = 1, gap: int = 2) -> list[str]:
    """Rows of cells as lines with straight columns.

    Args:
        rows: of equal length; the first is perhaps a heading.
        left: so many columns stand to the left, the others, of numbers, to the right.
        gap: spaces between two columns.
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
        lines.append((" " * gap).join(cells).rstrip())
    return lines
