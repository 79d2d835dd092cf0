"""Shares by type of layer and sizes of files, as the paper's Table 2 and an exported model have them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mobilevision.cost import Cost, count


def counted(model: nn.Module, *shape: int) -> Cost:
    return count(model, torch.empty(1, *shape, device="meta"))


def test_shares_add_up() -> None:
    import timm

    cost = counted(timm.create_model("mobilenetv3_small_100"), 3, 64, 64)
    shares = cost.by_kind()
    assert shares[0].kind == "conv 1x1"
    assert sum(share.mult_adds for share in shares) == cost.mult_adds
    assert sum(share.parameters for share in shares) == cost.parameters
    assert sum(share.layers for share in shares) == len(cost.layers)


def test_the_file_of_the_paper_s_classifier() -> None:
    import timm

    cost = counted(timm.create_model("mobilenetv1_100"), 3, 224, 224)
    weights, folded = (
        4_209_088,
        10_944 + 1000,
    )  # kernels and matrices; a bias a channel, and the classifier's
    assert cost.file_size() == cost.file_size("float32") == 4 * (weights + folded)
    assert cost.file_size("float16") == 2 * (weights + folded)
    assert cost.file_size("int8") == weights + 4 * folded + 4 * (10_944 + 1000)


def test_batch_norm_folds_into_a_bias() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.LayerNorm(4))
    cost = counted(model, 2, 6, 4 + 2)
    assert cost.parameters == 54 + 6 + 8
    assert cost.file_size() == 4 * (54 + 3 + 8)
    assert cost.file_size("int8") == 54 + 4 * (3 + 8) + 4 * 3


class Unused(nn.Module):
    """A layer that is never called, and weights that two layers share."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.never = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 5, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))  # type: ignore[no-any-return]


def test_shared_weights_count_once_and_unused_ones_too() -> None:
    cost = counted(Unused(), 4)
    assert {row.name: row.parameters for row in cost.layers} == {"first": 20, "second": 4, "never": 20}
    assert cost.parameters == 44
    assert cost.mult_adds == 32
    assert cost.layers[-1].memory == 0
