"""Costs to the digit: the paper's tables, published figures of the others, and layers that add up."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mobilevision.backbones import Backbone, mobilenet_v1, mobilenet_v2, mobilenet_v3, mobilenet_v4
from mobilevision.cost import Cost, count
from mobilevision.spec import Needs


class Classifier(nn.Module):
    """A backbone and one linear layer."""

    def __init__(self, body: Backbone, classes: int) -> None:
        super().__init__()
        self.body, self.last = body, nn.Linear(body.spec.width, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.body(images, Needs(pooled=True)).pooled)  # type: ignore[no-any-return]


def cost(make: Callable[..., Backbone], side: int, classes: int = 1000, **arguments: Any) -> Cost:
    """Cost of a classifier that never exists in memory."""
    with torch.device("meta"):
        model = Classifier(make(**arguments), classes)
    return count(model, torch.empty(1, 3, side, side, device="meta"))


@pytest.mark.parametrize(
    ("arguments", "mult_adds", "parameters"),
    [
        ({}, 568_740_352, 4_231_976),
        ({"width": 0.75}, 325_400_448, 2_585_560),
        ({"width": 0.5}, 149_497_088, 1_331_592),
        ({"width": 0.25}, 41_030_272, 470_072),
        ({"padding": "same"}, 568_740_352, 4_231_976),
        ({"conv": "full"}, 4_867_293_184, 29_294_088),
        ({"depth": "shallow"}, 307_323_392, 2_887_976),
    ],
    ids=str,
)
def test_tables_4_to_6_of_the_paper(arguments: dict[str, Any], mult_adds: int, parameters: int) -> None:
    counted = cost(mobilenet_v1, 224, **arguments)
    assert (counted.mult_adds, counted.parameters) == (mult_adds, parameters)


@pytest.mark.parametrize(
    ("width", "side", "classes", "millions", "parameters"),
    [
        (1.0, 192, 1000, 418.12, 4.23),
        (1.0, 160, 1000, 290.68, 4.23),
        (1.0, 128, 1000, 186.40, 4.23),
        (0.5, 160, 1000, 76.52, 1.33),
        (1.0, 224, 120, 567.84, 3.33),
        (0.75, 224, 120, 324.72, 1.91),
        (1.0, 192, 120, 417.22, 3.33),
        (0.75, 192, 120, 238.60, 1.91),
        (1.0, 224, 10_000, 577.96, 13.46),
        (0.25, 224, 40, 40.8, 0.2),
        (0.25, 128, 40, 13.3, 0.2),
    ],
)
def test_sides_and_classes(width: float, side: int, classes: int, millions: float, parameters: float) -> None:
    counted = cost(mobilenet_v1, side, classes, width=width)
    digits = len(str(millions).partition(".")[2])
    assert round(counted.mult_adds / 1e6, digits) == millions
    assert round(counted.parameters / 1e6, 2 if parameters != 0.2 else 0) == (parameters if parameters != 0.2 else 0)


def test_table_2_shares() -> None:
    counted = cost(mobilenet_v1, 224)
    shares = {"pointwise": 0, "depthwise": 0, "full": 0, "linear": 0}
    for layer in counted.layers:
        ending = layer.name.rpartition(".")[2]
        kind = {"conv_pw": "pointwise", "conv_dw": "depthwise", "conv_stem": "full", "last": "linear"}.get(ending)
        shares[kind or "linear"] += layer.mult_adds
    percent = {kind: round(100 * share / counted.mult_adds, 2) for kind, share in shares.items()}
    assert percent == {"pointwise": 94.86, "depthwise": 3.06, "full": 1.91, "linear": 0.18}


def test_table_3_one_layer() -> None:
    full = next(row for row in cost(mobilenet_v1, 224, conv="full").layers if row.name.endswith("blocks.3.1.conv"))
    assert (round(full.mult_adds / 1e6), round(full.parameters / 1e6, 2)) == (462, 2.36)
    for width, side, millions, parameters in ((1.0, 224, 52.3, 0.27), (0.75, 224, 29.6, 0.15), (0.75, 160, 15.1, 0.15)):
        rows = [row for row in cost(mobilenet_v1, side, width=width).layers if ".blocks.3.1.conv" in row.name]
        assert round(sum(row.mult_adds for row in rows) / 1e6, 1) == millions
        assert round(sum(row.parameters for row in rows) / 1e6, 2) == parameters


@pytest.mark.parametrize(
    ("make", "side", "millions", "parameters"),
    [
        (partial(mobilenet_v2, width=1.0), 224, 300, 3.5),
        (partial(mobilenet_v2, width=1.4), 224, 582, 6.1),
        (partial(mobilenet_v2, width=0.75), 224, 209, 2.6),
        (partial(mobilenet_v2, width=0.5), 224, 97, 2.0),
        (partial(mobilenet_v2, width=0.35), 224, 59, 1.7),
        (partial(mobilenet_v3, size="large"), 224, 217, 5.4),
        (partial(mobilenet_v3, size="large", width=0.75), 224, 155, 4.0),
        (partial(mobilenet_v3, size="small"), 224, 56, 2.5),
        (partial(mobilenet_v3, size="small", width=0.75), 224, 44, 2.0),
        (partial(mobilenet_v4, variant="conv_small"), 224, 186, 3.8),
    ],
    ids=lambda value: " ".join(map(str, value.keywords.values())) if isinstance(value, partial) else str(value),
)
def test_published_figures(make: Callable[..., Backbone], side: int, millions: float, parameters: float) -> None:
    counted = cost(make, side)
    assert counted.mult_adds / 1e6 == pytest.approx(millions, rel=0.02)
    assert counted.parameters / 1e6 == pytest.approx(parameters, rel=0.03)


def test_layers_add_up_and_tell_their_shapes() -> None:
    counted = cost(mobilenet_v4, 64, variant="hybrid_medium")
    assert sum(layer.mult_adds for layer in counted.layers) == counted.mult_adds
    assert sum(layer.parameters for layer in counted.layers) == counted.parameters
    stem = counted.layers[0]
    assert (stem.name, stem.type, stem.shape) == ("body.model.conv_stem", "Conv2d", (32, 32, 32))


def test_a_real_model_is_left_as_it_was() -> None:
    model = Classifier(mobilenet_v1(width=0.25), 3).train()
    model.body.model.bn1.eval()  # type: ignore[union-attr]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    image = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    assert count(model, image) == count(model, image.to("meta"))
    assert model.training
    assert not model.body.model.bn1.training  # type: ignore[union-attr]
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


class Twice(nn.Module):
    """One layer called twice, and a product outside any layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4, bias=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"out": self.layer(self.layer(x)) @ x.T}


def test_shared_layers_and_bare_products() -> None:
    counted = count(Twice(), torch.empty(3, 4, device="meta"))
    assert [(row.name, row.mult_adds, row.parameters) for row in counted.layers] == [("layer", 96, 16), ("", 36, 0)]
    assert counted.layers[1].shape == (3,)
    assert (counted.mult_adds, counted.parameters) == (132, 16)
