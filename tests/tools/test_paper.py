"""``mobilevision paper``: exact counts, the list of misprints, and figures of runs where there are any."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from mobilevision.backbones import mobilenet_v1
from mobilevision.config.compose import compose
from mobilevision.errors import UserError
from mobilevision.evaluation.evaluate import evaluate
from mobilevision.tools.paper.command import SAME, Line, as_dict, lines_of, paper, text_of
from mobilevision.tools.paper.ours import find_results
from mobilevision.tools.paper.reading import SOURCES, UNITS, table, tables

ROOT = Path(__file__).resolve().parents[2]


@cache
def lines(number: int) -> list[Line]:
    return lines_of(table(number))


def ours(number: int, name: str, key: str) -> Any:
    """Our figure of the first row of that name."""
    keys = [column.key for column in table(number).columns]
    return next(line for line in lines(number) if line.name == name).cells[keys.index(key)].ours


def test_fourteen_tables_that_are_well_formed() -> None:
    assert [each.number for each in tables()] == list(range(1, 15))
    for each in tables():
        keys = {column.key for column in each.columns}
        assert all(column.source in SOURCES and column.unit in UNITS for column in each.columns)
        assert all(set(row.paper) <= keys and set(row.sources) <= keys for row in each.rows), each.number


@pytest.mark.parametrize(
    ("number", "name", "mult_adds", "parameters"),
    [
        (4, "Conv MobileNet", 4_867_293_184, 29_294_088),
        (4, "MobileNet", 568_740_352, 4_231_976),
        (5, "Shallow MobileNet", 307_323_392, 2_887_976),
        (6, "0.75 MobileNet-224", 325_400_448, 2_585_560),
        (6, "0.5 MobileNet-224", 149_497_088, 1_331_592),
        (6, "0.25 MobileNet-224", 41_030_272, 470_072),
        (8, "VGG 16", 15_470_264_320, 138_357_544),
        (13, "SSD 300 MobileNet", 1_237_129_408, 6_819_839),
        (13, "FRCNN 300 MobileNet", 25_224_412_096, 6_065_995),
    ],
)
def test_exact_counts(number: int, name: str, mult_adds: int, parameters: int) -> None:
    assert (ours(number, name, "mult_adds"), ours(number, name, "parameters")) == (mult_adds, parameters)


@pytest.mark.parametrize(
    ("number", "name", "millions"),
    [
        (7, "1.0 MobileNet-192", 418.12),
        (7, "1.0 MobileNet-160", 290.68),
        (7, "1.0 MobileNet-128", 186.40),
        (9, "0.50 MobileNet-160", 76.52),
        (10, "1.0 MobileNet-224", 567.84),
        (10, "0.75 MobileNet-192", 238.60),
        (12, "0.25 MobileNet-224", 40.8),
        (12, "0.25 MobileNet-128", 13.3),
        (14, "1.0 MobileNet-160", 289.8),
        (14, "0.75 MobileNet-160", 165.7),
        (14, "0.75 MobileNet-128", 106.1),
    ],
)
def test_rounded_counts(number: int, name: str, millions: float) -> None:
    assert round(ours(number, name, "mult_adds") / 1e6, len(str(millions).partition(".")[2])) == millions


def differing(number: int) -> set[tuple[str, str]]:
    """(row, column) of the cells where ours is not what is printed."""
    columns = [column.key for column in table(number).columns]
    return {
        (line.name, key)
        for line in lines(number)
        for key, cell in zip(columns, line.cells, strict=True)
        if cell.difference not in ("", SAME)
    }


def test_what_differs_is_known_and_explained() -> None:
    known = {
        1: {("Conv dw", "stride")},
        2: {("Conv 3x3", "mult_adds")},
        3: set(),
        4: {("Conv MobileNet", "mult_adds")},
        5: set(),
        6: set(),
        7: {("1.0 MobileNet-160", "mult_adds")},
        11: set(),
        12: {(f"{model} MobileNet-{side}", "mult_adds") for model, side in ((0.25, 224), (0.5, 128), (0.25, 128))},
    }
    assert {number: differing(number) for number in known} == known
    for each in tables():
        named = {name for name, _ in differing(each.number)}
        unsaid = {line.name for line in lines(each.number) if line.name in named and not line.note}
        # VGG 16 is what it is; Table 14's are told below the table, as they are the same for all of its rows.
        assert unsaid <= {"VGG 16", *(row.name for row in table(14).rows)} or each.number == 1, unsaid


def test_where_nothing_is_counted_it_says_why() -> None:
    every = [line for each in tables() for line in lines(each.number)]
    silent = {line.name for line in every if not line.note and line.cells[-1].ours is None}
    assert silent == {"Avg Pool", "Softmax", *(row.name for row in table(11).rows[:5])}  # told below their tables


def test_the_other_detectors_are_the_paper_s() -> None:
    for name in ("SSD 300 VGG", "FRCNN 300 VGG"):
        cells = next(line for line in lines(13) if line.name == name).cells
        assert cells[1].difference == SAME
    assert next(line for line in lines(13) if line.name == "FRCNN 600 VGG").cells[2].difference == SAME


def test_five_blocks_are_equal() -> None:
    from mobilevision.tools.paper.ours import row_cost

    cost = row_cost(table(1), table(1).rows[0])
    assert cost is not None
    layers = [(each.kind, each.inputs, each.shape) for each in cost.layers if each.mult_adds]
    assert len(layers) == 28
    assert all(layers[13 + 2 * block : 15 + 2 * block] == layers[13:15] for block in range(5))


def test_the_page_holds_the_whole_output() -> None:
    page = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    for each in tables():
        printed = text_of(each, lines(each.number), width=100)
        assert printed in page, "run: COLUMNS=100 mobilevision paper"


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_a_terminal(width: int) -> None:
    for each in tables():
        assert max(map(len, text_of(each, lines(each.number), width=width).splitlines())) <= width


def test_json_and_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    paper(number=6, as_json=True)
    (found,) = json.loads(capsys.readouterr().out)
    assert found == json.loads(json.dumps(as_dict(table(6), lines(6))))
    assert found["rows"][0]["figures"]["mult_adds"] == {"paper": "569", "ours": 568_740_352, "difference": "="}
    assert found["rows"][0]["figures"]["accuracy"]["ours"] is None
    with pytest.raises(UserError, match="the paper has tables 1 to 14"):
        paper(number=0)


def run(folder: Path, overrides: list[str], metrics: dict[str, float], data: str | None = None) -> None:
    """A run folder, as far as it is read here; ``data``: also an evaluation on that, which has the metrics."""
    folder.mkdir(parents=True)
    cfg = compose(overrides, complete=False)
    OmegaConf.save(cfg, folder / "config.yaml", resolve=True)
    side = cfg.data.resolution
    (folder / "info.json").write_text(json.dumps({"resolution": [side, side]}), encoding="utf-8")
    place = folder
    if data is not None:
        place = folder / "evaluations" / "2026-01-01_00-00-00"
        place.mkdir(parents=True)
        about = {"data": OmegaConf.to_container(compose([f"data={data}"], complete=False).data)}
        (place / "info.json").write_text(json.dumps(about), encoding="utf-8")
    (place / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")


def test_runs_of_ours_stand_beside(tmp_path: Path) -> None:
    half = ["backbone.width=0.5", "data.resolution=224"]
    run(tmp_path / "a", ["data=imagenet", *half], {"test/top1": 0.62, "val/top1": 0.9})
    run(tmp_path / "b", ["data=imagenet", *half], {"test/top1": 0.631})
    run(tmp_path / "c", ["data=shapes", *half], {"test/top1": 0.99})  # other data
    run(tmp_path / "d", ["data=imagenet", "data.resolution=192"], {"val/top1": 0.99})  # val chose it
    run(tmp_path / "e", ["data=shapes", "data.resolution=128"], {"test/top1": 0.637}, data="imagenet")
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "metrics.json").write_text("[]", encoding="utf-8")
    results = find_results(tmp_path)
    assert {each.path.name for each in results} == {"a", "b", "c", "d", "2026-01-01_00-00-00"}
    found = {line.name: line for line in lines_of(table(6), results)}
    cell = found["0.5 MobileNet-224"].cells[0]
    assert (cell.paper, cell.shown, cell.difference) == ("63.7", "63.1", "-0.6")
    assert found["0.5 MobileNet-224"].note == f"Ours is {tmp_path / 'b'}."
    assert found["1.0 MobileNet-224"].cells[0].ours is None
    sides = {line.name: line.cells[0].shown for line in lines_of(table(7), results)}
    assert (sides["1.0 MobileNet-192"], sides["1.0 MobileNet-128"]) == ("", "63.7")


def test_evaluated_weights_stand_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of weights nothing was chosen by ImageNet's val, which is all that there is; a broken file is passed over."""
    rng = np.random.default_rng(0)
    for wnid in ("n01440764", "n01484850"):
        (tmp_path / "ILSVRC" / "val" / wnid).mkdir(parents=True)
        for number in range(2):
            pixels = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "ILSVRC" / "val" / wnid / f"{number}.JPEG")
    body = mobilenet_v1(width=0.25)
    bias = torch.zeros(1000)
    bias[0] = 1  # the first class, whatever is seen
    state = {**body.model.state_dict(), "classifier.weight": torch.zeros(1000, 256), "classifier.bias": bias}
    torch.save(state, tmp_path / "weights.pth")
    monkeypatch.chdir(tmp_path)
    data = ["data=imagenet", "data.root=ILSVRC", "data.workers=0", "data.resolution=224", "trainer=cpu"]
    evaluate(None, [*data, "backbone=mobilenet_v1", "backbone.width=0.25", "backbone.weights=weights.pth"])
    (tmp_path / "outputs" / "broken").mkdir()
    (tmp_path / "outputs" / "broken" / "info.json").write_text('{"config": {"task": 1}, "resolution": [1]}')
    (tmp_path / "outputs" / "broken" / "metrics.json").write_text('{"val/top1": 1.0}')
    results = find_results("outputs")
    assert len(results) == 1
    shown = {line.name: line.cells[0].shown for line in lines_of(table(6), results)}
    assert shown["0.25 MobileNet-224"] == "50.0"
    assert shown["0.5 MobileNet-224"] == ""


def test_results_are_looked_for_in_a_folder() -> None:
    with pytest.raises(UserError, match="--results nowhere: there is no such folder"):
        paper(number=6, results="nowhere")
