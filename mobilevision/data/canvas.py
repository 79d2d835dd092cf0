"""Putting a resized picture where its frame says; what stays free is grey."""

from mobilevision.ops.pixels import GREY, on_canvas

__all__ = ["GREY", "on_canvas"]
