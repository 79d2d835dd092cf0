"""The embedded places: a function of seed, split and index, on land, and with a look that depends on where it is."""

from __future__ import annotations

import numpy as np

from mobilevision.data.synthetic.places import TOWNS, by_the_sea, draw, land, sample, scene, towns
from mobilevision.geo.distance import haversine


def test_photos_are_taken_on_land_and_many_in_towns() -> None:
    spots = sample(np.random.default_rng(0), 20_000)
    away = spots.town < 0
    rows = ((90 - spots.latitude[away]) // 2).astype(int)
    columns = ((spots.longitude[away] + 180) // 2).astype(int) % 180
    assert land()[rows, columns].all()
    assert 0.38 < np.mean(~away) < 0.42
    north, east = (each[spots.town[~away]] for each in towns())
    assert haversine(spots.latitude[~away], spots.longitude[~away], north, east).max() < 30
    assert (np.abs(spots.longitude) <= 180).all()
    assert np.bincount(spots.town[~away]).argmax() == 0
    share = np.mean((spots.latitude[away] > 35) & (spots.longitude[away] > -12) & (spots.longitude[away] < 35))
    assert 0.2 < share < 0.45, "Europe is photographed most"
    assert land()[20, 95]
    assert not land()[45, 75]  # Germany, and the Atlantic


def test_the_sea_lies_at_coasts() -> None:
    assert by_the_sea(40.5, -74.0)
    assert by_the_sea(-77.0, 179.9)
    assert not by_the_sea(50.0, 85.0)


def test_a_place_says_what_its_climate_is() -> None:
    rng = np.random.default_rng(0)
    south, north = ([scene(rng, latitude, 10.0) for _ in range(200)] for latitude in (-40.0, 40.0))
    assert all(each.faced for each in south)
    assert not any(each.faced for each in north)
    polar, equator = ([scene(rng, latitude, 20.0) for _ in range(200)] for latitude in (68.0, 0.0))
    assert np.mean([each.warmth for each in polar]) < 0 < 25 < np.mean([each.warmth for each in equator])
    assert max(each.sun for each in polar) < 50 < 60 < min(each.sun for each in equator)
    assert np.mean([scene(rng, 23.0, 2.0).dryness for _ in range(50)]) > 0.8
    walls = {longitude: scene(rng, 45.0, longitude).wall for longitude in (-150.0, -30.0, 90.0)}
    assert all(abs((wall - longitude / 360 + 0.5) % 1 - 0.5) < 0.1 for longitude, wall in walls.items())


def test_towns_have_landmarks_that_can_be_told_apart() -> None:
    seen = [np.asarray(draw(np.random.default_rng(3), 48.0, 8.0, town, 64), dtype=int) for town in (-1, *range(TOWNS))]
    for first in range(len(seen)):
        for second in range(first):
            assert (np.abs(seen[first] - seen[second]).max(axis=2) > 25).sum() > 20, (first, second)
