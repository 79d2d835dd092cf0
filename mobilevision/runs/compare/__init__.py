"""Finished runs beside each other: a table, accuracy against cost as pictures, and a page to explore."""

from __future__ import annotations

from mobilevision.runs.compare.rows import Row, collect, front
from mobilevision.runs.compare.show import compare, print_rows, write

__all__ = ["Row", "collect", "compare", "front", "print_rows", "write"]
