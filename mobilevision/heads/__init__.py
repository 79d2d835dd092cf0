"""Heads: what turns a backbone's features into a task's raw outputs."""

from mobilevision.heads.head import Head
from mobilevision.heads.linear import LinearHead

__all__ = ["Head", "LinearHead"]
