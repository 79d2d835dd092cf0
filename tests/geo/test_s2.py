"""Cells of S2 against the reference library, where it is slow but right: everywhere on Earth, at every level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import s2sphere
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilevision.geo import s2

# Where mistakes live: poles, antimeridian, equator, the edges and corners of the cube's faces, zeros of both signs.
CORNER = float(np.degrees(np.arctan(np.sqrt(0.5))))
LATITUDES = [90, -90, 0.0, -0.0, 45, -45, CORNER, -CORNER, 89.9999999, -89.9999999, 1e-12, np.nextafter(90, 0)]
LONGITUDES = [180, -180, 0.0, -0.0, 45, 90, 135, -45, -90, -135, 179.9999999, -179.9999999, 1e-12, 22.5]
EDGES = np.array([(north, east) for north in LATITUDES for east in LONGITUDES], dtype=np.float64)

latitudes = st.one_of(st.sampled_from(LATITUDES), st.floats(-90, 90))
longitudes = st.one_of(st.sampled_from(LONGITUDES), st.floats(-180, 180))
levels = st.integers(0, 30)


def reference(latitude: float, longitude: float) -> s2sphere.CellId:
    return s2sphere.CellId.from_lat_lng(s2sphere.LatLng.from_degrees(float(latitude), float(longitude)))


def uniform(count: int, seed: int) -> np.ndarray:
    """Places spread evenly over the sphere, [2, count]."""
    rng = np.random.default_rng(seed)
    return np.stack([np.degrees(np.arcsin(rng.uniform(-1, 1, count))), rng.uniform(-180, 180, count)])


def test_ids_of_places_all_over_the_world_are_those_of_the_reference() -> None:
    places = np.concatenate([EDGES.T, uniform(12_000, 0)], axis=1)
    assert s2.cell_ids(*places).tolist() == [reference(*place).id() for place in places.T]


def test_real_coordinates_too(shared_data: Path) -> None:
    places = np.loadtxt(shared_data / "geo" / "coordinates_100k.csv", delimiter=",", skiprows=1)[::10].T
    ids = s2.cell_ids(*places, level=12)
    assert ids.tolist() == [reference(*place).parent(12).id() for place in places.T]


@settings(max_examples=150, deadline=None)
@given(latitudes, longitudes, levels)
def test_cells_agree_with_the_reference_in_all_that_they_know(north: float, east: float, level: int) -> None:
    theirs = reference(north, east).parent(level)
    ours = s2.cell_ids([north], [east], level)
    assert ours.tolist() == [theirs.id()]
    assert s2.levels(ours).tolist() == [level]
    assert s2.tokens(ours) == [theirs.to_token()]
    assert s2.from_tokens([theirs.to_token()]).tolist() == [theirs.id()]
    first, last = s2.ranges(ours)
    assert (first[0], last[0]) == (theirs.range_min().id(), theirs.range_max().id())
    centre = theirs.to_lat_lng()
    assert np.ravel(s2.centres(ours)) == pytest.approx((centre.lat().degrees, centre.lng().degrees), abs=1e-9)
    if level < 30:
        assert s2.children(ours).tolist() == [child.id() for child in theirs.children()]


@settings(max_examples=100, deadline=None)
@given(latitudes, longitudes, levels, levels)
def test_a_parent_holds_its_place_and_its_children(north: float, east: float, fine: int, coarse: int) -> None:
    fine, coarse = max(fine, coarse), min(fine, coarse)
    cell = s2.cell_ids([north], [east], fine)
    parent = s2.parents(cell, coarse)
    assert parent == s2.cell_ids([north], [east], coarse)
    first, last = s2.ranges(parent)
    assert first <= s2.ranges(cell)[0] <= s2.ranges(cell)[1] <= last
    if fine < 30:
        assert (s2.parents(s2.children(cell), fine) == cell).all()


def test_corners_are_those_of_the_reference_and_more_points_follow_the_sides() -> None:
    ids = s2.cell_ids(*uniform(300, 1), level=6)
    theirs = [s2sphere.Cell(s2sphere.CellId(each)) for each in ids.tolist()]
    want = np.array([[s2sphere.LatLng.from_point(cell.get_vertex(k)) for k in range(4)] for cell in theirs])
    latitude, longitude = s2.corners(ids)
    np.testing.assert_allclose(latitude, np.vectorize(lambda each: each.lat().degrees)(want), atol=1e-9)
    np.testing.assert_allclose(longitude, np.vectorize(lambda each: each.lng().degrees)(want), atol=1e-9)
    assert (s2.corners(ids, points=5)[0][:, ::5] == latitude).all()


def test_areas_fill_the_sphere_and_are_those_of_the_reference() -> None:
    faces = s2.from_tokens(["1", "3", "5", "7", "9", "b"])
    sphere = 4 * np.pi * 6371.0088**2
    for _ in range(4):
        assert s2.areas(faces).sum() == pytest.approx(sphere, rel=1e-12)
        faces = s2.children(faces)
    ids = s2.cell_ids(*uniform(50, 2), level=9)
    theirs = [s2sphere.Cell(s2sphere.CellId(each)).exact_area() * 6371.0088**2 for each in ids.tolist()]
    np.testing.assert_allclose(s2.areas(ids), theirs, rtol=1e-6)
    leaf = s2.areas(s2.cell_ids([48.0], [11.0]))[0]
    assert 0.4e-10 < leaf < 1.2e-10, "a square centimetre or so, in km^2"


def test_full_turns_change_nothing_but_what_is_no_place_is_refused() -> None:
    north, east = uniform(200, 3)
    assert (s2.cell_ids(north, east, 20) == s2.cell_ids(north, east + 360, 20)).mean() > 0.99
    for bad in ((90.5, 0), (np.nan, 0), (0, np.nan), (0, np.inf)):
        with pytest.raises(ValueError, match="latitudes must lie"):
            s2.cell_ids([bad[0]], [bad[1]])
    with pytest.raises(ValueError, match="one of each"):
        s2.cell_ids([1, 2], [1])
    with pytest.raises(ValueError, match="level 31"):
        s2.cell_ids([1], [1], 31)
    with pytest.raises(ValueError, match="coarser"):
        s2.parents(s2.cell_ids([1], [1], 5), 6)
    with pytest.raises(ValueError, match="leaf"):
        s2.children(s2.cell_ids([1], [1]))
    for token in ("", "g", "2", "X", "11111111111111111", "d", "-1"):
        with pytest.raises(ValueError, match="token"):
            s2.from_tokens(["1", token])


def test_no_places_are_no_cells() -> None:
    empty = s2.cell_ids([], [])
    assert empty.shape == (0,)
    assert empty.dtype == np.uint64
    assert s2.children(empty).shape == s2.levels(empty).shape == (0,)
    assert s2.corners(empty, 3)[0].shape == (0, 12)
