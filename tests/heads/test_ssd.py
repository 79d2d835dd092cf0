"""SSD and SSDLite: the paper's cost, any side and backbone, and one step of learning."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import ssdlite

from mobilevision.backbones import Backbone, mobilenet_v1, mobilenet_v2, mobilenet_v3, mobilenet_v4, timm_backbone
from mobilevision.cost import count
from mobilevision.errors import UserError
from mobilevision.heads import DetectionHead, SSDHead, SSDLiteHead
from mobilevision.heads.ssd import PRIOR, ConvNorm
from mobilevision.losses import MultiBox
from mobilevision.ops.candidates import DetectorOutputs
from mobilevision.spec import BackboneSpec, DataSpec, Features

HEADS = [SSDHead, SSDLiteHead]
SPEC = BackboneSpec(width=64, strides={8: 16, 16: 32, 32: 64})


class Joined(nn.Module):
    """A backbone under a head, as a task has them."""

    def __init__(self, body: Backbone, head: DetectionHead) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return self.head.decode(self.outputs(images))

    def outputs(self, images: Tensor) -> DetectorOutputs:
        return self.head(self.body(images, self.head.needs))  # type: ignore[no-any-return]


def data(classes: int = 4, height: int = 300, width: int | None = None) -> DataSpec:
    names = tuple(f"c{index}" for index in range(classes))
    return DataSpec(kind="boxes", classes=names, channels=3, resolution=(height, width or height))


def features(spec: DataSpec, batch: int = 2) -> Features:
    height, width = spec.resolution
    generator = torch.Generator().manual_seed(0)
    maps = {
        stride: torch.randn(batch, wide, math.ceil(height / stride), math.ceil(width / stride), generator=generator)
        for stride, wide in SPEC.strides.items()
    }
    return Features(maps, None)


@pytest.mark.parametrize(
    ("outputs", "mult_adds", "parameters"), [(91, 1_237_129_408, 6_819_839), (81, 1_224_465_088, 6_673_589)]
)
def test_costs_what_the_paper_says(outputs: int, mult_adds: int, parameters: int) -> None:
    body = mobilenet_v1()
    head = SSDHead(backbone=body.spec, data=data(80), outputs=outputs)
    cost = count(Joined(body, head), torch.empty(1, 3, 300, 300, device="meta"))
    assert (cost.mult_adds, cost.parameters) == (mult_adds, parameters)
    assert len(head.anchors) == 1917


def test_ssdlite_has_torchvisions_layers() -> None:
    body = mobilenet_v3()
    head = SSDLiteHead(backbone=body.spec, data=data(90, 320))
    channels, counts = list(head.maps.channels), [6] * 6
    theirs = ssdlite.SSDLiteHead(channels, counts, 91, nn.BatchNorm2d)
    extras = [ssdlite._extra_block(*pair, nn.BatchNorm2d) for pair in pairwise(channels[1:])]
    expected = sum(weight.numel() for module in (theirs, *extras) for weight in module.parameters())
    assert sum(weight.numel() for weight in head.parameters()) == expected
    assert len(head.anchors) == 3234  # torchvision's: 6 at each of 400 + 100 + 25 + 9 + 4 + 1 places


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize(
    "make",
    [
        lambda: mobilenet_v1(width=0.25),
        lambda: mobilenet_v2(width=0.35),
        lambda: mobilenet_v3(size="small", width=0.5),
        lambda: mobilenet_v4(),
        lambda: timm_backbone(name="resnet10t"),
        lambda: timm_backbone(name="convnext_atto"),  # rounds the sides of its maps down
    ],
)
def test_any_backbone(kind: type[SSDHead], make: Any) -> None:
    body = make()
    model = Joined(body, kind(backbone=body.spec, data=data(3, 100, 140), width=0.25)).eval()
    with torch.no_grad():
        outputs = model.outputs(torch.zeros(1, 3, 100, 140)).final
    assert outputs.logits.shape == (1, outputs.anchors.shape[1], 4)
    assert outputs.deltas.shape == outputs.anchors.shape
    assert outputs.valid.all()


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize(("height", "width"), [(300, 300), (64, 64), (32, 32), (200, 320), (512, 512), (33, 500)])
def test_any_side(kind: type[SSDHead], height: int, width: int) -> None:
    spec = data(4, height, width)
    head = kind(backbone=SPEC, data=spec)
    final = head(features(spec)).final
    assert final.logits.shape[:2] == (2, len(head.anchors))
    centres = (head.anchors[:, :2] + head.anchors[:, 2:]) / 2
    assert (centres > 0).all()
    assert (centres < torch.tensor([width, height])).all()


def test_fewer_maps_on_small_sides_and_finer_ones_if_asked() -> None:
    assert SSDHead(backbone=SPEC, data=data(4, 96)).maps.grids == ((6, 6), (3, 3), (2, 2), (1, 1))
    fine = SSDHead(backbone=SPEC, data=data(), strides=[32, 8, 16])
    assert fine.needs.strides == (8, 16, 32)
    assert fine.maps.grids[0] == (38, 38)


def test_anchors_can_be_given() -> None:
    anchors = [[[0.1, 0.2]], [[0.5, 0.5], [1.0, 0.25]], [[0.9, 0.9]]]
    head = SSDHead(backbone=SPEC, data=data(4, 64), anchors=anchors)
    sides = head.anchors[:, 2:] - head.anchors[:, :2]
    torch.testing.assert_close(sides[[0, 16]], torch.tensor([[6.4, 12.8], [32.0, 32.0]]))
    assert head(features(data(4, 64))).final.logits.shape[1] == len(head.anchors) == 16 + 4 * 2 + 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strides": [4]}, r"head.strides=\[4\]: the backbone has maps at strides 8, 16, 32"),
        ({"strides": []}, "head.strides"),
        ({"outputs": 4}, "head.outputs=4: 4 classes and background need 5"),
        ({"scales": [0.1, 0.2, 0.3]}, "head.scales: 3 scales for 6 maps"),
        ({"scales": [0.0, 0.2]}, "above 0"),
        ({"anchors": [[[0.1, 0.1]]]}, "head.anchors: 1 lists for 6 maps"),
        ({"anchors": [[[0.1, 0.1]]] * 5 + [[[0.1, -0.1]]]}, "must be above 0, not -0.1"),
    ],
)
def test_what_does_not_fit_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SSDHead(backbone=SPEC, data=data(), **options)


@pytest.mark.parametrize("kind", HEADS)
def test_an_untrained_head_expects_background(kind: type[SSDHead]) -> None:
    final = kind(backbone=SPEC, data=data(20)).eval()(features(data(20))).final
    objects = 1 - final.logits.softmax(dim=-1)[..., 0]
    assert objects.mean().item() == pytest.approx(PRIOR, rel=0.5)


@pytest.mark.parametrize("kind", HEADS)
def test_predictions_stand_beside_their_default_boxes(kind: type[SSDHead]) -> None:
    """A change at one place of a map changes the outputs of the default boxes centred there, and few others."""
    spec = data(4, 64)
    head = kind(backbone=SPEC, data=spec, extras=[]).eval()
    maps = features(spec, 1)
    before = head(maps).final.logits
    maps.maps[16][0, :, 1, 2] += 5.0
    changed = (head(maps).final.logits - before).abs().sum(dim=-1)[0]
    strongest = changed.argmax()
    centre = (head.anchors[strongest, :2] + head.anchors[strongest, 2:]) / 2
    near = 16 if kind is SSDLiteHead else 1  # its predictors look at neighbours
    assert (centre - torch.tensor([2.5 * 16, 1.5 * 16])).abs().max() <= near


@pytest.mark.parametrize("kind", HEADS)
def test_one_image_in_a_batch_and_maps_of_one_place(kind: type[SSDHead]) -> None:
    spec = data(4, 64)
    head = kind(backbone=SPEC, data=spec).train()
    assert head.maps.grids[-1] == (1, 1)
    final = head(features(spec, 1)).final
    (final.logits.sum() + final.deltas.sum()).backward()
    assert all(weight.grad is not None for weight in head.parameters())
    layer = ConvNorm(4, 4, activation="relu").train()
    torch.testing.assert_close(layer(torch.ones(1, 4, 1, 1)), layer.eval()(torch.ones(1, 4, 1, 1)))


@pytest.mark.parametrize(
    ("kind", "loss"),
    [
        (SSDHead, {}),
        *(
            pytest.param(kind, loss, marks=pytest.mark.slow)
            for kind, loss in ((SSDLiteHead, {}), (SSDHead, {"classification": "focal"}), (SSDHead, {"box": "giou"}))
        ),
    ],
)
def test_overfits_two_images(kind: type[SSDHead], loss: dict[str, Any]) -> None:
    torch.manual_seed(0)
    spec = data(3, 96)
    body = mobilenet_v1(width=0.25)
    model = Joined(body, kind(backbone=body.spec, data=spec, width=0.25)).train()
    images = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8)
    boxes = torch.tensor([[[8.0, 8, 40, 40], [50, 20, 90, 80]], [[20, 30, 80, 90], [0, 0, 0, 0]]])
    target = {"boxes": boxes, "labels": torch.tensor([[0, 1], [2, -1]]), "crowd": torch.zeros(2, 2, dtype=torch.bool)}
    criterion, optimizer = MultiBox(data=spec, **loss), torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(80):
        optimizer.zero_grad()
        sum(criterion(model.outputs(images), {"target": target}).values()).backward()  # type: ignore[union-attr]
        optimizer.step()
    assert all(weight.grad is not None for name, weight in model.named_parameters())
    with torch.no_grad():
        found = model.head.decode(model.outputs(images))
    for row, kept in ((0, [0, 1]), (1, [2])):
        assert sorted(found["labels"][row, : len(kept)].tolist()) == kept
        assert found["scores"][row, : len(kept)].min() > 0.3
    torch.testing.assert_close(found["boxes"][1, 0], boxes[1, 0], atol=8, rtol=0)
