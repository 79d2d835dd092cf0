"""The command, on small models for a moment each."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
from PIL import Image

from mobilevision.cost import Cost
from mobilevision.errors import UserError
from mobilevision.tools.benchmarking.command import Row, Style, benchmark, busy, show, write
from mobilevision.tools.benchmarking.stopwatch import Times
from mobilevision.tools.costs.counting import Counted
from mobilevision.tools.models import Exported
from mobilevision.visualization.charts_cost import Point, fit, mult_adds_against_time

SMALL = "backbone=mobilenet_v1 backbone.width=0.25 data.resolution=32,64"


def test_models_beside_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = [SMALL, "task=detection head=ssdlite backbone.width=0.25 data.resolution=64"]
    rows = benchmark(models, batch="1,2", seconds=0.01, device="cpu", outputs=5, out=tmp_path)
    said = capsys.readouterr().out
    assert len(rows) == 6
    assert "mobilenet_v1_0.25 + ssdlite 64" in said
    assert "batch norm folded, channels_last" in " ".join(said.split())
    assert "1 thread, batch 2: mult-adds predict time with a correlation of" in " ".join(said.split())
    with (tmp_path / "benchmark.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [row["batch"] for row in table] == ["1"] * 3 + ["2"] * 3
    assert all(0 < float(row["quartile_1_s"]) <= float(row["median_s"]) <= float(row["quartile_3_s"]) for row in table)
    assert all(float(row["of_peak"]) > 0 for row in table)
    assert table[0]["mult_adds"] == str(rows[0].mult_adds)
    assert Image.open(tmp_path / "benchmark.png").width > 400


def test_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = benchmark(
        ["backbone.width=0.25 data.resolution=32"],
        seconds=0.01,
        device="cpu",
        outputs=2,
        fold=False,
        channels_last=False,
    )
    assert "batch norm not folded, contiguous" in " ".join(capsys.readouterr().out.split())
    assert row.setting == "1 thread, batch 1"


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        ([], {}, "in quotes"),
        (["no/such/run"], {}, "not a run folder"),
        (["backbone.widht=0.5 seed=1"], {}, "did you mean backbone.width"),
        (["backbone.width='0.5"], {}, "quote is not closed"),
        (["backbone.width=0.5"], {"device": "nonsense", "outputs": 2}, "--device nonsense"),
        (["backbone.width=0.5"], {"threads": "two"}, "--threads two"),
    ],
)
def test_mistakes(arguments: list[str], options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        benchmark(arguments, **options)  # type: ignore[arg-type]


def test_a_line_through_a_power_law() -> None:
    points = [Point(x, 3e-9 * x**0.5, "a", "") for x in (1e6, 1e7, 3e8)]
    line = fit(points)
    assert line is not None
    assert (line.slope, line.correlation) == (pytest.approx(0.5), pytest.approx(1.0))
    assert math.isclose(line.seconds(1e8), 3e-5)
    assert fit(points[:1]) is None
    assert fit([points[0]] * 3) is None


def test_panels_are_drawn() -> None:
    points = [Point(x * 1e6, x * 1e-3, "a", "b") for x in (1, 10)]
    one, three = (mult_adds_against_time({str(n): points for n in range(count)}) for count in (1, 3))
    assert three.width > one.width
    assert three.height > one.height


def test_a_busy_machine_is_told() -> None:
    assert busy([0.99, 1.0], "wall") is None
    assert busy([], "wall") is None
    assert "2.0 times as fast" in str(busy([0.5], "wall"))
    assert "leave the waiting out" in str(busy([0.5], "cpu"))


def test_a_share_of_the_float32_peak_is_no_claim_of_other_runtimes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counted = Counted(Cost(10, 4_000_000, ()), "mobilenet_v1_0.25", (32, 32), 3, 2)
    times = Times([0.01] * 4, [0.01] * 4)

    def row(precision: str, peak: float) -> Row:
        return Row(Exported("cats", "linear", "openvino", precision, counted), "cpu", 1, 1, times, peak)

    rows = [row("float32", 1e9), row("float32", 1e8), row("int8", 1e9)]
    assert [each.share("wall") for each in rows] == [pytest.approx(0.4), None, None]  # the second gets beyond it
    assert [each.subject.name.partition(" 32 ")[2] for each in rows] == ["openvino", "openvino", "openvino int8"]
    show(rows, Style())
    write(rows, tmp_path, Style())
    said = " ".join(capsys.readouterr().out.split())
    assert "Exported models run as they are" in said
    assert "eager torch" not in said
    assert "random weights" not in said
    with (tmp_path / "benchmark.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [each["of_peak"] for each in table][1:] == ["", ""]
    assert [each["how"] for each in table][1:] == ["exported: openvino, float32", "exported: openvino, int8"]
