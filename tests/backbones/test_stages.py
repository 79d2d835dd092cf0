"""A backbone in parts: the tail for regions, and no layer that nobody needs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mobilevision.backbones import Backbone, mobilenet_v1, mobilenet_v2, mobilenet_v3, mobilenet_v4, timm_backbone
from mobilevision.errors import UserError
from mobilevision.spec import Needs

Make = Callable[[], Backbone]
WITH_TAIL: dict[str, Make] = {
    "v1": lambda: mobilenet_v1(width=0.25, padding="same"),
    "v1 full": lambda: mobilenet_v1(width=0.25, conv="full"),
    "v1 shallow": lambda: mobilenet_v1(width=0.25, depth="shallow"),
    "v2": lambda: mobilenet_v2(width=0.35),
    "v3": lambda: mobilenet_v3(size="large", width=0.75, padding="same"),
    "v3 small": lambda: mobilenet_v3(size="small", width=0.5),
    "v4": lambda: mobilenet_v4(variant="conv_small", width=0.35),
    "efficientnet": lambda: timm_backbone(name="efficientnet_b0"),
}
WITHOUT_TAIL: dict[str, Make] = {
    "resnet18": lambda: timm_backbone(name="resnet18"),
    "convnext": lambda: timm_backbone(name="convnext_atto"),
    "vit": lambda: timm_backbone(name="vit_tiny_patch16_224", kwargs={"img_size": 64, "depth": 2}),
}
ALL = WITH_TAIL | WITHOUT_TAIL


def idle(modules: list[nn.Module], outputs: list[Tensor]) -> list[str]:
    """Names of the weights that a backward pass from all outputs does not reach."""
    torch.stack([output.float().square().mean() for output in outputs]).sum().backward()
    return [name for module in modules for name, weight in module.named_parameters() if weight.grad is None]


@pytest.mark.parametrize("make", WITH_TAIL.values(), ids=WITH_TAIL.keys())
def test_a_tail_keeps_the_side_of_regions(make: Make, images: Tensor) -> None:
    body = make()
    before, widest = body.spec, body.model.state_dict()
    tail = body.split_tail()
    assert max(body.spec.strides) == 16
    assert body.spec.strides == {stride: width for stride, width in before.strides.items() if stride < 32}
    assert (body.spec.width, body.spec.tail) == (before.width, None)
    regions = tail(torch.randn(3, before.strides[16], 7, 7))
    assert regions.shape == (3, before.tail, 7, 7)
    maps = body(images, Needs((8, 16))).maps
    assert not idle([body, tail], [*maps.values(), regions])
    assert {f"model.{key}" for key in widest} >= set(body.state_dict())


@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_a_tail_has_the_stages_own_weights(padding: str) -> None:
    """Every second place of the tail's first convolution is what the strided one gave."""
    body = mobilenet_v1(width=0.25, padding=padding)
    strided = body.model.blocks[4][0].conv_dw  # type: ignore[index]
    tail = body.split_tail()
    x = torch.randn(1, 128, 8, 8)
    first = 1 if padding == "same" else 0
    torch.testing.assert_close(tail[0][0].conv_dw(x)[..., first::2, first::2], strided(x))  # type: ignore[index]
    assert tail[0][0].conv_dw.weight is strided.weight  # type: ignore[index]


@pytest.mark.parametrize("make", WITHOUT_TAIL.values(), ids=WITHOUT_TAIL.keys())
def test_no_tail_names_the_fix(make: Make) -> None:
    body = make()
    assert body.spec.tail is None
    with pytest.raises(UserError, match="head=faster_rcnn_fpn"):
        body.split_tail()


@pytest.mark.parametrize("make", ALL.values(), ids=ALL.keys())
def test_no_weight_is_idle(make: Make, images: Tensor) -> None:
    body = make()
    needs = Needs(tuple(stride for stride in (16, 8) if stride in body.spec.strides))
    torch.manual_seed(1)
    expected = body.eval()(images, needs).maps
    names = list(body.state_dict())
    body.keep(needs)
    maps = body(images, needs).maps
    assert all(torch.equal(maps[stride], expected[stride]) for stride in needs.strides)
    assert not idle([body], list(maps.values()))
    assert [name for name in names if name in body.state_dict()] == list(body.state_dict())
    with pytest.raises(UserError, match="no pooled vector"):
        body(images, Needs(pooled=True))


@pytest.mark.parametrize("name", ["v1", "v2", "v3", "v4", "resnet18"])
def test_all_maps_without_the_vector_leave_no_idle_weight(name: str, images: Tensor) -> None:
    body = ALL[name]()
    body.keep(Needs((8, 16, 32)))
    assert not idle([body], list(body(images, Needs((8, 16, 32))).maps.values()))


def test_the_vector_needs_all(images: Tensor) -> None:
    body = mobilenet_v2(width=0.35)
    names = list(body.state_dict())
    body.keep(Needs((16,), pooled=True))
    assert list(body.state_dict()) == names
    assert not idle([body], [body(images, Needs((16,), pooled=True)).pooled])


def test_a_missing_stride_is_named() -> None:
    with pytest.raises(UserError, match="stride 64"):
        mobilenet_v1(width=0.25).keep(Needs((64,)))
    body = mobilenet_v1(width=0.25)
    body.split_tail()
    with pytest.raises(UserError, match="no feature map of stride 32; it has 2, 4, 8, 16"):
        body.keep(Needs((32,)))


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("name", ["v1 full", "v1 shallow", "v2", "v4"])  # gates of others see a mean of more places
def test_dilated_stages_say_the_same_and_more_often(name: str, output_stride: int) -> None:
    """Every second (or fourth) place of a dilated map is a place of the plain one (arXiv 1706.05587, section 3.1).

    Under SAME padding the places lie a pixel apart, since a strided convolution pads one side more than the other.
    """
    torch.manual_seed(0)
    body = WITH_TAIL[name]().eval()
    images = torch.randint(0, 256, (2, 3, 96, 72), dtype=torch.uint8)
    needs = Needs((8, 32), output_stride=output_stride)
    plain = body(images, needs).maps
    names = set(body.state_dict())
    body.keep(needs)
    dilated = body(images, needs).maps
    assert set(body.state_dict()) <= names
    assert dilated[32].shape[2:] == tuple(-(-side // output_stride) for side in (96, 72))
    times = 32 // output_stride
    assert torch.allclose(dilated[32][:, :, ::times, ::times], plain[32], atol=1e-4)
    assert torch.equal(dilated[8], plain[8])


@pytest.mark.parametrize("name", ["v3", "v3 small", "efficientnet"])
def test_stages_with_gates_are_dilated_too(name: str, images: Tensor) -> None:
    body = WITH_TAIL[name]()
    needs = Needs((8, 32), output_stride=16)
    body.keep(needs)
    maps = body(images, needs).maps
    assert maps[32].shape[2:] == tuple(-(-side // 16) for side in images.shape[2:])
    assert not idle([body], [*maps.values()])


def test_stages_that_cannot_be_dilated_are_named() -> None:
    with pytest.raises(UserError, match=r"head\.output_stride=16: the stages of .*resnet18.*head\.output_stride=32"):
        WITHOUT_TAIL["resnet18"]().keep(Needs((8, 32), output_stride=16))
