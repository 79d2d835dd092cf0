"""What a finished run leaves: predictions as rows and images, tables, the log, a report that any browser shows."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from mobilevision.config.compose import compose
from mobilevision.engine.build import build
from mobilevision.engine.info import read_info, update_info
from mobilevision.engine.recording import recording
from mobilevision.reports import summary
from mobilevision.reports.page import Section, charts, numeric, sections, ticks, write_report
from mobilevision.reports.results import most_confused, readable, small_test_set_warning
from mobilevision.tracking.run_folder import RunFolder
from mobilevision.training.resuming import compose_resume
from mobilevision.training.train import train

BROWSER = next((found for name in ("chromium", "google-chrome", "chrome") if (found := shutil.which(name))), None)
CLICKS = """<script>
const table = document.querySelector("table.sortable"), head = table.tHead.rows[0].cells;
const names = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent).join();
head[0].click(); const up = names(); head[0].click(); const down = names();
const svg = document.querySelector("svg[data-chart]"), box = svg.getBoundingClientRect();
svg.dispatchEvent(new PointerEvent("pointermove", { clientX: box.right - 12, clientY: box.top + 20 }));
document.title = JSON.stringify({ up, down, note: svg.parentElement.querySelector("output").textContent,
  wide: document.documentElement.scrollWidth > document.documentElement.clientWidth });
</script>"""


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> RunFolder:
    return RunFolder(shutil.copytree(finished_run, tmp_path / "run"))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_prediction_is_a_row_and_the_worst_and_others_are_drawn(run: RunFolder) -> None:
    rows = _rows(run.predictions / "predictions.csv")
    assert len(rows) == 15
    losses = [float(row["loss"]) for row in rows]
    assert losses == sorted(losses, reverse=True)
    assert all(int(row["correct"]) == (row["label"] == row["truth"]) for row in rows)
    accuracy = json.loads(run.metrics_json.read_text())["test/top1"]
    assert np.mean([int(row["correct"]) for row in rows]) == pytest.approx(accuracy)
    drawn = {row["picture"] for row in rows if row["picture"]}
    assert [row["picture"] for row in rows[:3]] == ["worst_01.png", "worst_02.png", "worst_03.png"]
    assert len([name for name in drawn if name.startswith("typical")]) == 3
    for name in drawn:
        with Image.open(run.predictions / name) as image:
            assert min(image.size) >= 100


def test_data_without_a_test_is_measured_and_drawn_on_val(coloured: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(coloured, root, ignore=shutil.ignore_patterns("test"))
    folder = RunFolder(tmp_path / "run")
    options = ["data.resolution=32", "data.batch_size=8", "data.workers=0", "backbone.width=0.25", "logger=none"]
    options += ["trainer=cpu", "trainer.max_epochs=1", f"run_dir={folder.path}", "data=folder", f"data.root={root}"]
    assert "val/top1" in train(compose(options))
    assert len(_rows(folder.predictions / "predictions.csv")) == 12
    assert "val top1" in folder.report.read_text(encoding="utf-8")


def test_the_report_holds_everything_and_fetches_nothing(run: RunFolder) -> None:
    page = write_report(run).read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:)|url\(|@import|https?://""", page)
    assert page.count("<svg") >= 5
    confused = len(list(run.predictions.glob("confused_*.png")))
    assert confused > 0
    assert page.count("data:image/jpeg;base64") == 2 * 6 + confused  # each with what the model looked at
    assert page.count("data:image/png;base64") == 2
    for text in ("Per class", "Most confused", "Worst predictions", "mult-adds", "prefers-color-scheme: dark"):
        assert text in page
    assert "blue &amp; &lt;b&gt;" in page
    assert "<b>" not in page
    assert len(page) < 2_000_000


def test_the_report_shows_the_command_problems_and_skipped_files(run: RunFolder) -> None:
    update_info(
        run, {"command": "python train.py data=folder 'data.root=a <b>'", "problems": ["list.csv:3: no such class"]}
    )
    run.skipped.write_text("file,reason\nbad.jpg,empty file\n")
    page = write_report(run).read_text(encoding="utf-8")
    assert "python train.py data=folder &#39;data.root=a &lt;b&gt;&#39;" in page
    assert "list.csv:3: no such class" in page
    assert "skipped bad.jpg: empty file" in page


def test_a_metric_without_a_number_has_no_chart_and_zeros_lie_on_the_axis() -> None:
    rows = [{"epoch": str(epoch), "val/ap_small": "nan", "val/ap_large": "0.0"} for epoch in (1, 2)]
    (chart,) = charts(rows)
    assert chart.title == "ap_large"
    assert ticks(0.0, 0.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ">-" not in chart.svg()  # no axis below 0


def test_a_resumed_run_shows_the_first_command_and_the_later_ones(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = "mobilevision train data=folder trainer.max_epochs=2"
    decision = {"key": "trainer.max_epochs", "value": "2", "why": "18 images"}
    other = {"key": "data.batch_size", "value": "8", "why": "24 images"}
    update_info(run, {"command": first, "decisions": [decision, other]})
    given = [f"resume={run.path}", "trainer.max_epochs=3"]
    monkeypatch.setattr(sys, "argv", ["mobilevision", "train", *given])
    train(compose_resume(run.path, given))
    info = read_info(run)
    later = f"mobilevision train resume={run.path} trainer.max_epochs=3"
    assert info["command"] == first
    prints = info["split_fingerprints"]
    assert set(prints) == {"train", "val", "test"}
    assert len(set(prints.values())) == 3
    assert [each["command"] for each in info["resumed"]] == [later]
    changed = {**decision, "value": "3", "why": "changed when the run was resumed"}
    assert info["decisions"] == [changed, other]
    page = run.report.read_text(encoding="utf-8")
    assert page.index(f"<code>{first}</code>") < page.index(f"<code>{later}</code>")


@pytest.mark.parametrize("missing", ["all", "info.json", "metrics.csv", "tables.json", "predictions", "figures"])
def test_a_report_of_what_there_is(run: RunFolder, tmp_path: Path, missing: str) -> None:
    if missing == "all":
        (tmp_path / "empty").mkdir()
        run = RunFolder(tmp_path / "empty")
    elif (run.path / missing).is_dir():
        shutil.rmtree(run.path / missing)
    else:
        (run.path / missing).unlink()
    assert "</html>" in write_report(run).read_text(encoding="utf-8")


@pytest.mark.skipif(BROWSER is None, reason="needs chromium or chrome")
@pytest.mark.parametrize("width", [1280, 500])
def test_a_browser_shows_sorts_and_hovers(run: RunFolder, tmp_path: Path, width: int) -> None:
    page = write_report(run)
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", CLICKS + "</body>"), encoding="utf-8")
    flags = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update"
    flags += f" --disable-sync --no-first-run --window-size={width},900 --user-data-dir={tmp_path / 'profile'}"
    command = [str(BROWSER), *flags.split(), "--virtual-time-budget=2000", "--dump-dom", page.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r"<title>(.*?)</title>", shown)
    assert found is not None
    result = json.loads(found[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))
    assert result["up"] == "blue & <b>,green,red"
    assert result["down"] == "red,green,blue & <b>"
    assert result["note"].startswith("epoch 2\ntrain ")
    assert not result["wide"], "the page must not scroll sideways"


def test_charts_join_the_stages_of_a_metric_and_mark_the_best_epoch() -> None:
    history = [
        {"epoch": "1", "step": "4", "train/loss": "2.0", "val/loss": "1.5", "val/top1": "0.5", "train/lr": "0.1"},
        {"epoch": "2", "step": "8", "train/loss": "nan", "val/loss": "", "val/top1": "0.4", "train/lr": "0.05"},
    ]
    found = charts(history, "top1", "max")
    assert [chart.title for chart in found] == ["loss", "top1", "lr"]
    assert found[0].lines == {"train": [(1, 2.0)], "val": [(1, 1.5)]}
    assert found[1].best == (1, 0.5)
    assert charts(history, "top1", "min")[1].best == (2, 0.4)
    assert charts([]) == []
    assert all("nan" not in chart.svg() for chart in found)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.123, 0.124), (5.0, 5.0), (0.0, 0.0), (-3.0, 700.0), (1, 2)])
def test_ticks_are_few_and_enclose_the_range(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 2 <= len(found) <= 8
    assert found[0] <= low
    assert found[-1] >= high


def test_labels_of_small_values_fit_beside_the_chart() -> None:
    history = [{"epoch": "1", "train/lr": "0.000125"}, {"epoch": "2", "train/lr": "0.00013"}]
    drawn = str(charts(history)[0].svg())
    labels = re.findall(r'<text x="([\d.]+)" y="[\d.]+" text-anchor="end">([^<]*)<', drawn)
    assert max(len(text) for _, text in labels) > 6
    assert all(float(x) >= 6 * len(text) for x, text in labels)


def test_each_part_has_a_section_in_the_order_of_the_parts() -> None:
    names = ["loss", "b/top1", "a/map_50", "a/map", "mean_of_parts", "a/boxes", "folds/x"]
    history = [{"epoch": "1", **{f"val/{name}": "1" for name in names}, "train/a/boxes": "2"}]
    everything = {name: {"test": 1.0} for name in names}
    whole = Section("", charts(history), everything, dict.fromkeys(names, ""), {})
    common, parts = sections(whole, {"b": {"primary": "top1"}, "a": {"primary": "map"}})
    assert [part.name for part in parts] == ["b", "a"]
    assert [chart.title for chart in parts[1].curves] == ["a/map", "a/map_50", "a/boxes"]
    assert list(parts[1].results) == ["a/map", "a/map_50", "a/boxes"]
    assert list(common.figures) == ["loss", "mean_of_parts", "folds/x"]


def test_a_column_of_numbers_may_begin_with_none() -> None:
    assert numeric([{"class": "a", "precision": None}, {"class": "b", "precision": 0.5}]) == {"precision"}


def test_the_most_frequent_mistakes_are_listed_and_a_huge_matrix_is_not_kept() -> None:
    rows = [{"class": "a", "a": 5, "b": 3}, {"class": "b", "a": 1, "b": 9}]
    assert most_confused(rows)[0] == {"truth": "a", "taken_for": "b", "times": 3, "share": 3 / 8}
    names = [str(number) for number in range(300)]
    huge = [{"class": name, **dict.fromkeys(names, 0)} for name in names]
    assert set(readable({"confusion": huge})) == {"most_confused"}
    assert set(readable({"confusion": rows, "x": []})) == {"confusion", "most_confused", "x"}


def test_the_console_says_what_was_composed_and_what_to_do_next(run: RunFolder) -> None:
    console = Console(record=True, width=60, highlight=False, force_terminal=False)
    summary.print_start(read_info(run), ["W&B: off"], console=console)
    summary.print_results(json.loads(run.metrics_json.read_text()), run, ["bye"], console=console)
    text = console.export_text()
    assert "train 24 · val 12 · test 15" in text
    assert "3: blue & <b>, green, red" in text
    assert f"mobilevision predict {run.path} IMAGES --out predictions" in text
    assert re.search(r"top1 +\d\.\d{4}", text)


def test_the_log_keeps_lines_but_nothing_that_is_redrawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        with recording(tmp_path / "train.log"):
            print("\x1b[31mepoch 1\x1b[0m")
            sys.stderr.write("warned\n")
            sys.stdout.write("\r 50 % |####    |")
            sys.stdout.write("\x1b[2K\x1b[1Abar")
    log = (tmp_path / "train.log").read_text()
    assert log.count("epoch 1\nwarned\n") == 2
    assert "%" not in log
    assert "bar" not in log
    assert "50 %" in capsys.readouterr().out


def test_few_images_that_judged_are_counted(run: RunFolder) -> None:
    said = "judged by   15 images of test, each of which is 7 points; data.folds=5 judges by all images of train"
    assert said in run.log.read_text(encoding="utf-8")
    assert "of 15 images" in write_report(run).read_text(encoding="utf-8")


def test_drawn_images_and_folds_have_no_word_of_few(coloured: Path) -> None:
    few = ["trainer.max_epochs=1", "data.resolution=32", "backbone.width=0.25", "data.workers=0"]
    drawn = [f"parts.a.data.format.{split}=4" for split in ("train", "val", "test")]
    part = ["parts.a=classification", "parts.a.data=shapes", *drawn, "parts.b=classification"]
    for given, counted in (
        (["data=shapes", "data.format.train=20", "data.format.val=10", "data.format.test=10"], 0),
        (["data=folder", f"data.root={coloured}", "data.folds=4", "data.fold=1"], 0),
        (["data=folder", f"data.root={coloured}", "data.folds=null"], 1),
        (["task=multitask", *part, "parts.b.data=folder", f"parts.b.data.root={coloured}"], 1),
    ):
        built = build(compose([*few, *given]))
        assert bool(small_test_set_warning(built, "test")) == counted


def test_folds_are_named_as_many_as_work(tmp_path: Path) -> None:
    for name, count in (("a", 14), ("b", 8)):
        for number in range(count):
            file = tmp_path / name / f"{number}.png"
            file.parent.mkdir(exist_ok=True)
            Image.fromarray(np.full((32, 32, 3), 10 * number, dtype=np.uint8)).save(file)
    words = ["data=folder", f"data.root={tmp_path}", "data.test_fraction=0.4", "data.val_fraction=0.3"]
    built = build(compose(["data.resolution=32", "backbone.width=0.25", "data.workers=0", *words]))
    rarest = min(built.task.data_spec.counts)
    assert 1 < rarest < 5
    assert f"; data.folds={rarest} judges" in small_test_set_warning(built, "test")


def test_the_tracker_is_told_the_best_value_on_val(run: RunFolder) -> None:
    from mobilevision.engine.restore import load_run
    from mobilevision.reports.results import best_on_val

    with run.metrics_csv.open(newline="") as file:
        values = [float(row["val/top1"]) for row in csv.DictReader(file)]
    assert best_on_val(load_run(run.path).task, run) == {
        "best/val/top1": max(values),
        "best/epoch": 1 + values.index(max(values)),
    }


def test_the_learning_rate_is_logged_at_each_logged_step(coloured: Path, tmp_path: Path) -> None:
    options = ["data=folder", f"data.root={coloured}", "data.resolution=32", "data.batch_size=8", "data.workers=0"]
    options += ["backbone.width=0.25", "trainer=cpu", "trainer.max_epochs=1", "trainer.log_every_n_steps=1"]
    train(compose([*options, "logger=csv", "callbacks.pictures.count=0", f"run_dir={tmp_path / 'run'}"]))
    with (tmp_path / "run" / "steps.csv").open(newline="") as file:
        logged = list(csv.DictReader(file))
    steps = {name: [row["step"] for row in logged if row["metric"] == f"train/{name}_step"] for name in ("loss", "lr")}
    assert steps["lr"] == steps["loss"] == ["0", "1", "2"]
