"""Our counts are those of others, where they count the same thing."""

from __future__ import annotations

import logging

import pytest
import timm
import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode

from mobilevision.cost import count
from mobilevision.cost.layers import kind_of

TIMM = ["mobilenetv1_100", "mobilenetv2_050", "mobilenetv3_small_100", "mobilenetv4_conv_small", "vit_tiny_patch16_224"]
TORCHVISION = ["alexnet", "densenet121", "efficientnet_b0", "googlenet", "inception_v3", "mnasnet1_0", "mobilenet_v2"]
TORCHVISION += ["mobilenet_v3_large", "mobilenet_v3_small", "resnet50", "resnext50_32x4d", "shufflenet_v2_x1_0"]
TORCHVISION += ["squeezenet1_0", "vgg16", "vit_b_16"]


@pytest.mark.parametrize("name", TIMM)
def test_torch_counts_as_many(name: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name).eval()
        image = torch.empty(1, 3, 224, 224)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    assert count(model, image).mult_adds == counter.get_total_flops() / 2


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_publishes_the_same(name: str) -> None:
    from torchvision.models import get_model, get_model_weights

    weights = get_model_weights(name).DEFAULT
    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    with torch.device("meta"):
        model = get_model(name, **options)
    side = weights.transforms().crop_size[0]
    counted = count(model, torch.empty(1, 3, side, side, device="meta"))
    assert round(counted.mult_adds / 1e9, 3) == weights.meta["_ops"]
    if not options:  # googlenet's figure has its side heads in it
        assert counted.parameters == weights.meta["num_params"]


@pytest.mark.parametrize("name", ["mobilenetv1_100", "mobilenetv4_conv_small", "resnet18"])
def test_fvcore_counts_as_many_in_convolutions_and_linear_layers(name: str) -> None:
    fvcore = pytest.importorskip("fvcore.nn")
    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    model, image = timm.create_model(name).eval(), torch.zeros(1, 3, 64, 64)
    theirs = fvcore.FlopCountAnalysis(model, image).by_operator()
    assert count(model, image.to("meta")).mult_adds == theirs["conv"] + theirs["linear"]


def test_kinds() -> None:
    from torch import nn

    made = {
        "conv 1x1": nn.Conv2d(4, 8, 1),
        "conv dw 3x5": nn.Conv2d(4, 8, (3, 5), groups=4),
        "conv grouped 3x3": nn.Conv2d(4, 8, 3, groups=2),
        "conv 3x3": nn.Conv2d(1, 8, 3, groups=1),
        "conv transposed 2x2": nn.ConvTranspose2d(4, 8, 2),
        "conv 3": nn.Conv1d(4, 8, 3),
        "fully connected": nn.Linear(2, 3),
        "batch norm": nn.BatchNorm2d(3),
        "norm": nn.LayerNorm(3),
        "other": nn.Embedding(3, 3),
    }
    assert {kind_of(module): module for module in made.values()} == made
    assert kind_of(torchvision.ops.FrozenBatchNorm2d(3)) == "norm"
