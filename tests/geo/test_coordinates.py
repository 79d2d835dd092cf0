"""Coordinates as people hand them over."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mobilevision.geo.coordinates import check, find_columns, is_header, numbers, wrapped


def test_text_becomes_degrees_and_what_is_no_number_is_told() -> None:
    values, troubles = numbers(["48.85", " -3 ", "", "NaN", "n/a", "48,85", "48°51'", "1,234.5"])
    assert values[:2].tolist() == [48.85, -3]
    assert np.isnan(values[2:]).all()
    assert [each.position for each in troubles] == [5, 6, 7]
    assert troubles[0].what == "'48,85' has a decimal comma"
    assert troubles[0].fix == "write 48.85"
    assert "decimal degrees" in troubles[1].fix
    assert numbers(["1", "nan"])[1] == []


def test_every_place_is_usable_or_counted() -> None:
    found = check([48, np.nan, 0, 91, 12, 5, np.inf, 0], [2, 3, 0, 4, 361, 200, 1, -0.0])
    assert found.usable.tolist() == [True, False, False, False, False, True, False, False]
    assert (found.absent.tolist(), found.origin.tolist(), found.beyond.tolist()) == ([1, 6], [2, 7], [3, 4])
    assert [each.position for each in found.troubles()] == [1, 2, 3, 4, 6, 7]
    assert [each.what for each in found.troubles()][2:4] == ["latitude 91", "longitude 361"]
    assert len(found.counted()) == 3
    assert found.swapped == ""
    assert check([], []).counted() == []


def test_swapped_columns_are_seen_but_a_few_slips_are_not_taken_for_it(shared_data: Path) -> None:
    north, east = np.loadtxt(shared_data / "geo" / "coordinates_100k.csv", delimiter=",", skiprows=1)[:5000].T
    assert check(north, east).swapped == ""
    assert "seem swapped" in check(east, north).swapped
    assert "none would" in check(east, north).swapped
    slips = north.copy()
    slips[:20] = 95.0
    assert check(slips, east).swapped == ""
    europe = (north > 35) & (north < 70) & (east > -10) & (east < 30)
    assert check(east[europe], north[europe]).swapped == "", "nothing tells it there"


def test_longitudes_of_both_customs_are_the_same_place() -> None:
    assert wrapped([200, 360, 180, -180, 179.5]).tolist() == [-160, 0, 180, -180, 179.5]


def test_columns_by_their_usual_names() -> None:
    assert find_columns(["id", "LAT", "LON"]) == (1, 2)
    assert find_columns(["Longitude (deg)", "GPS Latitude"]) == (1, 0)
    assert find_columns(["path", "lat", "lng"]) == (1, 2)
    assert find_columns(["y", "x"]) == (0, 1)
    assert find_columns(["a", "b"]) == (None, None)
    assert find_columns(["a", "b"], latitude="B", longitude=0) == (1, 0)
    assert find_columns(["a", "b"], latitude=5, longitude="c") == (None, None)
    assert is_header(["lat", "lon"])
    assert not is_header(["48.5", "2,3"])
