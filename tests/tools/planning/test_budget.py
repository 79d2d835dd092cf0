"""Bounds, fronts, rungs, phones: what needs no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from mobilevision.errors import UserError
from mobilevision.io.quantities import quantity, written
from mobilevision.tools.planning.budget import Budget
from mobilevision.tools.planning.candidate import Candidate, front
from mobilevision.tools.planning.halving import choose, rungs
from mobilevision.tools.planning.latency import phones_in_words
from mobilevision.visualization.charts_cost import Point, budget_chart


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("params", "2M", 2e6),
        ("params", "4231976", 4231976),
        ("mult_adds", "1.2G", 1.2e9),
        ("mult_adds", ".5k", 500),
        ("latency", "15ms", 0.015),
        ("latency", "1.5 s", 1.5),
        ("latency", "800us", 800e-6),
        ("size", "4MB", 4e6),
        ("size", "4MiB", 4 * 2**20),
        ("size", "512kB", 512e3),
        ("arena", "256k", 256 * 2**10),
        ("arena", "262144", 262144),
        ("flash", "1M", 2**20),
        ("flash", "512KiB", 2**19),
    ],
)
def test_quantities(name: str, text: str, value: float) -> None:
    assert quantity(name, text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("params", "2m", "--max-params 2m: give a count such as 2M"),
        ("params", "2MB", "no unit MB"),
        ("mult_adds", "many", "--max-mult-adds many"),
        ("mult_adds", "-3M", "--max-mult-adds -3M"),
        ("latency", "15", "a time such as 15ms"),
        ("latency", "15MS", "no unit MS"),
        ("latency", "0ms", "more than nothing"),
        ("size", "4", "a size such as 4MB"),
        ("size", "4Mb", "no unit Mb"),
        ("size", "", "--max-size"),
        ("arena", "much", "--max-arena much: give memory such as 256k"),
        ("flash", "2G", "no unit G"),
        ("arena", "0.5", "more than nothing"),
    ],
)
def test_what_is_no_quantity(name: str, text: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        quantity(name, text)


def test_all_mistakes_at_once_and_no_bound() -> None:
    with pytest.raises(UserError, match=r"max-params x.*max-size y"):
        Budget.read({"params": "x", "size": "y", "latency": None})
    with pytest.raises(UserError, match="name a bound"):
        Budget.read({"params": None})


def test_a_bound_itself_fits() -> None:
    budget = Budget(params=100, latency=0.1)
    assert budget.excess(params=100, mult_adds=1e12) == {}
    assert budget.excess(params=150, latency=0.2) == {"params": 1.5, "latency": 2.0}


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [("params", 1331592, "1.33M"), ("latency", 0.0142, "14.2ms"), ("size", 4.1e6, "4.1MB"), ("mult_adds", 3e8, "300M")],
)
def test_said(name: str, value: float, text: str) -> None:
    assert written(name, value) == text


class StandIn:
    """A candidate of a family: mult-adds grow with both knobs."""

    def __init__(self, family: str, width: float, side: int) -> None:
        self.family, self.capacity, self.mult_adds = (family,), (width, side * side), int(width**2 * side**2)


def candidate(family: str, width: float, side: int) -> Candidate:
    made: Any = StandIn(family, width, side)
    return cast("Candidate", made)


def test_the_front_of_each_family() -> None:
    small, wide, large = candidate("a", 0.5, 128), candidate("a", 1.0, 128), candidate("a", 0.5, 224)
    other = candidate("b", 0.25, 96)
    assert front([small, wide, large, other]) == [wide, large, other]


def test_accuracies_decide_where_they_are_known() -> None:
    cheap, dear, unknown = (candidate("a", *each) for each in ((0.5, 128), (1.0, 128), (1.0, 224)))
    assert front([cheap, dear, unknown], {cheap: 0.9, dear: 0.8}) == [cheap, unknown]
    assert front([cheap, dear, unknown], {cheap: 0.7, dear: 0.8}) == [cheap, dear, unknown]


@pytest.mark.parametrize(
    ("epochs", "starters", "expected"),
    [
        (3, 1, [(1, 3)]),
        (1, 8, [(8, 1)]),
        (3, 4, [(4, 1), (2, 2), (1, 3)]),
        (8, 8, [(8, 1), (4, 2), (2, 4), (1, 8)]),
        (20, 8, [(8, 3), (4, 5), (2, 10), (1, 20)]),
        (2, 8, [(8, 1), (1, 2)]),
    ],
)
def test_rungs(epochs: int, starters: int, expected: list[tuple[int, int]]) -> None:
    assert rungs(epochs, starters) == expected


def test_every_family_gets_a_starter() -> None:
    mine = [candidate("a", width, 128) for width in (1.0, 0.75, 0.5)]
    other = candidate("b", 0.25, 64)
    assert choose([*mine, other], 2) == [mine[0], other]


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        ("List of devices attached\n\n", "adb lists none"),
        ("List of devices attached\nR58M\tdevice\n\n", "phone R58M is connected"),
        ("List of devices attached\nR58M\tunauthorized\n", "R58M is unauthorized"),
        ("* daemon started\nList of devices attached\nR58M\tdevice\n", "phone R58M"),
    ],
)
def test_phones(printed: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "adb"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{printed}END\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert told in phones_in_words()


def test_no_adb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "adb (of Android's platform tools) is not installed" in phones_in_words()


def test_the_chart() -> None:
    points = [Point(1e6 * n, 1e5 * n, "a", "b", fits=n < 3, best=n == 2) for n in range(1, 5)]
    assert budget_chart(points, mult_adds=2.5e6, params=None).width > 300
    assert budget_chart(points[3:], mult_adds=None, params=1.0).width > 300
