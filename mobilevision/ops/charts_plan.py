"""What fits a budget, as a picture. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from mobilevision.ops.charts import blank, picture
from mobilevision.ops.charts_latency import plain_ticks

_COLOURS = ("#2f6fde", "#e08a1e", "#2e9e6b", "#c2477f", "#7a5cd6", "#5f6b76", "#b0892e", "#1f9bb5")
_MANY = 30  # more of the front than this are not named


@dataclass(frozen=True)
class Place:
    """A model.

    Attributes:
        mult_adds: of one picture.
        params: parameters.
        group: what is coloured alike.
        name: written beside it where it is recommended.
        fits: whether it keeps all bounds.
        kept: whether it is recommended.
    """

    mult_adds: float
    params: float
    group: str
    name: str
    fits: bool
    kept: bool


def budget_chart(
    places: Sequence[Place], *, mult_adds: float | None, params: float | None, title: str = ""
) -> Image.Image:
    """Draw parameters over mult-adds, both logarithmic: what fits in colour, what is recommended ringed and named.

    Args:
        places: all models.
        mult_adds: the bound, drawn as a line; None: there is none.
        params: likewise.
        title: above it.
    """
    figure, axes = blank(7.6, 5.4)
    axes.plot(*_at([place for place in places if not place.fits]), "o", color="#c9ced4", ms=4, label="beyond")
    for number, group in enumerate(dict.fromkeys(place.group for place in places)):
        mine = [place for place in places if place.group == group and place.fits]
        colour = _COLOURS[number % len(_COLOURS)]
        if mine:
            axes.plot(*_at(mine), "o", color=colour, ms=5, label=group)
    kept = [place for place in places if place.kept]
    ring = {"mfc": "none", "mec": "#1d2733", "ms": 9, "label": "kept"}
    axes.plot(*_at(kept), "o", **ring)
    if len(kept) <= _MANY:
        for place in kept:
            at = (place.mult_adds / 1e6, place.params / 1e6)
            axes.annotate(place.name, at, (6, 4), textcoords="offset points", fontsize=6)
    for bound, draw in ((mult_adds, axes.axvline), (params, axes.axhline)):
        if bound is not None:
            draw(bound / 1e6, color="#b3261e", lw=1, ls="--")
    axes.set(xscale="log", yscale="log", xlabel="million mult-adds a picture", ylabel="million parameters")
    plain_ticks(axes)
    axes.grid(alpha=0.25, which="both")
    axes.set_title(title, fontsize=9)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return picture(figure)


def _at(places: Sequence[Place]) -> tuple[list[float], list[float]]:
    """Where they are drawn, in millions."""
    return [place.mult_adds / 1e6 for place in places], [place.params / 1e6 for place in places]
