"""Great circles: known distances, and no digits lost."""

from __future__ import annotations

import numpy as np
import pytest

from mobilevision.geo.distance import EARTH, RADII, directions, haversine, unit_vectors


def test_known_distances() -> None:
    paris, sydney, quito = (48.8566, 2.3522), (-33.8688, 151.2093), (0.0, -78.5)
    assert haversine(*paris, *sydney) == pytest.approx(16_960, abs=10)
    assert haversine(*quito, 0.0, -77.5) == pytest.approx(np.pi * EARTH / 180, rel=1e-12)
    assert haversine(90, 12, -90, 77) == pytest.approx(np.pi * EARTH, rel=1e-9)
    assert haversine(90, 12, 90, -100) == pytest.approx(0, abs=1e-9), "a pole is one place"
    assert haversine(10, 179.9, 10, -179.9) == pytest.approx(haversine(10, 0, 10, 0.2), rel=1e-9)
    assert RADII == (1, 25, 200, 750, 2500)


def test_float32_comes_in_and_float64_is_computed() -> None:
    near = haversine(np.float32(51.5), np.float32(-0.125), 51.5, -0.125 + 1e-7)
    assert near.dtype == np.float64
    assert near == pytest.approx(1e-7 * np.pi / 180 * EARTH * np.cos(np.radians(51.5)), rel=1e-4)


def test_it_broadcasts_and_keeps_nan() -> None:
    table = haversine(np.zeros((3, 1)), np.arange(3)[:, None], np.zeros(4), np.array([0, 1, 2, np.nan]))
    assert table.shape == (3, 4)
    assert (np.diag(table[:, :3]) == 0).all()
    assert np.isnan(table[:, 3]).all()


def test_vectors_and_back() -> None:
    rng = np.random.default_rng(0)
    north, east = rng.uniform(-90, 90, 500), rng.uniform(-180, 180, 500)
    back = directions(unit_vectors(north, east) * 7)
    np.testing.assert_allclose(back, (north, east), atol=1e-9)
    middle = directions(unit_vectors([10, 10], [179, -179]).mean(axis=1))
    assert middle[0] == pytest.approx(10, abs=0.01)
    assert abs(middle[1]) == pytest.approx(180), "the mean of longitudes would be 0"
