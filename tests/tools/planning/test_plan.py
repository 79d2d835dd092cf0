"""The command: searched, counted anew, trained."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from mobilevision.errors import UserError
from mobilevision.io.quantities import quantity
from mobilevision.tools.models import models_of
from mobilevision.tools.planning.command import Request, plan
from mobilevision.tools.planning.latency import within

NARROW = ["backbone=mobilenet_v1,mobilenet_v2", "backbone.width=0.25,0.5", "data.resolution=32,64"]


@pytest.mark.parametrize(
    ("overrides", "bounds"),
    [
        (["task=face_attributes", *NARROW], {"mult_adds": "6M", "params": "800k", "size": "3MB"}),
        (["task=detection", "head=ssdlite", "data.resolution=[64,96],64", *NARROW[:2]], {"mult_adds": "8M"}),
        pytest.param(NARROW, {"mult_adds": "3M"}, marks=pytest.mark.slow),
        pytest.param(
            ["task=detection", "head=ssd,ssdlite", *NARROW],
            {"mult_adds": "12M", "params": "2M"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_everything_printed_keeps_every_bound(overrides: list[str], bounds: dict[str, str]) -> None:
    """Counted anew from the overrides alone, as ``mobilevision cost`` counts them."""
    answer = plan(overrides, Request(bounds=bounds))
    assert answer.front
    for each in answer.front:
        (again,) = models_of([" ".join(each.overrides)], outputs=None)
        costs = {
            "params": again.counted.cost.parameters,
            "mult_adds": again.counted.cost.mult_adds,
            "size": again.counted.cost.file_size(),
        }
        assert (each.params, each.mult_adds) == (costs["params"], costs["mult_adds"])
        for name, text in bounds.items():
            assert costs[name] <= quantity(name, text)


def test_nothing_larger_of_a_family_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = plan(NARROW, Request(bounds={"mult_adds": "3M"}), out=str(tmp_path))
    for kept in answer.front:
        larger = [
            each
            for each in answer.candidates
            if each.family == kept.family and each.capacity != kept.capacity
            if all(mine >= theirs for mine, theirs in zip(each.capacity, kept.capacity, strict=True))
        ]
        assert all(each.mult_adds > 3e6 for each in larger)
    said = capsys.readouterr().out
    assert "searched    8 models" in said
    assert "data.resolution 32 instead of 64: mult-adds x0.2" in said
    assert "mobilevision train backbone=" in said
    with (tmp_path / "plan.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 8
    assert sum(row["front"] == "yes" for row in table) == len(answer.front)
    assert all((row["fits"] == "yes") == (int(row["mult_adds"]) <= 3e6) for row in table)
    assert (tmp_path / "plan.png").stat().st_size > 1000


def test_the_nearest_miss() -> None:
    with pytest.raises(
        UserError, match=r"nothing of 8 models fits; the nearest is mobilenet_v1_0.25.*for --max-params 1k"
    ):
        plan(NARROW, Request(bounds={"params": "1k"}))


def test_what_is_settled_is_not_searched() -> None:
    answer = plan(
        ["backbone=mobilenet_v1", "backbone.width=0.3", "data.resolution=48"], Request(bounds={"params": "1M"})
    )
    assert len(answer.candidates) == 1
    assert answer.candidates[0].subject.counted.backbone == "mobilenet_v1_0.3"


def test_time_is_a_bound() -> None:
    fitting = plan(NARROW, Request(bounds={"mult_adds": "3M"}))
    found = within(fitting.candidates, 1e-9)
    assert not found.kept
    assert len(found.far) == len(fitting.candidates)
    found = within(fitting.candidates, 60.0)
    assert set(found.kept) == set(found.times)
    assert not found.far
    assert len(found.kept) == 2  # the largest of each family, and no more was measured


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["backbone=mobilenet_v9"], "did you mean"),
        (["backbone.widht=0.5"], "did you mean backbone.width"),
        (["backbone=mobilenet_v1", "backbone.width=wide,0.5"], "backbone.width=wide"),
        (["backbone=mobilenet_v1", "data.resolution=x,64"], "data.resolution=x"),
        (["head=ssd"], "head=ssd"),
        (["data=folder"], "data.root"),
    ],
)
def test_mistakes(overrides: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        plan(overrides, Request(bounds={"params": "1M"}))


def test_units_are_wrong_before_anything_heavy() -> None:
    code = "import sys; from mobilevision.cli.commands import main; sys.argv[1:] = ['plan', '--max-params', '2m']\n"
    code += "try: main()\nfinally: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.strip() == "False"
    assert done.stderr.strip() == "error: --max-params 2m: give a count such as 2M (k, M or G); there is no unit m"


@pytest.mark.slow
def test_training_halves_and_is_taken_up_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = [f"data.format.{split}=40" for split in ("train", "val", "test")]
    command = ["backbone=mobilenet_v1", "backbone.width=0.25", "data.resolution=16,24", "head=linear", *data]
    command += ["backbone.depth=standard,shallow", "logger=none", "data.workers=0", "data.batch_size=20"]
    answer = plan(command, Request(bounds={"mult_adds": "1M"}), epochs=2, starters=2, out=str(tmp_path / "out"))
    said = capsys.readouterr().out
    assert len(answer.front) == 2
    assert "rung 1 of 2: 2 models to 1 epoch" in said
    assert "rung 2 of 2: 1 model to 2 epochs" in said
    (head,) = (line for line in said.splitlines() if line.startswith("model "))
    assert head.split() == ["model", "epochs", "val/top1"]
    folder = said.rpartition("run folder")[2].split()[0]
    assert (Path(folder) / "report.html").exists()
    known = plan(command, Request(bounds={"mult_adds": "1M"}), epochs=2, starters=2, out=str(tmp_path / "out"))
    again = capsys.readouterr().out
    assert "trained already" in again
    assert again.rpartition("run folder")[2].split()[0] == folder
    assert not known.accuracy
    known = plan(command, Request(bounds={"mult_adds": "1M"}), results=str(tmp_path))
    assert len(known.accuracy) == 2
    assert "test/top1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["task=geolocalization"], "--max-arena, --max-flash: geolocalization: --for micro cannot write it"),
        (["task=detection", "head=faster_rcnn"], "--max-arena, --max-flash: faster_rcnn: --for micro cannot write it"),
    ],
)
def test_what_boards_cannot_run_is_not_planned_for_them(words: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        plan(words, Request(bounds={"arena": "100k"}))


def test_a_board_has_ram_and_flash(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["backbone=mobilenet_v1", "backbone.width=0.25", "data.resolution=64,96,128", "backbone.depth=standard"]
    found = plan(words, Request(bounds={"arena": "80k", "flash": "400k"}, outputs=2))
    assert [each.subject.counted.resolution for each in found.front] == [(64, 64)]
    said = capsys.readouterr().out
    assert "arena" in said
    assert "65.9kB" in said
