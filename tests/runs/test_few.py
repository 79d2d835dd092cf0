"""``auto``: a probe and held statistics where there are good weights and few pictures, and nowhere else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mobilevision.runs.build import build
from mobilevision.runs.compose import compose
from mobilevision.runs.few import settle_few

QUICK = ["backbone.width=0.25", "data.resolution=32", "data.batch_size=8", "data.workers=0", "logger=none"]


@pytest.fixture(scope="module")
def weights(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("few") / "run"))


def settled(root: Path, *overrides: str) -> tuple[bool, bool, list[str]]:
    cfg = compose(["task=fine_grained", "data=folder", f"data.root={root}", *QUICK, *overrides])
    built = build(cfg)
    settle_few(cfg, built)
    notes = [note for note in built.data.splits.notes if note.startswith("few pictures")]
    return cfg.probe.enabled, cfg.freeze.statistics, notes


def test_good_weights_and_few_pictures_ask_for_a_probe(coloured: Path, weights: Path) -> None:
    found = settled(coloured, f"backbone.weights={weights}")
    said = "few pictures (8 a class) and pretrained weights: probe.enabled=true, freeze.statistics=true"
    assert found == (True, True, [f"{said}, learning rate 3.2e-05"])
    assert settled(coloured, f"backbone.weights={weights}", "optimizer.lr=0.01")[2] == [said]


def test_what_the_user_says_stays(coloured: Path, weights: Path) -> None:
    enabled, statistics, notes = settled(coloured, f"backbone.weights={weights}", "probe.enabled=false")
    assert (enabled, statistics) == (False, True)
    assert "weights: freeze.statistics=true," in notes[0]


def test_random_weights_or_many_pictures_do_not(coloured: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settled(coloured) == (False, False, [])
    monkeypatch.setattr("mobilevision.runs.few.FEW", 7)
    assert settled(coloured, f"backbone.weights={weights}") == (False, False, [])
