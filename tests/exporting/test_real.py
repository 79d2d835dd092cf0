"""Models that have learnt real images: file and checkpoint say the same of each of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

WEIGHTS = "mobilenet_v1_0.25_128_in1k.safetensors"
CLOTHING = ["task=classification", "experiment=finetune_small", "data=auto", "data.root={data}/clothing"]
FACES = ["task=face_attributes", "data=celeba", "data.root={data}/faces"]
BOXES = ["experiment=finetune_boxes", "data=auto", "data.root={data}/raccoon/csv"]
CASES = {
    "clothing": [*CLOTHING, "trainer.max_epochs=1"],
    "faces": [*FACES, "trainer.max_epochs=2"],
    "raccoon": [*BOXES, "head=ssdlite", "trainer.max_epochs=6"],
    "raccoon_regions": [*BOXES, "head=faster_rcnn", "trainer.max_epochs=3"],
}


@pytest.mark.parametrize("name", CASES)
def test_every_image_gets_the_checkpoints_answer(
    name: str, shared_data: Path, shared_weights: Path, tmp_path: Path
) -> None:
    from mobilevision.config.compose import compose
    from mobilevision.exporting.command import export
    from mobilevision.training.train import train

    own = [each.format(data=shared_data) for each in CASES[name]]
    small = ["data.resolution=128", "data.workers=0", "backbone.width=0.25", "trainer=cpu", "logger=none"]
    given = [
        f"backbone.weights={shared_weights / WEIGHTS}",
        "callbacks.pictures.count=0",
        f"run_dir={tmp_path / 'run'}",
    ]
    train(compose([*own, *small, *given]))
    exported = export(tmp_path / "run", out=tmp_path / "out", max_drop=1e-4)
    gate = exported.manifest.about["gate"]
    assert gate["passed"]
    assert gate["agreement"] > 0.999  # a probability on its threshold, one of thousands, may fall to either side
    assert gate["pictures_with_equal_pixels"] == gate["pictures"] >= 20
    probable = {name: gap for name, gap in gate["largest_difference"].items() if name in ("probabilities", "scores")}
    assert probable
    assert max(probable.values()) < 1e-5
    assert np.isclose(gate["drop"], 0, atol=1e-6)


def test_rounded_weights_of_a_real_model_leave_a_tenth_of_the_noise(
    shared_data: Path, shared_weights: Path, tmp_path: Path
) -> None:
    """The pretrained classifier on photos, its weights rounded by us and to the nearest step, all else in float32."""
    import torch
    from PIL import Image

    from mobilevision.deploy.formats.onnx_int8.gptq import WHOLE, steps
    from mobilevision.deploy.formats.onnx_int8.prerounded_graph import rounded_graph
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision
    from mobilevision.exporting.finetuning import layer_names
    from mobilevision.exporting.subject import subject_of

    task = subject_of([f"backbone.weights={shared_weights / WEIGHTS}", "backbone.width=0.25"], gated=False).task
    photos = sorted((shared_data / "clothing" / "train").rglob("*.jpg"))[::3]
    pixels = np.stack([np.asarray(Image.open(path).convert("RGB").resize((128, 128))) for path in photos])
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    graph = Graph(task, shape=(3, 128, 128))
    ours = rounded_graph(graph, Precision("int8", images[::2].numpy()), WHOLE)
    with torch.no_grad():
        right = graph.task(images[1::2])
        noise = (ours.task(images[1::2]) - right).square().sum()
        for name in layer_names(task):
            weight = task.get_submodule(name).weight.data
            step = torch.from_numpy(steps(weight.flatten(1).numpy(), WHOLE)).float().view(-1, *[1] * (weight.ndim - 1))
            weight.copy_((weight / step).round() * step)
        nearest = (task(images[1::2]) - right).square().sum()
    assert noise < 0.1 * nearest
