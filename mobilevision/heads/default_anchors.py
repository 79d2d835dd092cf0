"""The default boxes that the options of a single-shot head describe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from mobilevision.errors import UserError
from mobilevision.ops.anchors import Sizes, default_sizes
from mobilevision.ranges import Items, PositiveFloat

Shape = Annotated[Sequence[PositiveFloat], Items(2, 2)]
"""Width and height, as fractions of the input."""
Anchors = Annotated[Sequence[Annotated[Sequence[Shape], Items(min=1)]], Items(min=1)]


def anchor_sizes(
    maps: int,
    resolution: tuple[int, int],
    *,
    scales: Sequence[float],
    ratios: Sequence[float],
    reduced: bool,
    clip: bool,
    anchors: Anchors | None,
) -> Sizes:
    """Sizes for each map: the given ones, else by rule.

    Args:
        maps: how many the head has.
        resolution: (height, width) of the input in pixels.
        scales: as in :func:`default_sizes`.
        ratios: as in :func:`default_sizes`.
        reduced: as in :func:`default_sizes`.
        clip: as in :func:`default_sizes`.
        anchors: (width, height) of the boxes of each map, as fractions of the input's sides; these win.

    Raises:
        UserError: for another number of maps, or sizes that are none.
    """
    if anchors is None:
        if not ratios or min([*scales, *ratios]) <= 0:
            raise UserError(f"head.scales={list(scales)} head.ratios={list(ratios)}: give numbers above 0")
        try:
            return default_sizes(maps, resolution, scales=scales, ratios=ratios, reduced=reduced, clip=clip)
        except ValueError as error:
            raise UserError(f"head.scales: {error}") from None
    if len(anchors) != maps:
        raise UserError(f"head.anchors: {len(anchors)} lists for {maps} maps at {resolution[0]}x{resolution[1]} pixels")
    for index, shapes in enumerate(anchors):
        if not shapes or any(len(shape) != 2 or min(shape) <= 0 for shape in shapes):
            raise UserError(f"head.anchors[{index}]={list(shapes)}: give [width, height] pairs above 0")
    return [[(float(width), float(height)) for width, height in shapes] for shapes in anchors]
