"""Turns, folding and lists of overrides; no time is asserted."""

from __future__ import annotations

from typing import final

import pytest
import torch
from torch import Tensor, nn

from mobilevision.backbones import mobilenet_v1, mobilenet_v2
from mobilevision.errors import UserError
from mobilevision.tools.benchmarking.command import numbers
from mobilevision.tools.benchmarking.folding import fold
from mobilevision.tools.benchmarking.stopwatch import MatrixProduct, Timed, Times, measure
from mobilevision.tools.models import expand, refuse_halves, split


@final
class Note(Timed):
    """Writes down when it runs, and with how many threads."""

    def __init__(self, name: str, diary: list[tuple[str, int]], threads: int = 1) -> None:
        self.mult_adds, self.device, self.threads = 1, "cpu", threads
        self._name, self._diary = name, diary

    def run(self) -> None:
        self._diary.append((self._name, torch.get_num_threads()))


@pytest.fixture(autouse=True)
def _threads() -> object:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_contenders_take_turns() -> None:
    diary: list[tuple[str, int]] = []
    times = measure([Note("a", diary), Note("b", diary, threads=2)], seconds=1e-9, rounds=3)
    names = [name for name, _ in diary]
    assert names[-12:] == ["a", "a", "b", "b"] * 3
    assert {threads for name, threads in diary if name == "b"} == {2}
    assert [len(each.wall) for each in times] == [3, 3]


def test_median_and_quartiles() -> None:
    times = Times([1.0, 2.0, 3.0, 4.0, 100.0], [0.5] * 5)
    assert times.median() == 3.0
    assert times.quartiles() == (2.0, 4.0)
    assert times.median("cpu") == 0.5
    assert times.busy == pytest.approx(2.5 / 110)


def test_a_peak_runs() -> None:
    product = MatrixProduct()
    product.run()
    assert product.mult_adds == 1024**3


@pytest.mark.parametrize("backbone", [mobilenet_v1(width=0.25), mobilenet_v2(width=0.35)])
def test_folding_keeps_the_outputs(backbone: nn.Module) -> None:
    torch.manual_seed(0)
    model: nn.Module = backbone.model  # type: ignore[assignment]
    norms = [each for each in model.modules() if isinstance(each, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -1, 1)
        norm.running_mean = torch.randn(norm.num_features) * 0.1
        norm.running_var = torch.rand(norm.num_features) + 0.5
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = model.eval()(image)
        assert fold(model, image) == len(norms)
        after = model(image)
    torch.testing.assert_close(before, after, rtol=1e-3, atol=1e-3)
    assert not [each for each in model.modules() if isinstance(each, nn.BatchNorm2d)]


class Shared(nn.Module):
    """A convolution that two norms read: it has to stay."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.first, self.second = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.first(x) + self.second(x)  # type: ignore[no-any-return]


def test_a_shared_convolution_stays() -> None:
    assert fold(Shared(), torch.randn(1, 3, 4, 4)) == 0


class Aside(nn.Module):
    """Something besides the norm reads the convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
        nn.init.constant_(self.norm.weight, 3.0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.norm(x) + x.abs()  # type: ignore[no-any-return]


def test_a_wrong_fold_is_refused() -> None:
    with pytest.raises(UserError, match="--no-fold"):
        fold(Aside(), torch.randn(1, 3, 4, 4))


def test_lists_are_written_out() -> None:
    assert split(["a=1,2", "b=[3,4]", "c=x"]) == (["b=[3,4]", "c=x"], {"a": ["1", "2"]})
    assert split(["data.resolution=[96,128],64"])[1] == {"data.resolution": ["[96,128]", "64"]}
    assert expand(["a=1,2", "b=3"]) == [["b=3", "a=1"], ["b=3", "a=2"]]
    assert expand(["b=3"]) == [["b=3"]]
    with pytest.raises(UserError, match="name the values"):
        split(["a=interval(0,1)"])
    with pytest.raises(UserError, match="key=value"):
        split(["nonsense"])


def test_halves_of_one_model_are_told() -> None:
    refuse_halves(["backbone=a", "backbone=b"])
    refuse_halves(["backbone=a x=1", "y=1"])
    with pytest.raises(UserError, match=r'"backbone=a backbone\.width=1"'):
        refuse_halves(["backbone=a", "backbone.width=1"])


@pytest.mark.parametrize("text", ["", "0", "a", "1,-2", "1.5"])
def test_numbers_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match="--batch"):
        numbers(text, "--batch")


def test_numbers() -> None:
    assert numbers("1,32,1", "--batch") == [1, 32]
