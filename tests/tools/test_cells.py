"""``mobilevision cells``: from tables as people have them to cells, a map and figures that are true."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilevision.errors import UserError
from mobilevision.geo.partition import Cells, fixed, oracle
from mobilevision.tools.cells import Cut, cells, read


def places(count: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    which = rng.integers(0, 3, count)
    north = np.array([48.85, -33.87, 40.71])[which] + rng.normal(0, 0.4, count)
    east = np.array([2.35, 151.2, -74.0])[which] + rng.normal(0, 0.4, count)
    return north.round(6), east.round(6)


def table(path: Path, text: str = "") -> Path:
    rows = [f"{north},{east}" for north, east in zip(*places(), strict=True)]
    path.write_text(text or "\n".join(["latitude,longitude", *rows]) + "\n", encoding="utf-8")
    return path


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", "from mobilevision.cli.commands import main; main()", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_the_command_writes_cells_and_a_map_and_prints_what_they_allow(tmp_path: Path) -> None:
    out = tmp_path / "new" / "cells.json"
    done = command("cells", "--coordinates", table(tmp_path / "photos.csv"), "--out", out, "--most", 40)
    assert done.returncode == 0, done.stderr
    made = Cells.from_dict(json.loads(out.read_text()))
    assert made.counts.max() <= 40
    reach = oracle(made, *places())
    said = done.stdout
    assert "400 coordinates" in said
    assert "columns latitude and longitude" in said
    assert f"{len(made)} cells" in said
    assert f"{1025 * len(made) / 1e6:,.2f} M parameters" in said
    shares = next(line for line in said.splitlines() if line.startswith("these photos"))
    assert shares.split()[2:] == [f"{share:.1%}" for share in reach.values()]
    assert "unseen photos" in said
    assert Image.open(out.with_suffix(".png")).size[0] > 800


def test_one_level_and_what_contradicts_it(tmp_path: Path) -> None:
    file, out = table(tmp_path / "photos.csv"), tmp_path / "cells.json"
    made = cells(file, out=out, cut=Cut(level=7, least=5))
    assert (made.ids == fixed(*places(), level=7, least=5).ids).all()
    for cut, words in (
        (Cut(level=7, most=5), "leave out --most"),
        (Cut(coarsest=9, finest=3), "--coarsest 9 --finest 3"),
        (Cut(finest=3, coarsest=4), "levels grow"),
        (Cut(most=3, least=4), "--least 4 is more than --most 3"),
        (Cut(level=30, least=9), "no cell has 9"),
    ):
        with pytest.raises(UserError, match=words):
            cells(file, out=out, cut=cut)
    with pytest.raises(UserError, match=r"ends with \.json"):
        cells(file, out=tmp_path / "cells.csv")


@pytest.mark.parametrize(
    "text",
    [
        "lat;lon\n48.5;2.5\n-33.5;151\n",
        "id\tLongitude (deg)\tGPS Latitude\na\t2.5\t48.5\nb\t151\t-33.5\n",
        "48.5,2.5\n-33.5,151\n",
        "lat,2020,lon\n48.5,7,2.5\n-33.5,8,151\n",
        "\ufeffLAT,LON\r\n48.5,2.5\r\n\r\n-33.5,151\r\n",
        'path,lat,lng\n"a, b.jpg",48.5,2.5\nc.jpg,-33.5,151\n',
        "lat,lon\n48.5,2.5\n-33.5,151\n0,0\n,\nNaN,3\n",
        "lat,lon\n48.5,2.5\n-33.5,151\n0.0,-0.0\n",
    ],
)
def test_tables_of_many_customs(text: str, tmp_path: Path) -> None:
    got = read(table(tmp_path / "photos.csv", text))
    assert got.latitude.tolist() == [48.5, -33.5]
    assert got.longitude.tolist() == [2.5, 151]


def test_rows_without_a_place_are_counted(tmp_path: Path) -> None:
    got = read(table(tmp_path / "photos.csv", "lat,lon\n48.5,2.5\n0,0\n0.0,-0.0\n,\nNaN,3\n"))
    assert got.notes == ["left out: 2 rows without coordinates", "left out: 2 rows at 0, 0 (no GPS)"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lat;lon\n48,85;2,35\n48,9;2,4\n", r"photos\.csv:2: '48,85' has a decimal comma: write 48\.85"),
        ("lat,lon\n48,85,2,35\n", "4 cells where the first row has 2: a decimal comma"),
        ("lat,lon\n48.5,2.5\n91,2\n", r"1 row\(s\) cannot be used\n  photos\.csv:3: latitude 91"),
        ("lat,lon\n48.5,2.5\n8,361\n", r"photos\.csv:3: longitude 361"),
        ("lat,lon\n48.5,2.5\nhere,3\n", "'here' is not a number"),
        ("lat,lon\n151,-33\n-118,34\n139,35\n2,48\n", "100%|75%"),
        ("LAT,LON\n151,-33\n-118,34\n139,35\n2,48\n", "--columns LON,LAT reads them so"),
        ("a,b\n1,2\n", "no column for the latitude; it has a, b"),
        ('{"a": 1, "b": 2, 3', "no column for the latitude; it has 3 column"),
        ("", "the table is empty"),
        ("lat,lon\n", "none of its 0 rows"),
        ("lat,lon\n0,0\n", "none of its 1 rows"),
    ],
)
def test_bad_tables_are_refused_with_the_line_and_the_fix(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "photos.csv"
    file.write_text(text)
    with pytest.raises(UserError, match=words):
        read(file)


def test_bad_rows_can_be_skipped_and_are_counted(tmp_path: Path) -> None:
    got = read(table(tmp_path / "photos.csv", "lat,lon\n48.5,2.5\n91,2\n8,x\n1,2,3\n,\n"), skip=True)
    assert got.latitude.tolist() == [48.5]
    assert got.notes == ["left out: 1 row without coordinates", "left out: 3 rows that cannot be used"]


def test_columns_can_be_named_or_numbered(tmp_path: Path) -> None:
    file = table(tmp_path / "photos.csv", "a,b,c\nx,2.5,48.5\n")
    for wanted in ("c,b", "2,1", "C, B"):
        got = read(file, wanted=wanted)
        assert (got.latitude[0], got.longitude[0]) == (48.5, 2.5)
    for wanted, words in (("c", "two columns"), ("c,d", "no column d"), ("9,1", "no column 9")):
        with pytest.raises(UserError, match=words):
            read(file, wanted=wanted)


def test_errors_of_the_command_are_one_line(tmp_path: Path) -> None:
    done = command("cells", "--coordinates", tmp_path / "none.csv")
    assert (done.returncode, done.stderr) == (1, f"error: --coordinates {tmp_path / 'none.csv'}: no such file\n")
    wrong = command("cells", "--coordinates", table(tmp_path / "photos.csv"), "--level", 31)
    assert wrong.returncode == 1
    assert "--level" in wrong.stderr
    assert "Traceback" not in wrong.stderr
