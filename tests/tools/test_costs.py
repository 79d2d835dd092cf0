"""``mobilevision cost``: any composed model and any run, without data and without weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mobilevision.config.compose import compose
from mobilevision.errors import UserError
from mobilevision.tools.costs.command import cost
from mobilevision.tools.costs.counting import ClassInfo, Counted, class_info_of, cost_of


def counted(*overrides: str, outputs: int | None = None) -> Counted:
    cfg = compose(overrides, complete=False)
    return cost_of(cfg, **class_info_of(cfg, outputs)._asdict())


@pytest.mark.parametrize(
    ("overrides", "outputs", "mult_adds", "parameters"),
    [
        ("data=imagenet", 1000, 568_740_352, 4_231_976),
        ("data=imagenet backbone.width=0.25", 1000, 41_030_272, 470_072),
        ("data=folder data.resolution=224 backbone.conv=full", 1000, 4_867_293_184, 29_294_088),
        ("data=coco task=detection head=ssd", 91, 1_237_129_408, 6_819_839),
        ("experiment=paper_ssd300", None, 1_237_129_408, 6_819_839),
        ("data=coco task=detection head=faster_rcnn data.resolution=600", 91, 30_493_696_000, 6_065_995),
    ],
)
def test_the_paper_s_models_to_the_digit(overrides: str, outputs: int | None, mult_adds: int, parameters: int) -> None:
    found = counted(*overrides.split(), outputs=outputs).cost
    assert found.parameters == parameters
    assert found.mult_adds == pytest.approx(mult_adds, rel=2e-5 if "600" in overrides else 0)


def test_outputs_of_detectors_have_background_among_them() -> None:
    assert class_info_of(compose(["task=detection"]), 91) == ClassInfo(90)
    assert class_info_of(compose(["task=detection", "head.outputs=81", "data=coco"]), None).classes == 80
    with pytest.raises(UserError, match="--outputs 1: at least 2, background included"):
        class_info_of(compose(["task=detection"]), 1)


def test_classes_come_from_the_data_where_it_is(coloured: Path) -> None:
    assert counted("data=folder", f"data.root={coloured}", "backbone.width=0.25").classes == 3
    with pytest.raises(UserError, match=r"no such file or folder.*--outputs N counts without data"):
        counted("data=imagenet", "data.root=nowhere")
    with pytest.raises(UserError, match=r"data.root.*--outputs N counts without data"):
        counted("data=folder")


def test_what_only_training_has_is_no_cost() -> None:
    from mobilevision.engine.build import build

    cfg = compose(["task=face_embedding", "loss=arcface", "backbone.width=0.25", "data.workers=0"])
    built = build(cfg)
    assert any(True for _ in built.task.loss.parameters())
    assert built.cost.parameters == cost_of(cfg, classes=2).cost.parameters


def test_a_vector_needs_no_data_and_has_no_outputs() -> None:
    found = counted("task=face_embedding", "data=lfw", "data.resolution=160")
    assert (found.cost.mult_adds, found.cost.parameters) == (289_782_272, 3_338_304)
    with pytest.raises(UserError, match=r"--outputs 5: .*head.dimensions"):
        counted("task=face_embedding", outputs=5)


@pytest.mark.parametrize(
    ("weights", "side"), [("null", 224), ("torchvision", 224), ("mobilenetv4_conv_medium.e500_r256_in1k", 256)]
)
def test_weights_are_not_fetched_but_their_side_is_taken(weights: str, side: int) -> None:
    found = counted("data=imagenet", "backbone=mobilenet_v3", f"backbone.weights={weights}", outputs=10)
    assert found.resolution == (side, side)


def test_weights_of_keras_are_not_fetched_either() -> None:
    found = counted("data=imagenet", "backbone=mobilenet_v1", "backbone.weights=keras-160", outputs=10)
    assert found.resolution == (160, 160)


def test_cells_of_earth() -> None:
    flat = counted("task=geolocalization", "data.resolution=224", outputs=10_000)
    assert (flat.cost.mult_adds, flat.cost.parameters) == (577_956_352, 13_456_976)
    levels = counted("task=geolocalization", "data.resolution=224", "head.levels=[0]", outputs=1000)
    assert levels.cost.parameters == 4_231_976 + 6 * 1025  # the six faces of the cube
    read = counted("task=geolocalization", "data.format.train=400", "backbone.width=0.25")
    assert 1 < read.classes < 400


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(UserError, match="use head=faster_rcnn_fpn"):
        counted("task=detection", "head=faster_rcnn", "backbone=timm", "backbone.name=resnet18", outputs=5)
    with pytest.raises(UserError, match=r"timm_backbone and LinearHead do not run on this input: .*65"):
        counted("backbone=timm", "backbone.name=vit_tiny_patch16_224", "data.resolution=65", outputs=5)


def test_a_config_is_left_as_it_was_and_may_be_varied() -> None:
    cfg = compose(["data=imagenet"])
    before = cfg.copy()
    first = cost_of(cfg, classes=10).cost.mult_adds
    cfg.backbone.width = 0.5
    assert cost_of(cfg, classes=10).cost.mult_adds < first / 3
    cfg.backbone.width = before.backbone.width
    assert cfg == before


def test_a_run_costs_what_it_said(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    info = json.loads((finished_run / "info.json").read_text(encoding="utf-8"))
    cost([str(finished_run)], as_json=True)
    found = json.loads(capsys.readouterr().out)
    same = ("parameters", "mult_adds", "resolution", "channels")
    assert {key: found[key] for key in same} == {key: info[key] for key in same}
    assert found["classes"] == 3
    bare = tmp_path / "bare"
    shutil.copytree(finished_run, bare, ignore=shutil.ignore_patterns("info.json", "predictions"))
    assert cost([str(bare)]).cost.mult_adds == info["mult_adds"]
    with pytest.raises(UserError, match="a run is counted as it was trained"):
        cost([str(finished_run)], outputs=5)
    with pytest.raises(UserError, match="a run is counted as it was trained"):
        cost([str(finished_run), "backbone.width=1"])


def test_the_console_and_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cost(["data=imagenet"], outputs=1000, layers=True, out=tmp_path / "new" / "costs")
    printed = capsys.readouterr().out
    assert "568,740,352" in printed
    assert "float32 16.88 MB · float16 8.44 MB · int8 4.30 MB" in printed
    assert [line.split() for line in printed.splitlines() if line.startswith("conv 1x1")] == [
        ["conv", "1x1", "13", "539,492,352", "94.86%", "3,139,584", "74.19%"]
    ]
    assert "blocks.4.1.conv_pw  conv 1x1         1024x7x7    51,380,224   1,048,576" in printed
    assert "and 27 without mult-adds" in printed
    folder = tmp_path / "new" / "costs"
    assert len((folder / "layers.csv").read_text(encoding="utf-8").splitlines()) == 1 + 55
    assert json.loads((folder / "cost.json").read_text(encoding="utf-8"))["activations"]["float32"] == 4_816_896
    assert Image.open(folder / "cost.png").width > 600


HEAD = """
import torch
from mobilevision.heads import Head
from mobilevision.spec import Needs

class Careful(Head):
    needs = Needs(pooled=True)

    def __init__(self, *, backbone, data):
        super().__init__(backbone=backbone, data=data)
        self.scale = torch.ones(3).sum().item()  # looks at a value: there is none on the meta device
        self.layer = torch.nn.Linear(backbone.width, len(data.classes), bias=False)

    def forward(self, features):
        return self.layer(features.pooled if features.pooled.mean() > -1e9 else features.pooled * 2)
"""


def test_a_plugin_s_head_that_looks_at_values(tmp_path: Path, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "careful"
    yaml = "_target_: careful_cost_head.Careful\nkinds: [class]\n"
    write(folder, {"careful_cost_head.py": HEAD, "conf/head/careful.yaml": yaml})
    monkeypatch.setenv("MOBILEVISION_PATH", str(folder))
    found = cost(["head=careful", "backbone.width=0.25", "data.resolution=32"], outputs=7)
    head = next(row for row in found.cost.layers if row.name == "head.layer")
    assert (head.mult_adds, head.parameters) == (7 * 256, 7 * 256)
