"""Cells by density: every photo in one cell at most, sizes within bounds, nothing lost unseen; real coordinates too."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilevision.errors import UserError
from mobilevision.geo import s2
from mobilevision.geo.distance import directions, haversine, unit_vectors
from mobilevision.geo.partition import Cells, adaptive, fixed, oracle, scaled


def cities(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Places in clusters, some at the poles, across the antimeridian, and many exactly the same."""
    rng = np.random.default_rng(seed)
    north = np.array([90, -90, 0, 10, 48.85, -33.9, 60])
    east = np.array([0, 77, 0, 180, 2.35, 18.4, -179.99])
    which = rng.integers(0, len(north), count)
    spread = rng.choice([0, 1e-4, 0.5, 8], count)
    latitude = np.clip(north[which] + rng.normal(size=count) * spread, -90, 90)
    return latitude, (east[which] + rng.normal(size=count) * spread + 180) % 360 - 180


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 400),
    st.integers(0, 9),
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(0, 30),
    st.integers(0, 30),
)
def test_what_holds_of_every_partition(n: int, seed: int, most: int, least: int, coarsest: int, finest: int) -> None:
    most, least = max(most, least), min(most, least)
    coarsest, finest = min(coarsest, finest), max(coarsest, finest)
    places = cities(n, seed)
    cells = adaptive(*places, most=most, least=least, coarsest=coarsest, finest=finest)
    levels, index = s2.levels(cells.ids), cells.assign(*places)
    assert ((levels >= coarsest) & (levels <= finest)).all()
    assert (cells.counts >= least).all()
    assert (cells.counts[levels < finest] <= most).all()
    np.testing.assert_array_equal(np.bincount(index[index >= 0], minlength=len(cells)), cells.counts)
    everything = adaptive(*places, most=most, least=1, coarsest=coarsest, finest=finest)
    assert everything.counts.sum() == n, "with least=1 no photo is dropped"
    kept = np.isin(everything.ids, cells.ids)
    assert (everything.counts[~kept] < least).all(), "only cells with too few were dropped"


def test_a_cell_is_cut_only_where_it_held_too_many() -> None:
    places = cities(3000)
    cells = adaptive(*places, most=100, least=1, finest=20)
    leaves = s2.cell_ids(*places)
    for cell, level in zip(cells.ids, s2.levels(cells.ids), strict=True):
        if level > 0:
            parent = s2.parents([cell], int(level) - 1)
            first, last = s2.ranges(parent)
            assert ((leaves >= first) & (leaves <= last)).sum() > 100


def test_the_centre_is_the_mean_of_the_photos_and_lies_at_most_a_cell_away() -> None:
    places = cities(2000)
    cells = fixed(*places, level=4)
    index = cells.assign(*places)
    for cell in range(len(cells)):
        mean = directions(unit_vectors(*(each[index == cell] for each in places)).mean(axis=1))
        assert haversine(*mean, cells.latitude[cell], cells.longitude[cell]) < 1e-6
    assert haversine(places[0], places[1], cells.latitude[index], cells.longitude[index]).max() < 1200


def test_one_photo_is_its_own_centre_also_at_the_ends_of_the_world() -> None:
    for place in ((90.0, 0.0), (-90.0, 0.0), (12.5, 180.0), (12.5, -180.0), (0.0, 0.0)):
        cells = adaptive([place[0]] * 5, [place[1]] * 5, most=2, least=1, finest=30)
        assert cells.counts.tolist() == [5], "duplicates stop at the finest level"
        assert s2.levels(cells.ids).tolist() == [30]
        assert haversine(*place, cells.latitude, cells.longitude)[0] < 1e-6
        assert cells.assign([place[0]], [place[1]]).tolist() == [0]


def test_places_outside_all_cells_are_in_none() -> None:
    cells = fixed([48.85] * 3, [2.35] * 3, level=8)
    assert cells.assign([48.85, -33.9, 90], [2.35, 18.4, 0]).tolist() == [0, -1, -1]
    assert cells.locate(s2.parents(cells.ids, 3)).tolist() == [-1], "a larger cell is not inside"
    none = adaptive([1, 2], [1, 2], most=10, least=10)
    assert len(none) == 0
    assert none.assign([1], [1]).tolist() == [-1]
    assert len(adaptive([], [], most=1, least=1)) == 0


def test_the_oracle_counts_those_without_a_cell_as_missed() -> None:
    cells = fixed([48.85, 48.85, -33.9], [2.35, 2.35, 18.4], level=10, least=2)
    got = oracle(cells, [48.85, 48.95, -33.9, 48.85], [2.35, 2.35, 18.4, 2.36])
    assert list(got) == [1, 25, 200, 750, 2500]
    assert got[1] == 0.5
    assert got[2500] == 0.5 if cells.assign([48.95], [2.35])[0] < 0 else 0.75
    assert np.isnan(oracle(cells, [], [])[1])


def test_real_coordinates_give_no_worse_an_oracle_with_more_cells(shared_data: Path) -> None:
    places = np.loadtxt(shared_data / "geo" / "coordinates_100k.csv", delimiter=",", skiprows=1).T
    few, many = (adaptive(*places, most=most, least=1) for most in (1000, 100))
    assert len(many) > 4 * len(few)
    coarse, fine = oracle(few, *places), oracle(many, *places)
    assert all(fine[radius] >= coarse[radius] for radius in coarse)
    assert fine[200] > 0.9


def test_many_photos_need_little_memory() -> None:
    places = cities(500_000)
    tracemalloc.start()
    try:
        adaptive(*places, most=1000, least=5)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak / 500_000 < 180, "bytes a photo: ten million in less than 2 GB"


def test_settings_that_cannot_be() -> None:
    for most, least in ((5, 6), (5, 0)):
        with pytest.raises(ValueError, match="least"):
            adaptive([1], [1], most=most, least=least)
    with pytest.raises(ValueError, match="levels"):
        adaptive([1], [1], most=5, least=1, coarsest=9, finest=8)
    with pytest.raises(ValueError, match="latitudes"):
        adaptive([91], [1], most=5, least=1)


def test_planets_settings_shrink_with_the_root_of_the_number() -> None:
    assert scaled(91_000_000) == (10_000, 50)
    assert scaled(100_000) == (331, 3)
    assert scaled(1) == (10, 3)


def test_cells_survive_a_file() -> None:
    cells = adaptive(*cities(2000), most=50, least=2)
    back = Cells.from_dict(json.loads(json.dumps(cells.to_dict())))
    assert (back.ids == cells.ids).all()
    assert (back.counts == cells.counts).all()
    assert haversine(back.latitude, back.longitude, cells.latitude, cells.longitude).max() < 1e-4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "other"}, "not a file of cells"),
        ({"version": 9}, "version 9"),
        ({"counts": None}, "damaged"),
        ({"counts": [1]}, "differ in number"),
        ({"tokens": ["1", "x"]}, "'x' is not the token"),
        ({"tokens": ["3", "1"]}, "ascending"),
        ({"tokens": ["1", "14"]}, "overlap"),
        ({"latitude": [0, 95]}, "not on Earth"),
        ({"longitude": [0, float("nan")]}, "not on Earth"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(change: dict[str, object], words: str) -> None:
    good = fixed([0, 0], [0, 90], level=0).to_dict()
    with pytest.raises(UserError, match=words) as error:
        Cells.from_dict(good | change, source="my.json")
    assert str(error.value).startswith("my.json: ")
    lacking = {key: value for key, value in good.items() if key != "tokens"}
    with pytest.raises(UserError, match="'tokens' is missing"):
        Cells.from_dict(lacking)
    with pytest.raises(UserError, match="not a file of cells"):
        Cells.from_dict([1, 2])
