"""int8 by itself: rounding that keeps outputs, ranges, what is seen of a layer, and layers that stay in float."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mobilevision.deploy.formats.onnx_int8.gptq import REDUCED, WHOLE, can_saturate, largest_weight, rounded, steps
from mobilevision.deploy.formats.onnx_int8.layers import layers, weightless_nodes
from mobilevision.deploy.formats.onnx_int8.ranges import Gram, Values, best, observe, run_over
from mobilevision.deploy.formats.onnx_int8.writing import calibrate, quantise
from mobilevision.deploy.precision import Precision
from mobilevision.errors import UserError
from mobilevision.exporting.finetuning import layer_names, simulated_int8

onnx = pytest.importorskip("onnx")


class Small(nn.Module):
    """Layers of every sort, a residual sum, and activations that become part of a range."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8)
        self.pointwise = nn.Conv2d(8, 8, 1, bias=False)
        self.grouped = nn.Conv2d(8, 16, 3, padding=1, groups=2)
        self.linear = nn.Linear(16, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = nn.functional.relu6(self.stem(image.float() / 255))
        second = self.pointwise(nn.functional.relu(self.depthwise(first))) + first
        return self.linear(nn.functional.leaky_relu(self.grouped(second), 0.1).mean(dim=(2, 3)))


@pytest.fixture(scope="module")
def module() -> Small:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Smooth images, as neighbours in real ones are alike."""
    coarse = torch.rand(24, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    return (nn.functional.interpolate(coarse, 20, mode="bilinear") * 255).to(torch.uint8).numpy()


@pytest.fixture(scope="module")
def path(module: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("int8") / "model.onnx"
    example = (torch.zeros(2, 3, 20, 20, dtype=torch.uint8),)
    sizes = ({0: torch.export.Dim("batch")},)
    torch.onnx.export(module, example, dynamo=True, dynamic_shapes=sizes, input_names=["image"], verbose=False).save(
        file
    )
    return file


def outputs(file: Path, pixels: np.ndarray, *, optimised: bool = True) -> np.ndarray:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": pixels})[0]


def error(right: np.ndarray, wrong: np.ndarray) -> float:
    """Squared error as a share of the mean square about the mean: what is the same for all images says nothing."""
    return float(np.square(right - wrong).sum() / np.square(right - right.mean(axis=0)).sum())


# --- rounding -----------------------------------------------------------------------------------------------------


def alike_inputs(groups: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """[groups, 4000, size + 1]: positive inputs that go together, as those after a ReLU do, and a 1."""
    common = rng.random((groups, 4000, 3)) @ rng.random((groups, 3, size))
    inputs = common + 0.1 * rng.random((groups, 4000, size))
    return np.concatenate([inputs, np.ones((groups, 4000, 1))], axis=2)


@pytest.mark.parametrize("most", [REDUCED, WHOLE])
@pytest.mark.parametrize(("groups", "outs", "size"), [(1, 12, 40), (8, 1, 9), (2, 3, 18)])
def test_rounded_weights_keep_the_outputs(groups: int, outs: int, size: int, most: int) -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(groups * outs, size)).astype(np.float32)
    inputs = alike_inputs(groups, size, rng)
    found, shift = rounded(weight, inputs.transpose(0, 2, 1) @ inputs / 4000, most)
    whole = found / steps(weight, most)[:, None]
    np.testing.assert_allclose(whole, np.rint(whole), atol=1e-6)
    assert np.abs(whole).max() < most + 0.5
    nearest = np.rint(weight / steps(weight, most)[:, None]) * steps(weight, most)[:, None]

    def missed(rows: np.ndarray, bias: np.ndarray) -> float:
        gap = (weight - rows).reshape(groups, outs, size)
        return float(np.square(np.einsum("gnd,god->gno", inputs[..., :-1], gap) - bias.reshape(groups, 1, outs)).sum())

    assert missed(found, shift) < 0.05 * missed(nearest, np.zeros(groups * outs))


def test_a_channel_without_weights_stays_without() -> None:
    weight = np.zeros((2, 3), np.float32)
    weight[0] = 1, -2, 3
    found, shift = rounded(weight, np.eye(4)[None], REDUCED)
    assert (found[1] == 0).all()
    assert np.isfinite(shift).all()


# --- ranges -------------------------------------------------------------------------------------------------------


def test_a_rare_large_value_does_not_take_the_steps_of_all_others() -> None:
    rng, values = np.random.default_rng(0), Values()
    values.add(np.append(rng.normal(size=50_000), 60.0).astype(np.float32), 1.0, rng)
    low, high = best(values)
    assert values.high == 60
    assert 15 <= high < 60
    assert low <= 0


def test_pixels_keep_all_their_steps() -> None:
    values, rng = Values(), np.random.default_rng(0)
    values.add(np.repeat(np.arange(256), 20).astype(np.float32) / 255, 1.0, rng)
    assert best(values) == (0.0, 1.0)


def test_a_range_holds_zero() -> None:
    values, rng = Values(), np.random.default_rng(0)
    values.add(np.linspace(3, 4, 100).astype(np.float32), 1.0, rng)
    low, high = best(values)
    assert low == 0 < high


# --- what is seen -------------------------------------------------------------------------------------------------


def test_layers_have_the_names_of_the_modules(path: Path) -> None:
    found = layers(onnx.load(path))
    assert [layer.name for layer in found] == ["stem", "depthwise", "pointwise", "grouped", "linear"]
    assert sorted(node.op_type for node in weightless_nodes(shaped(path))) == ["Add", "Clip", "LeakyRelu", "Relu"]


def shaped(path: Path) -> Any:
    from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

    return load_model_with_shape_infer(path)


def test_sums_are_those_of_the_layer(path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean output of each channel, out of the Gram matrix and out of the layer itself."""
    monkeypatch.setattr("mobilevision.deploy.formats.onnx_int8.ranges._PATCHES", 10**9)
    model = shaped(path)
    found = layers(model)
    _, grams = observe(model, found, [], pixels)
    seen = [batch for batch, _ in run_over(model, [layer.result for layer in found], pixels)]
    for layer in found:
        gram: Gram = grams[layer.name]
        means = gram.mean[:, -1, :-1]  # of each input of a sum
        rows = layer.rows.reshape(gram.groups, -1, means.shape[1])
        constants = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
        bias = constants[layer.node.input[2]] if len(layer.node.input) > 2 else 0
        result = np.concatenate([batch[layer.result] for batch in seen])
        wanted = result.mean(axis=tuple(axis for axis in range(result.ndim) if axis != 1))
        np.testing.assert_allclose(np.einsum("god,gd->go", rows, means).ravel() + bias, wanted, atol=1e-4)


# --- the whole ----------------------------------------------------------------------------------------------------


def test_int8_says_nearly_the_same(path: Path, pixels: np.ndarray, tmp_path: Path) -> None:
    quantise(path, tmp_path / "int8.onnx", Precision("int8", pixels))
    right = outputs(path, pixels)
    assert error(right, outputs(tmp_path / "int8.onnx", pixels)) < 0.01
    written = onnx.load(tmp_path / "int8.onnx")
    kinds = {each.name: each.data_type for each in written.graph.initializer}
    assert sum(kind == onnx.TensorProto.INT8 for name, kind in kinds.items() if name.endswith("_quantized")) >= 5
    assert not [node for node in written.graph.node if node.op_type in ("Clip", "Relu")]


def test_no_two_weights_can_saturate(path: Path, pixels: np.ndarray, tmp_path: Path) -> None:
    """Whichever two weights of a sum a kernel puts together, with the largest activations: read from the file."""
    quantise(path, tmp_path / "int8.onnx", Precision("int8", pixels))
    model = onnx.load(tmp_path / "int8.onnx")
    held = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    taken = [node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"]
    weights = [held[name].astype(int) for name in taken if name in held and held[name].dtype == np.int8]
    assert len(weights) == 5
    for weight in weights:
        two = np.sort(np.abs(weight).ravel())[-2:]
        assert 255 * two.sum() <= 2**15 - 1
    assert max(np.abs(weight).max() for weight in weights) == REDUCED == largest_weight(tmp_path / "int8.onnx")
    assert largest_weight(path) == 0


@pytest.mark.parametrize(("largest", "saturates"), [(0, False), (63, False), (64, False), (65, True), (127, True)])
def test_which_weights_can_saturate(largest: int, saturates: bool) -> None:
    assert can_saturate(largest) is saturates


@pytest.mark.parametrize("keep", [("pointwise",), ("depthwise",), ("stem", "grouped"), ("linear",)])
def test_a_layer_that_is_kept_stays_in_float_in_the_runtime_too(
    keep: tuple[str, ...], path: Path, pixels: np.ndarray, tmp_path: Path
) -> None:
    """ONNX Runtime would put it into integers by itself, a whole tensor at a step, which is far worse."""
    file = tmp_path / "int8.onnx"
    quantise(path, file, Precision("int8", pixels, keep))
    right = outputs(path, pixels)
    plain, fast = (outputs(file, pixels, optimised=optimised) for optimised in (False, True))
    assert error(right, plain) < 0.01
    assert error(right, fast) < 2 * error(right, plain)
    session_file = tmp_path / "optimised.onnx"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.optimized_model_filepath = 3, str(session_file)
    onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    optimised = onnx.load(session_file)
    floats = [node for node in optimised.graph.node if node.op_type in ("Conv", "FusedConv", "Gemm", "FusedGemm")]
    assert len(floats) == len(keep)


def test_an_unknown_layer_is_named_with_the_nearest(module: Small) -> None:
    with pytest.raises(UserError, match=r"--keep-float pointwize: there is no such layer; did you mean pointwise\?"):
        Precision("int8", keep=("pointwize",)).check(layer_names(module))
    Precision("int8", keep=("pointwise", "linear")).check(layer_names(module))


def test_a_module_stands_for_its_layers() -> None:
    kept = Precision("int8", keep=("blocks.1", "head"))
    assert [kept.keeps(name) for name in ("blocks.1.conv", "blocks.10.conv", "head", "header")] == [
        True,
        False,
        True,
        False,
    ]


def test_the_layer_that_hurts_most_comes_first(path: Path, pixels: np.ndarray, tmp_path: Path) -> None:
    """A layer whose rows have one weight that dwarfs all others has no steps left for those."""
    from mobilevision.deploy.formats.onnx_int8.layer_sensitivity import noise

    model = onnx.load(path)
    for constant in model.graph.initializer:
        value = onnx.numpy_helper.to_array(constant).copy()
        if constant.name == "pointwise.weight":
            value[:, 0] = 50.0  # of a channel that is always 0, so that nothing but the steps changes
        elif constant.name.startswith("depthwise."):
            value[0] = 0.0
        constant.CopyFrom(onnx.numpy_helper.from_array(value, constant.name))
    onnx.save(model, tmp_path / "bad.onnx")
    found = noise(tmp_path / "bad.onnx", Precision("int8", pixels))
    assert next(iter(found)) == "pointwise"
    assert set(found) == {"stem", "depthwise", "pointwise", "grouped", "linear"}
    assert "pointwise" not in noise(tmp_path / "bad.onnx", Precision("int8", pixels, ("pointwise",)))


def test_ranges_are_known_for_all_that_becomes_integers(path: Path, pixels: np.ndarray) -> None:
    model = shaped(path)
    ranges, grams = calibrate(model, layers(model), list(weightless_nodes(model)), pixels)
    assert len(grams) == 5
    assert all(low <= 0 <= high for low, high in ranges.values())


# --- training that feels it ---------------------------------------------------------------------------------------


def test_training_feels_the_rounding_and_leaves_rounded_weights(module: Small) -> None:
    import copy

    twin = copy.deepcopy(module).train()
    names = set(twin.state_dict())
    images = torch.randint(0, 256, (4, 3, 20, 20), dtype=torch.uint8)
    before = twin(images).detach()
    with simulated_int8(twin, Precision("int8", keep=("linear",)), REDUCED):
        felt = twin(images)
        assert 0 < error(before.numpy(), felt.detach().numpy()) < 0.2
        felt.square().sum().backward()
        assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in twin.parameters())
    assert set(twin.state_dict()) == names
    assert torch.equal(twin.linear.weight, module.linear.weight)
    for name in ("stem", "depthwise", "pointwise", "grouped"):
        rows = twin.get_submodule(name).weight.detach().flatten(1).numpy()
        whole = rows / steps(rows, REDUCED)[:, None]
        np.testing.assert_allclose(whole, np.rint(whole), atol=1e-3)
