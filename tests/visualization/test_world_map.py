"""World maps: shapes across the antimeridian and around the poles, land under places, and maps without land."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageChops

from mobilevision.visualization import coast, world_map


def box(south: float, north: float, west: float, east: float) -> tuple[np.ndarray, np.ndarray]:
    return np.array([[south, south, north, north]], dtype=float), np.array([[west, east, east, west]], dtype=float)


def area(shape: np.ndarray) -> float:
    """Square degrees inside, by the shoelace formula."""
    x, y = shape.T
    return abs(float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())) / 2


def test_a_shape_within_the_map_stays_as_it_is() -> None:
    found, rows = world_map.shapes(*box(10, 20, 30, 50))
    assert rows.tolist() == [0]
    assert found[0].tolist() == [[30, 10], [50, 10], [50, 20], [30, 20]]


def test_a_shape_across_the_antimeridian_comes_at_both_sides_and_not_across_the_whole_map() -> None:
    found, rows = world_map.shapes(*box(10, 20, 170, -175))
    assert rows.tolist() == [0, 0]
    assert sorted((shape[:, 0].min(), shape[:, 0].max()) for shape in found) == [(-190, -175), (170, 185)]
    assert [area(shape) for shape in found] == [150, 150]


@pytest.mark.parametrize("side", [1, -1])
def test_a_shape_around_a_pole_fills_the_map_up_to_its_edge(side: int) -> None:
    east = np.linspace(-180, 180, 8, endpoint=False)[None]
    shape = world_map.shapes(np.full_like(east, 60.0 * side), east)[0][0]
    assert area(shape) == pytest.approx(360 * 30)
    assert shape[-1, 1] == 90 * side


def test_a_corner_on_a_pole_becomes_an_edge_of_the_map() -> None:
    found, _ = world_map.shapes(np.array([[40.0, 40, 90]]), np.array([[10.0, 100, -77]]))
    assert area(found[0]) == pytest.approx(90 * 50), "a triangle with its tip on the pole is a rectangle"


def test_the_shortest_way() -> None:
    way = world_map.great_circle(np.array([60.0, 170]), np.array([60.0, -170]))
    assert way[0].tolist() == pytest.approx([170, 60])
    assert way[-1].tolist() == pytest.approx([190, 60]), "over the antimeridian, unwrapped"
    assert way[:, 1].max() > 60, "it bends towards the pole"
    assert len(world_map.copies(way)) == 2
    same = world_map.great_circle(np.array([1.0, 2]), np.array([1.0, 2]))
    np.testing.assert_allclose(same, np.tile([2.0, 1], (40, 1)))
    assert np.isfinite(world_map.great_circle(np.array([0.0, 0]), np.array([0.0, 180]))).all()


def test_land_is_where_land_is() -> None:
    assert coast.installed()
    found = coast.outlines()
    assert found[0].land
    assert sum({each.area for each in found if each.land}) == pytest.approx(1.48e8, rel=0.03), (
        "km^2; what the antimeridian cuts comes twice"
    )
    assert len(coast.outlines(True, 20.0)) > 3 * len(found)
    image = np.asarray(world_map.prediction_map(([0.0], [0.0]), ([0.0], [179.0])).convert("RGB"), dtype=int)
    land = (np.abs(image - (0xDC, 0xD9, 0xD0)).sum(axis=2) < 6).mean()
    assert 0.2 < land < 0.5, "the land of a plate carree, Antarctica stretched"


def test_without_the_package_a_map_has_no_land_and_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = box(10, 20, 30, 50)
    full = world_map.cell_map(*cells, [1.0])
    coast.outlines.cache_clear()
    monkeypatch.setattr(coast, "_folder", lambda: None)
    try:
        assert coast.outlines() == ()
        figure, axes = world_map.base()
        assert coast.ABSENT in [text.get_text() for text in axes.texts]
        bare = world_map.cell_map(*cells, [1.0])
    finally:
        coast.outlines.cache_clear()
    assert ImageChops.difference(full, bare.resize(full.size)).getbbox() is not None
    assert figure is not None


def test_a_missing_namespace_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(coast, "find_spec", gone)
    assert not coast.installed()


def test_a_window_follows_the_places() -> None:
    assert world_map.around(([], [])) == world_map.WORLD
    assert world_map.around(([0, 1], [-100, 100])) == world_map.WORLD
    window = world_map.around(([46, 48], [6, 10]))
    assert window.south < 46 < 48 < window.north
    assert window.west < 6 < 10 < window.east
    assert window.width < 12
    assert 0 < world_map.around(([48.0], [2.0])).width < 3


def differs(first: Image.Image, second: Image.Image) -> bool:
    return first.size != second.size or ImageChops.difference(first, second).getbbox() is not None


def test_every_map_draws_what_it_was_given() -> None:
    north, east = (np.concatenate(each) for each in zip(box(40, 50, 0, 10), box(-30, -20, 140, 150), strict=True))
    one = world_map.cell_map(north, east, [0.9, 0.1])
    assert differs(one, world_map.cell_map(north, east, [0.1, 0.9]))
    assert differs(one, world_map.cell_map(north[:1], east[:1], [0.9], title="near"))
    assert world_map.cell_map(north, east, [5.0, 5.0]).size[0] > 500, "one density has no range"
    assert world_map.cell_map(north[:0], east[:0], []).size[0] > 500
    pair = (np.array([48.0, 10]), np.array([2.0, 179])), (np.array([50.0, 10]), np.array([3.0, -179]))
    assert differs(world_map.prediction_map(*pair), world_map.prediction_map(pair[0], pair[0]))
