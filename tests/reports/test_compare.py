"""Finished runs beside each other."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from mobilevision.errors import UserError
from mobilevision.reports.compare import collect, compare, front


def run(
    folder: Path, width: float, value: float, *, task: str = "classification", side: int = 64, mode: str = "max"
) -> None:
    folder.mkdir(parents=True)
    (folder / "config.yaml").touch()
    info = {"task": task, "primary": "top1", "mode": mode, "backbone": f"mobilenet_v1_{width}", "width": width}
    info |= {"resolution": [side, side], "parameters": int(1e6 * width), "mult_adds": int(1e5 * width * side)}
    (folder / "info.json").write_text(json.dumps(info))
    (folder / "metrics.json").write_text(json.dumps({"test/top1": value}))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for side, add in ((32, 0.0), (64, 0.1)):
        for width in (0.25, 0.5, 1.0):
            run(tmp_path / "all" / f"{width}_{side}", width, 0.5 + width / 4 + add, side=side)
    (tmp_path / "all" / "unfinished").mkdir()
    (tmp_path / "all" / "unfinished" / "config.yaml").touch()
    return tmp_path / "all"


def test_runs_are_found_below_a_folder_each_once(runs: Path) -> None:
    rows = collect([runs, runs / "1.0_64"])
    assert len(rows) == 6
    assert [row.mult_adds for row in rows] == sorted(row.mult_adds for row in rows)


def test_the_front_holds_what_nothing_cheaper_beats(runs: Path) -> None:
    best = front(collect([runs]), "mult_adds")
    names = [Path(row.folder).name for row in best]
    assert names == ["0.25_32", "0.25_64", "1.0_32", "1.0_64"]  # 0.5 costs at 64 what 1.0 does at 32


def test_what_only_some_commands_say_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = {
        "a": "python train.py task=detection backbone.width=0.25 head=ssd run_dir=a",
        "b": "python train.py task=detection backbone.width=0.5 'backbone.weights=<my> weights' run_dir=b",
        "c": 'mobilevision train task=detection "head=ssd',
    }
    for name, command in commands.items():
        run(tmp_path / name, 0.25, 0.5)
        info = json.loads((tmp_path / name / "info.json").read_text())
        (tmp_path / name / "info.json").write_text(json.dumps({**info, "command": command}))
    rows = {Path(row.folder).name: row.differs for row in collect([tmp_path / "a", tmp_path / "b"])}
    assert rows == {"a": "head=ssd", "b": "backbone.weights=<my> weights"}
    compare([str(tmp_path)], str(tmp_path / "out"))
    assert "task=detection head=ssd" in capsys.readouterr().out, "quotes that do not close say nothing"
    assert "backbone.weights=&lt;my&gt; weights</td>" in (tmp_path / "out" / "compare.html").read_text()


def test_less_may_be_better(tmp_path: Path) -> None:
    run(tmp_path / "a", 0.25, 3.0, mode="min")
    run(tmp_path / "b", 0.5, 2.0, mode="min")
    run(tmp_path / "c", 1.0, 2.5, mode="min")
    assert [row.width for row in front(collect([tmp_path]), "parameters")] == [0.25, 0.5]


def test_what_it_leaves(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare([str(runs)], str(tmp_path / "out"))
    assert "0.8500" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    figures = {f"top1_by_{cost}.{kind}" for cost in ("mult_adds", "parameters") for kind in ("png", "svg")}
    assert names == figures | {"compare.csv", "compare.html"}
    assert Image.open(tmp_path / "out" / "top1_by_mult_adds.png").width > 500
    assert len((tmp_path / "out" / "compare.csv").read_text().splitlines()) == 7


def _measured_on(folder: Path, **info: object) -> None:
    path = folder / "info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **info}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"classes": ["cat", "dog"]}, {"classes": ["rose"]}),
        ({"samples": {"train": 9, "test": 5}}, {"samples": {"train": 9, "test": 6}}),
        ({"data_fingerprint": "a"}, {"data_fingerprint": "b"}),  # two folds of an earlier version
        ({"split_fingerprints": {"test": "a"}}, {"split_fingerprints": {"test": "b"}}),
    ],
)
def test_different_data_is_said_and_not_joined(
    one: dict[str, object], other: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, width, value, info in (("a", 0.25, 0.9, one), ("b", 0.5, 0.5, other), ("c", 1.0, 0.6, other)):
        run(tmp_path / "runs" / name, width, value)
        _measured_on(tmp_path / "runs" / name, **info)
    rows = collect([tmp_path / "runs"])
    assert [row.data for row in rows] == [1, 2, 2]
    assert front(rows, "parameters") == rows  # b and c have nothing to do with a
    compare([str(tmp_path / "runs")], str(tmp_path / "out"))
    line = "measured on 2 different sets of samples (data 1 to 2): compare within one of them only"
    assert line in capsys.readouterr().out.splitlines()
    assert line in (tmp_path / "out" / "compare.html").read_text()
    with (tmp_path / "out" / "compare.csv").open(newline="") as file:
        assert [row["data"] for row in csv.DictReader(file)] == ["1", "2", "2"]


def test_the_same_test_is_the_same_data_whatever_was_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, train in (("a", 10), ("b", 20)):
        run(tmp_path / name, 0.25, 0.5)
        prints = {"train": name, "test": "same"}
        _measured_on(
            tmp_path / name, data_fingerprint=name, split_fingerprints=prints, samples={"train": train, "test": 5}
        )
    compare([str(tmp_path)], str(tmp_path / "out"))
    assert "different" not in capsys.readouterr().out


def test_of_equals_both_are_best(tmp_path: Path) -> None:
    for name, value in (("a", 0.5), ("b", 0.5), ("c", 0.4)):
        run(tmp_path / name, 0.25, value)
    assert [Path(row.folder).name for row in front(collect([tmp_path]), "mult_adds")] == ["a", "b"]


def test_a_long_folder_stays_on_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "backbone.width=0.25,data.resolution=32," + 100 * "x"
    run(tmp_path / name, 0.25, 0.5)
    compare([str(tmp_path)], str(tmp_path / "out"))
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("mobilenet_v1"))
    assert line.endswith(f" {name}")


def test_what_cannot_be_compared(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        collect([tmp_path / "gone"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no finished run"):
        collect([tmp_path / "empty"])
    run(tmp_path / "other", 0.5, 0.5, task="detection")
    with pytest.raises(UserError, match="compare those of one task"):
        collect([runs, tmp_path / "other"])


def test_the_page_draws_its_points_in_a_browser(runs: Path, tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium here")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={tmp_path / 'profile'}"]
    alike = tmp_path / "alike"  # no 1, 2 or 5 of a power of ten lies between what these cost
    for place, width in enumerate((0.37, 0.43)):
        run(alike / str(width), width, 0.5 + place / 10)
    for some, points in ((runs, 6), (alike, 2)):
        compare([str(some)], str(some / "out"))
        page = (some / "out" / "compare.html").as_uri()
        command = [chromium, *flags, "--virtual-time-budget=2000", "--dump-dom", page]
        dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
        assert dom.count('class="point"') == points
        assert 'class="front" points="' in dom
        assert dom.count('text-anchor="middle"') >= 1 + 2  # the axis has its name, and two numbers or more
