"""Two-stage heads: the paper's cost to the digit, odd batches, and learning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import box_iou

from mobilevision.backbones import Backbone, mobilenet_v1, mobilenet_v2, mobilenet_v3, mobilenet_v4, timm_backbone
from mobilevision.cost import count
from mobilevision.errors import UserError
from mobilevision.heads import FasterRCNNFPNHead, FasterRCNNHead
from mobilevision.losses import MultiBox
from mobilevision.ops.candidates import DetectorOutputs
from mobilevision.spec import BackboneSpec, DataSpec

SIDE = 96
HEADS: dict[str, Any] = {"faster_rcnn": FasterRCNNHead, "faster_rcnn_fpn": FasterRCNNFPNHead}


class Detector(nn.Module):
    """What a task joins."""

    def __init__(self, backbone: Backbone, head: type, side: int, classes: int, **arguments: Any) -> None:
        super().__init__()
        self.data = DataSpec("boxes", tuple(map(str, range(classes))), 3, (side, side))
        self.head = head(backbone=backbone.spec, data=self.data, **arguments)
        if self.head.needs.tail:
            self.head.take_tail(backbone.split_tail())
        backbone.keep(self.head.needs)
        self.backbone = backbone

    def forward(self, images: Tensor, target: dict[str, Tensor] | None = None) -> DetectorOutputs:
        outputs: DetectorOutputs = self.head(self.backbone(images, self.head.needs), target)
        return outputs


def small(head: str, *, backbone: Backbone | None = None, classes: int = 3, **arguments: Any) -> Detector:
    """A detector that runs in milliseconds."""
    torch.manual_seed(0)
    options = {"regions": 16, "train_proposals": 100, "proposals": 30}
    if head == "faster_rcnn_fpn":
        options |= {"width": 32, "hidden": 64}
    else:
        arguments.pop("hidden", None)
    return Detector(backbone or mobilenet_v1(width=0.25), HEADS[head], SIDE, classes, **options | arguments)


def target_of(boxes: list[list[list[float]]], labels: list[list[int]]) -> dict[str, Tensor]:
    """A padded batch of them."""
    most = max(1, *map(len, labels))
    target = {"boxes": torch.zeros(len(boxes), most, 4), "labels": torch.full((len(boxes), most), -1)}
    for row, (corners, numbers) in enumerate(zip(boxes, labels, strict=True)):
        if numbers:
            target["boxes"][row, : len(numbers)] = torch.tensor(corners)
            target["labels"][row, : len(numbers)] = torch.tensor(numbers)
    return target | {key: torch.zeros(len(boxes), most, dtype=torch.bool) for key in ("crowd", "difficult")}


def images(batch: int = 2, side: int = SIDE) -> Tensor:
    torch.manual_seed(1)
    return torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8)


def total(model: Detector, outputs: DetectorOutputs, target: dict[str, Tensor]) -> Tensor:
    parts = MultiBox(data=model.data)(outputs, {"target": target})
    assert set(parts) == {"rpn_class", "rpn_box", "class", "box"}
    return torch.stack(list(parts.values())).sum()


@pytest.mark.parametrize(
    ("side", "outputs", "mult_adds", "parameters"),
    [
        (300, 81, 25_209_052_096, 6_014_745),
        (300, 91, 25_224_412_096, 6_065_995),
        (600, 81, 30_478_340_224, 6_014_745),
        (600, 91, 30_493_700_224, 6_065_995),
    ],
)
def test_the_papers_cost(side: int, outputs: int, mult_adds: int, parameters: int) -> None:
    """Table 13: 25.2 G and 30.5 G, 6.1 M; a box for every class, none for background."""
    model = Detector(mobilenet_v1(), FasterRCNNHead, side, 80, outputs=outputs)
    counted = count(model, torch.empty(1, 3, side, side, dtype=torch.uint8, device="meta"))
    assert (counted.mult_adds, counted.parameters) == (mult_adds, parameters)


@pytest.mark.parametrize("head", HEADS)
def test_shapes_are_fixed(head: str) -> None:
    model = small(head, outputs=6)
    target = target_of([[[10, 10, 40, 50]], []], [[2], []])
    for training, wanted in ((False, 30), (True, 16)):
        final, first = model.train(training)(images(), target if training else None)
        assert final.logits.shape == (2, wanted, 6)
        assert final.deltas.shape == (2, wanted, 6, 4)
        assert (final.deltas[:, :, 0] == 0).all()
        assert final.anchors.shape == (2, wanted, 4)
        assert final.valid.shape == (2, wanted)
        assert not final.anchors.requires_grad
        assert first is not None
        assert first.logits.shape == (*first.valid.shape, 2)
        assert first.deltas.shape == first.anchors.shape == (*first.valid.shape, 4)
    assert model.train()(images()).final.valid.shape == (2, 16)
    found = model.head.decode(model.eval()(images()))
    assert found["boxes"].shape == (2, 100, 4)
    assert found["labels"].max() < 3


@pytest.mark.parametrize("head", HEADS)
def test_evaluating_is_deterministic_and_a_batch_is_its_images(head: str) -> None:
    model = small(head).eval()
    with torch.no_grad():
        both, again, alone = model(images()), model(images()), model(images()[1:])
    assert torch.equal(both.final.logits, again.final.logits)
    torch.testing.assert_close(both.final.anchors[1:], alone.final.anchors, rtol=1e-3, atol=1e-2)


BODIES: dict[str, Callable[[], Backbone]] = {
    "v2": lambda: mobilenet_v2(width=0.35),
    "v3": lambda: mobilenet_v3(size="small", width=0.5),
    "v4": lambda: mobilenet_v4(variant="conv_small", width=0.35),
    "resnet": lambda: timm_backbone(name="resnet10t"),
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("body", [None, *BODIES])
def test_every_weight_learns(head: str, body: str | None) -> None:
    if (head, body) == ("faster_rcnn", "resnet"):
        pytest.skip("has no tail")
    model = small(head, backbone=BODIES[body]() if body else None)
    target = target_of([[[10, 10, 40, 50], [50, 30, 90, 90]], [[5, 5, 60, 60]]], [[0, 2], [1]])
    total(model, model(images(), target), target).backward()
    assert not [name for name, weight in model.named_parameters() if weight.grad is None]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", ["none", "thousand", "one pixel", "no area"])
def test_odd_batches_have_a_finite_loss(head: str, kind: str) -> None:
    torch.manual_seed(3)
    corners = (torch.rand(1000, 2) * 80).round()
    boxes = {
        "none": [],
        "thousand": torch.cat([corners, corners + 1 + torch.rand(1000, 2) * 15], dim=1).tolist(),
        "one pixel": [[7, 7, 8, 8], [95, 95, 96, 96]],
        "no area": [[20, 20, 20, 40]],
    }[kind]
    target = target_of([boxes, []], [[1] * len(boxes), []])
    model = small(head)
    loss = total(model, model(images(), target), target)
    loss.backward()
    assert torch.isfinite(loss)
    for name, weight in model.named_parameters():
        assert weight.grad is not None, f"{name} has no gradient: training on several devices would stop"
        assert torch.isfinite(weight.grad).all()


@pytest.mark.parametrize("head", HEADS)
def test_mixed_precision(head: str) -> None:
    model = small(head)
    target = target_of([[[10, 10, 40, 50]], []], [[2], []])
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(images(), target)
        loss = total(model, outputs, target)
    loss.backward()
    assert torch.isfinite(loss)
    assert outputs.final.anchors.dtype is torch.float32
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert torch.isfinite(model.head.decode(model.eval()(images()))["scores"]).all()


def squares() -> tuple[Tensor, list[list[list[int]]], list[list[int]]]:
    """Four grey images, coloured rectangles on three of them; the channel is the class."""
    boxes = [[[8, 8, 48, 40]], [[40, 30, 88, 88], [4, 60, 34, 92]], [[20, 20, 80, 70]], []]
    labels = [[0], [1, 0], [1], []]
    images = torch.full((4, 3, SIDE, SIDE), 110, dtype=torch.uint8)
    for image, corners, numbers in zip(images, boxes, labels, strict=True):
        for (left, top, right, bottom), number in zip(corners, numbers, strict=True):
            image[number, top:bottom, left:right] = 230
    return images, boxes, labels


def settle(model: Detector, images: Tensor, target: dict[str, Tensor]) -> None:
    """Batch statistics of the weights as they are now: a running mean over so few steps lags behind."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None
            layer.reset_running_stats()
    for _ in range(10):
        model(images, target)


@pytest.mark.parametrize("head", ["faster_rcnn", "faster_rcnn_fpn"])
@pytest.mark.slow
def test_learns_a_handful(head: str) -> None:
    """Every box is found, surely and in its place, and none in the empty image."""
    images, boxes, labels = squares()
    target = target_of(boxes, labels)  # type: ignore[arg-type]
    model = small(head, classes=2, hidden=128, scales=(0.25, 0.35, 0.5, 0.7)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=150)
    for _ in range(150):
        optimizer.zero_grad()
        total(model, model(images, target), target).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        settle(model, images, target)
        found = model.eval().head.decode(model(images))
    for row, (corners, numbers) in enumerate(zip(boxes, labels, strict=True)):
        sure = found["scores"][row] > 0.5
        for corner, number in zip(corners, numbers, strict=True):
            mine = found["boxes"][row][sure & (found["labels"][row] == number)]
            assert len(mine), f"nothing of class {number} in image {row}"
            assert box_iou(torch.tensor([corner], dtype=torch.float32), mine).max() > 0.6
    assert (found["scores"][-1] < 0.5).all()


def test_strides_that_a_backbone_offers() -> None:
    data = DataSpec("boxes", ("one",), 3, (SIDE, SIDE))
    head = FasterRCNNFPNHead(backbone=BackboneSpec(64, {16: 32, 32: 64}), data=data, scales=(0.1, 0.3, 0.6))
    assert head.needs.strides == (16, 32)
    assert head.rpn.strides == (16, 32, 64)


@pytest.mark.parametrize(
    ("head", "backbone", "arguments", "words"),
    [
        ("faster_rcnn", BackboneSpec(64, {16: 32}), {}, "use head=faster_rcnn_fpn"),
        ("faster_rcnn_fpn", BackboneSpec(64, {4: 32}), {}, "maps of stride 4"),
        ("faster_rcnn_fpn", BackboneSpec(64, {8: 32, 16: 32}), {}, "8 scales cannot be dealt out to 3 maps"),
        ("faster_rcnn", BackboneSpec(64, {16: 32}, 64), {"scales": [0.0]}, "above 0"),
        ("faster_rcnn", BackboneSpec(64, {16: 32}, 64), {"anchors": [[[0.1, 0.1]]] * 2}, "give 1 of them"),
        ("faster_rcnn", BackboneSpec(64, {16: 32}, 64), {"anchors": [[[0.1]]]}, "2 elements"),
        ("faster_rcnn", BackboneSpec(64, {16: 32}, 64), {"outputs": 1}, "head.outputs=1"),
    ],
)
def test_what_does_not_fit_is_named(head: str, backbone: BackboneSpec, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        HEADS[head](backbone=backbone, data=DataSpec("boxes", ("one",), 3, (SIDE, SIDE)), **arguments)


def test_given_anchors() -> None:
    data = DataSpec("boxes", ("one",), 3, (64, 128))
    head = FasterRCNNHead(backbone=BackboneSpec(64, {16: 32}, 64), data=data, anchors=[[[0.5, 0.25], [0.1, 1.0]]])
    expected = torch.tensor([[-32, -8, 32, 8], [-6.4, -32, 6.4, 32]])
    torch.testing.assert_close(head.rpn.shapes[0], expected)
