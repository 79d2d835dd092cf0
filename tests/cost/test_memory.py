"""Memory of activations: what is alive when, on graphs small enough to count by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mobilevision.cost import Activations, count
from mobilevision.cost.memory import Buffer, Operation, Plan


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(*shape, dtype=dtype, device="meta")


def conv(inputs: int, outputs: int, kernel: int = 3, **arguments: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, **arguments)  # type: ignore[arg-type]


def test_batch_norm_and_activation_write_into_what_they_read() -> None:
    model = nn.Sequential(conv(3, 8), nn.BatchNorm2d(8), nn.ReLU())
    assert count(model, meta(1, 3, 10, 10)).activations == Activations(4400, 2200, 1100, "0", 1100)


def test_a_image_of_bytes_stays_one_in_every_precision() -> None:
    class Normalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = conv(3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x.float() / 255)  # type: ignore[no-any-return]

    found = count(Normalised(), meta(1, 3, 10, 10, dtype=torch.uint8)).activations
    assert (found.float32, found.float16, found.int8) == (300 * 4 + 100 * 4, 300 + 300 * 2, 300 + 300)
    assert found.at == "conv"


def test_on_a_board_a_convolution_with_strides_reads_a_padded_copy() -> None:
    strided = count(nn.Sequential(conv(4, 4, stride=2)), meta(1, 4, 10, 10)).activations
    assert (strided.int8, strided.on_board) == (400 + 100, 400 + 4 * 12 * 12)
    wide = count(nn.Sequential(conv(4, 40, stride=2)), meta(1, 4, 10, 10)).activations
    assert wide.on_board == 4 * 12 * 12 + 40 * 25  # the image is gone by then
    kept = count(nn.Sequential(conv(4, 4)), meta(1, 4, 10, 10)).activations
    assert kept.on_board == kept.int8 == 800


def test_on_a_board_a_convolution_pads_as_tensorflow_does_by_itself() -> None:
    class Same(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3, stride=2)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(nn.functional.pad(x, (0, 1, 0, 1)))  # type: ignore[no-any-return]

    found = count(Same(), meta(1, 4, 10, 10)).activations
    assert (found.int8, found.on_board) == (400 + 4 * 11 * 11, 400 + 100)


class Residual(nn.Module):
    """A shortcut that is kept over two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = conv(4, 16, 1), conv(16, 4, 1), conv(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.third(x)
        return x + self.second(self.first(x).relu())  # type: ignore[no-any-return]


def test_a_shortcut_stays_alive_until_it_is_added() -> None:
    counted = count(Residual(), meta(1, 4, 5, 5))
    place = 25 * 4
    assert counted.activations.float32 == (4 + 16 + 4) * place
    assert counted.activations.at == "second"
    assert {row.name: row.memory // place for row in counted.layers} == {"third": 8, "first": 20, "second": 24}


def test_views_cost_nothing_and_weights_are_none() -> None:
    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(100, 7)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x.reshape(4, 25).t().t().flatten().view(1, 100))  # type: ignore[no-any-return]

    assert count(Views(), meta(1, 2, 5, 10)).activations.float32 == (100 + 7) * 4


def test_what_is_returned_lives_to_the_end_and_what_nobody_reads_is_not_made() -> None:
    class Maps(nn.Module):
        def __init__(self, keep: bool) -> None:
            super().__init__()
            self.keep, self.one, self.two, self.three = keep, conv(1, 2), conv(1, 8), conv(2, 2)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            small, large = self.one(x), self.two(x)
            last = self.three(self.three(small))
            return {"small": small, "large": large, "last": last} if self.keep else {"last": last}

    assert count(Maps(True), meta(1, 1, 5, 5)).activations.float32 == (2 + 8 + 2 + 2) * 100
    assert count(Maps(False), meta(1, 1, 5, 5)).activations.float32 == (2 + 2) * 100


def test_peaks_of_mobilenets() -> None:
    import timm

    with torch.device("meta"):
        one, two = timm.create_model("mobilenetv1_100"), timm.create_model("mobilenetv2_100")
    assert count(one, meta(1, 3, 224, 224)).activations.float32 == 112 * 112 * (32 + 64) * 4
    assert count(two, meta(1, 3, 224, 224)).activations.float32 == (112 * 112 * 96 + 56 * 56 * 96) * 4


def test_a_real_image_needs_what_a_shape_needs() -> None:
    model = Residual()
    assert count(model, torch.rand(1, 4, 5, 5)) == count(model, meta(1, 4, 5, 5))


def test_no_operations_no_memory() -> None:
    assert count(nn.Identity(), meta(1, 3, 4, 4)).activations == Activations(0, 0, 0, "")


@pytest.mark.parametrize("in_place", [True, False])
def test_a_plan_reuses_only_what_has_the_same_size(in_place: bool) -> None:
    buffers = [Buffer(10, 4, True), Buffer(10, 4, True), Buffer(20, 4, True), Buffer(10, 8, False)]
    steps = [
        Operation("a", (0,), (1,), in_place),
        Operation("b", (1,), (2,), in_place),
        Operation("c", (2,), (3,), True),
    ]
    plan = Plan(steps, buffers, inputs=[0], outputs=[3])
    assert plan.alive() == ([40, 120, 160] if in_place else [80, 120, 160])
    assert plan.alive(1) == ([10, 30, 100] if in_place else [20, 30, 100])
