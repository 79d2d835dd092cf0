"""Ways to draw that the drawn data sets share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Points = NDArray[np.float64]
"""float64 [n, 2], (x, y)."""
Colour = tuple[int, int, int]


def rotation(angle: float) -> Points:
    """A float64 matrix [2, 2]: ``points @ matrix`` are turned by ``angle`` radians, from x towards y."""
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def backdrop(rng: np.random.Generator, ground: Colour, size: tuple[int, int]) -> Image.Image:
    """A ground of ``size`` (width, height) that runs from one colour near ``ground`` to others."""
    corners = np.asarray(ground) + rng.normal(0, 22, (2, 2, 3))
    small = Image.fromarray(np.clip(corners, 0, 255).astype(np.uint8))
    return small.resize(size, Image.Resampling.BILINEAR)


def grain(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """The image with the noise of a camera on it."""
    pixels = np.asarray(image, dtype=np.float32)
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(rng.uniform(1, 8))
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def regular(corners: int, radius: float = 1.0, at: tuple[float, float] = (0.0, 0.0)) -> Points:
    """Corners of a regular polygon around ``at``; with many, a disk."""
    angles = np.arange(corners) * 2 * np.pi / corners
    points: Points = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius + np.asarray(at)
    return points


def rays(corners: int, inner: float) -> Points:
    """Corners of a star whose inner ones lie ``inner`` from the middle, the outer ones 1."""
    points = regular(2 * corners)
    points[1::2] *= inner
    return points


def cross(arm: float) -> Points:
    """Corners of a cross whose arms are ``2 * arm`` wide and reach 1 from the middle."""
    quarter = np.array([(arm, arm), (arm, 1.0), (-arm, 1.0)])
    return np.concatenate([quarter @ np.array([[c, s], [-s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))])
