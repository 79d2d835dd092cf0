"""An image beside a small map of where it was taken, or may have been. Pure functions, Pillow only."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, final

import numpy as np
from PIL import Image, ImageDraw

from mobilevision.visualization.draw import BAD, GOOD, INK, MUTED, NEUTRAL, PAPER, cut, font, to_image
from mobilevision.visualization.world_map import LAND, SEA, SHORE, WORLD, Window, copies, great_circle, shapes

if TYPE_CHECKING:
    from numpy.typing import NDArray

Place = tuple[float, float]
"""Latitude and longitude in degrees."""
_WIDTH, _LINE = 520, 22  # pixels
_NEAR = 750.0  # km: the right country
_FAINT, _STRONG = np.array([255, 237, 160]), np.array([189, 0, 38])


@final
class Area(NamedTuple):
    """A cell of the map: its corners, [P] degrees, and its probability."""

    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    probability: float


def located(
    pixels: NDArray[np.uint8],
    *,
    answer: Place,
    candidates: Sequence[tuple[Place, float]],
    areas: Sequence[Area] = (),
    truth: Place | None = None,
    distance: float | None = None,
    window: Window = WORLD,
) -> Image.Image:
    """An image with a map on its right: probabilities, the answer (red), the truth (green) and the way between them.

    Args:
        pixels: uint8 [height, width, channels].
        answer: what the model says.
        candidates: places with their probabilities, most probable first.
        areas: cells to colour by probability.
        truth: where it was taken; None where nobody knows.
        distance: km between answer and truth.
        window: the part of Earth to show.
    """
    photo = to_image(pixels, at_least=224)
    chart = _map(answer, candidates, areas, truth, window)
    lines = _lines(answer, candidates, truth, distance)
    height = max(photo.height, chart.height + _LINE * len(lines) + 8)
    sheet = Image.new("RGB", (photo.width + chart.width, height), PAPER)
    sheet.paste(photo, (0, (height - photo.height) // 2))
    sheet.paste(chart, (photo.width, 0))
    draw, letters = ImageDraw.Draw(sheet), font(14)
    for number, (text, value, colour) in enumerate(lines):
        middle = chart.height + 4 + _LINE * number + _LINE // 2
        draw.rectangle((photo.width + 8, middle - 7, photo.width + 13, middle + 7), fill=colour)
        ink = INK if colour != NEUTRAL else MUTED
        draw.text((photo.width + 22, middle), cut(text, letters, chart.width - 120), ink, letters, anchor="lm")
        draw.text((sheet.width - 8, middle), value, ink, letters, anchor="rm")
    return sheet


def words(place: Place) -> str:
    """``48.86 N, 2.35 E``."""
    north, east = place
    return f"{abs(north):.2f} {'N' if north >= 0 else 'S'}, {abs(east):.2f} {'E' if east >= 0 else 'W'}"


def _lines(
    answer: Place, candidates: Sequence[tuple[Place, float]], truth: Place | None, distance: float | None
) -> list[tuple[str, str, str]]:
    """(text, number, colour) of every line under the map."""
    off = "" if distance is None else f"{distance:,.0f} km away" if distance >= 10 else f"{distance:.1f} km away"
    colour = NEUTRAL if distance is None else GOOD if distance <= _NEAR else BAD
    lines = [(f"answer {words(answer)}", off, BAD if distance is None else colour)]
    if truth is not None:
        lines.append((f"truth {words(truth)}", "", GOOD))
    return lines + [(words(place), f"{probability:.2f}", NEUTRAL) for place, probability in candidates]


def _map(
    answer: Place,
    candidates: Sequence[tuple[Place, float]],
    areas: Sequence[Area],
    truth: Place | None,
    window: Window,
) -> Image.Image:
    chart = _ground(window).copy()
    draw = ImageDraw.Draw(chart, "RGBA")
    most = max((area.probability for area in areas), default=1.0)
    for area in sorted(areas, key=lambda each: each.probability):
        share = area.probability / most
        colour = (*(_FAINT + (_STRONG - _FAINT) * share).astype(int).tolist(), 110 + int(100 * share))
        for shape in shapes(area.latitude[None], area.longitude[None])[0]:
            draw.polygon(_pixels(shape, window, chart.height), fill=colour)
    if truth is not None:
        for line in copies(great_circle(np.array(truth), np.array(answer))):
            draw.line(_pixels(line, window, chart.height), fill=(57, 66, 78, 255), width=2)
    for place, probability in reversed(candidates):
        _dot(draw, place, window, chart.height, 2 + 5 * probability**0.5, (240, 140, 40, 230))
    _dot(draw, answer, window, chart.height, 4.5, (198, 47, 59, 255))
    if truth is not None:
        _dot(draw, truth, window, chart.height, 4.5, (31, 138, 76, 255))
    return chart


@lru_cache(maxsize=8)
def _ground(window: Window) -> Image.Image:
    """Land and water, drawn once for all images."""
    height = min(_WIDTH, round(_WIDTH * (window.north - window.south) / (window.width * window.narrowing)))
    chart = Image.new("RGB", (_WIDTH, height), SEA)
    draw = ImageDraw.Draw(chart)
    for outline in window.outlines():
        points = _pixels(np.stack([outline.longitude, outline.latitude], axis=1), window, height)
        draw.polygon(points, fill=LAND if outline.land else SEA, outline=SHORE)
    return chart


def _pixels(points: NDArray[np.float64], window: Window, height: int) -> list[tuple[float, float]]:
    """Pixels of (longitude, latitude) [P, 2]."""
    x = (points[:, 0] - window.west) / window.width * _WIDTH
    y = (window.north - points[:, 1]) / (window.north - window.south) * height
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _dot(
    draw: ImageDraw.ImageDraw,
    place: Place,
    window: Window,
    height: int,
    radius: float,
    colour: tuple[int, int, int, int],
) -> None:
    ((x, y),) = _pixels(np.array([[place[1], place[0]]]), window, height)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour, outline=(255, 255, 255, 255))
