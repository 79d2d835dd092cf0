"""What every backbone does: normalise, give what is asked, and nothing else."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from mobilevision.backbones import Backbone, mobilenet_v1, mobilenet_v2, mobilenet_v3, mobilenet_v4, timm_backbone
from mobilevision.errors import UserError
from mobilevision.spec import Needs

SMALL = {
    "v1": lambda: mobilenet_v1(width=0.25),
    "v2": lambda: mobilenet_v2(width=0.35),
    "v3": lambda: mobilenet_v3(size="small", width=0.5),
    "v4": lambda: mobilenet_v4(variant="conv_small", width=0.35),
    "resnet": lambda: timm_backbone(name="resnet10t"),
    "convnext": lambda: timm_backbone(name="convnext_atto"),
    "efficientvit": lambda: timm_backbone(name="efficientvit_b0"),
}


@pytest.fixture(params=SMALL)
def body(request: pytest.FixtureRequest) -> Backbone:
    torch.manual_seed(0)
    made: Backbone = SMALL[request.param]()
    return made.eval()


@torch.no_grad()
def test_it_gives_what_it_promises(body: Backbone, images: Tensor) -> None:
    strides = tuple(body.spec.strides)
    assert {8, 16, 32} <= set(strides)
    maps, pooled = body(images, Needs(strides, pooled=True))
    assert pooled is not None
    assert pooled.shape == (2, body.spec.width)
    for stride, channels in body.spec.strides.items():
        assert maps[stride].shape == (2, channels, 64 // stride, 64 // stride)


@torch.no_grad()
def test_maps_and_vector_are_the_same_alone_and_together(body: Backbone, images: Tensor) -> None:
    both = body(images, Needs((32, 16), pooled=True))
    maps, vector = body(images, Needs((16, 32))), body(images, Needs(pooled=True))
    assert vector.maps == {}
    assert maps.pooled is None
    assert list(both.maps) == [32, 16]
    torch.testing.assert_close(both.pooled, vector.pooled)
    for stride in (16, 32):
        torch.testing.assert_close(both.maps[stride], maps.maps[stride])


def test_unasked_layers_are_not_run(images: Tensor) -> None:
    body = mobilenet_v1(width=0.25).eval()
    ran: list[str] = []
    for name, module in body.model.named_modules():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    body(images, Needs((8,)))
    assert "blocks.2" in ran
    assert not {"blocks.3", "blocks.4", "global_pool"} & set(ran)


def test_a_stride_it_lacks_is_named() -> None:
    with pytest.raises(UserError, match=r"stride 64; it has 2, 4, 8, 16, 32"):
        mobilenet_v1(width=0.25)(torch.zeros(1, 3, 32, 32), Needs((64,)))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_normalising(images: Tensor, dtype: torch.dtype, layout: torch.memory_format) -> None:
    body = mobilenet_v1(width=0.25, preset={"mean": [0.5, 0.4, 0.3], "std": [0.1, 0.2, 0.3]})
    given = images.to(dtype).contiguous(memory_format=layout)
    before = given.clone()
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.1, 0.2, 0.3])
    expected = (images / 255 - mean[:, None, None]) / std[:, None, None]
    normalised = body.normalize(given)
    torch.testing.assert_close(normalised, expected, rtol=1e-5, atol=1e-5, check_stride=False)
    assert normalised.is_contiguous(memory_format=layout)
    assert torch.equal(given, before)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_channels(channels: int) -> None:
    body = mobilenet_v1(width=0.25, channels=channels).eval()
    images = torch.randint(0, 256, (2, channels, 32, 32), dtype=torch.uint8)
    assert len(body.preset.mean) == len(body.preset.std) == channels
    assert body(images, Needs(pooled=True)).pooled.shape == (2, 256)


def test_normalisation_is_no_weight() -> None:
    assert all(key.startswith("model.") for key in mobilenet_v1(width=0.25).state_dict())


def test_vision_transformers_give_their_vector() -> None:
    body = timm_backbone(name="vit_tiny_patch16_224", kwargs={"img_size": 64, "depth": 2}).eval()
    assert body(torch.zeros(1, 3, 64, 64), Needs(pooled=True)).pooled.shape == (1, 192)
    assert body(torch.zeros(1, 3, 64, 64), Needs((16,))).maps[16].shape == (1, 192, 4, 4)


def test_dropout_only_while_training(images: Tensor) -> None:
    body = mobilenet_v1(width=0.25, drop_rate=0.5)
    needs = Needs(pooled=True)
    assert (body(images, needs).pooled == 0).float().mean() > 0.4
    body.eval()
    assert torch.equal(body(images, needs).pooled, body(images, needs).pooled)


def test_copies_and_half_precision(images: Tensor) -> None:
    body = copy.deepcopy(mobilenet_v1(width=0.25)).eval().to(torch.bfloat16)
    assert body(images, Needs(pooled=True)).pooled.dtype is torch.bfloat16


class _Served(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = mobilenet_v1(width=0.25, activation="relu6", padding="same")

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images, Needs(pooled=True)).pooled


def test_exports_with_its_normalisation(images: Tensor) -> None:
    model = _Served().eval()
    program = torch.export.export(model, (images,))
    torch.testing.assert_close(program.module()(images), model(images))
    assert "_ClampInPlace" not in program.graph_module.code


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "resnet81"}, "resnet18"),
        ({"name": "zzzz"}, "list_models"),
        ({"name": "resnet10t", "padding": "same"}, "pad_type"),
        ({"name": "resnet10t", "kwargs": {"colour": 1}}, "colour"),
    ],
)
def test_timm_names_and_arguments(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        timm_backbone(**arguments)  # type: ignore[arg-type]


def test_width_and_variant_errors_list_what_there_is() -> None:
    with pytest.raises(UserError, match="above 0 and at most 4"):
        mobilenet_v2(width=0)
    with pytest.raises(UserError, match="large and small"):
        mobilenet_v3(size="medium")
    with pytest.raises(UserError, match="hybrid_medium"):
        mobilenet_v4(variant="medium")
