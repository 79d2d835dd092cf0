"""Activation maps: LayerCAM's numbers by another way, boxes too, and the files and figures that a run gets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from mobilevision.config.compose import compose
from mobilevision.images.framing import Affine
from mobilevision.prediction.activation_maps import activation_map, draw_activation
from mobilevision.prediction.model import load
from mobilevision.spec import Needs
from mobilevision.training.train import train


def test_of_a_linear_layer_on_the_mean_it_is_the_positive_weights_times_the_map(trained: Path, coloured: Path) -> None:
    model = load(trained, device="cpu")
    image = model.preprocess(next((coloured / "test").rglob("*.png")))
    found = activation_map(model.task, image)
    with torch.no_grad():
        strides = model.task.backbone.spec.strides
        features = model.task.backbone(image[None], Needs(strides=(max(strides),), pooled=True))
        weights = next(each.weight for each in model.task.head.modules() if isinstance(each, torch.nn.Linear))
        best = model.task.head(features)[0].argmax()
        weighted = (features.maps[max(strides)] * weights[best].clamp(min=0)[None, :, None, None]).sum(1, keepdim=True)
        expected = functional.interpolate(weighted, tuple(image.shape[-2:]), mode="bilinear")[0, 0]
    assert found is not None
    assert found == pytest.approx((expected / expected.max()).numpy(), abs=1e-5)


def test_it_works_where_gradients_are_off_and_leaves_none(trained: Path, coloured: Path) -> None:
    model = load(trained, device="cpu")
    image = model.preprocess(next((coloured / "test").rglob("*.png")))
    with torch.inference_mode():
        found = activation_map(model.task, image.clone())
    assert found is not None
    assert (found.min() >= 0, found.max()) == (True, 1.0)
    assert all(parameter.grad is None for parameter in model.task.parameters())


def test_a_task_without_a_score_has_none(trained: Path, coloured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(trained, device="cpu")
    monkeypatch.setattr(type(model.task), "explained", lambda self, outputs: None)
    assert activation_map(model.task, model.preprocess(next((coloured / "test").rglob("*.png")))) is None


def test_the_part_of_the_input_that_is_the_image_is_drawn() -> None:
    activation = np.zeros((40, 40), np.float32)
    activation[10:30, :20] = 1.0  # of a letterbox: the image lies in rows 10 to 30, its left half is looked at
    pixels = np.full((40, 80, 3), 100, np.uint8)
    drawn = np.asarray(draw_activation(pixels, Affine(2.0, 2.0, 0.0, -20.0), activation)).astype(int)
    assert drawn.shape == (40, 80, 3)
    assert np.abs(drawn[:, 45:] - 100).max() == 0
    assert np.abs(drawn[2:-2, 5:35] - 100).max() > 30


@pytest.mark.parametrize(
    "options",
    [
        ["task=classification", "data.format.train=32", "data.format.val=8", "data.format.test=8"],
        ["task=detection", "data.format.train=16", "data.format.val=4", "data.format.test=4", "data.resolution=96"],
        ["task=face_embedding", "data.format.train=8", "data.format.val=4", "data.format.test=4"],
    ],
    ids=lambda options: options[0],
)
def test_a_run_has_them_beside_its_predictions(options: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    quick = ["backbone.width=0.25", "data.workers=0", "data.batch_size=8", "trainer=cpu", "trainer.max_epochs=1"]
    train(compose([*options, *quick, "logger=none", "callbacks.pictures.count=4", f"run_dir={run}"]))
    names = {file.name for file in (run / "predictions").glob("*.png") if not file.name.startswith("confused")}
    explained = {file.name for file in (run / "predictions" / "activation").glob("*.png")}
    page = (run / "report.html").read_text(encoding="utf-8")
    if options[0] == "task=face_embedding":  # a vector is no score
        assert (explained, page.count('class="activation"')) == (set(), 0)
        return
    assert explained == names
    assert page.count('class="activation"') == 4
    for name in explained:
        with Image.open(run / "predictions" / "activation" / name) as image:
            assert image.mode == "RGB"


def test_they_can_be_left_out(coloured: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = ["data=folder", f"data.root={coloured}", "data.resolution=32", "data.batch_size=8", "data.workers=0"]
    options += ["backbone.width=0.25", "trainer=cpu", "trainer.max_epochs=1", "logger=none", f"run_dir={run}"]
    train(compose([*options, "callbacks.pictures.count=2", "callbacks.pictures.activation=false"]))
    assert not (run / "predictions" / "activation").exists()
    assert len(list((run / "predictions").glob("[wt]*.png"))) == 2
