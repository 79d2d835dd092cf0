"""TensorFlow Lite for Microcontrollers: a file in whole numbers, and the C++ that a board's program takes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from mobilevision.deploy.formats.base import Format, Runner, captured, quiet
from mobilevision.deploy.formats.litert import LiteRT, convert, number_of
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.errors import UserError

if TYPE_CHECKING:
    from mobilevision.deploy.graph import Graph
    from mobilevision.deploy.precision import Precision

SOURCE, HEADER = "model_data.cc", "model_data.h"
ROOM = 256 * 2**20
"""Bytes that a model may use on this machine while it is tried; boards have a thousandth."""

PIXEL_RANGE = 0.0, 255.0
"""Of the input: in int8 with this range, a pixel is its value less 128."""


@final
class Micro(Format):
    """A ``.tflite`` file whose input, output and sums are int8, tried in the interpreter that runs on boards.

    The input lies as boards have it, [1, height, width, channels]; a pixel is its value less 128. Beside the file lie
    the same bytes as C++, and a header with the sides, the scales, the class names, the operators to register and the
    bytes of the tensor arena.

    Args:
        most_arena: bytes of the tensor arena that the board has; None asks for nothing.
    """

    name: ClassVar[str] = "micro"
    file: ClassVar[str] = "model.tflite"
    beside: ClassVar[tuple[str, ...]] = (SOURCE, HEADER)
    writes_with: ClassVar[tuple[str, ...]] = LiteRT.writes_with
    quantizes_with: ClassVar[tuple[str, ...]] = LiteRT.quantizes_with
    runs_with: ClassVar[tuple[str, ...]] = ("tflite_micro",)
    precisions: ClassVar[tuple[str, ...]] = ("int8",)
    decodes: ClassVar[bool] = False
    batch: int | None = 1
    extra: ClassVar[str] = "micro"
    note: ClassVar[str] = LiteRT.note

    def __init__(self, most_arena: int | None = None) -> None:
        self.most_arena = most_arena

    def write(self, graph: Graph, path: Path, precision: Precision) -> None:
        """As in :class:`Format`.

        Raises:
            UserError: also where the tensor arena is larger than asked for.
        """
        self.require(self.modules(precision.name))
        assert precision.calibration is not None
        if precision.keep:
            raise UserError(f"--keep-float {precision.keep[0]}: format micro computes in int8 alone; leave it out")
        with quiet():
            from mobilevision.deploy.formats.onnx_int8.prerounded_graph import rounded_graph

            convert(rounded_graph(graph, precision, self.weight_steps), path, channels_last=True, format=self.name)
            _quantize(path, precision.calibration)
        about = self.about(path)["micro"]
        if self.most_arena is not None and about["arena_bytes"] > self.most_arena:
            raise UserError(
                f"--max-arena: the model needs a tensor arena of {about['arena_bytes']:,} bytes, more than"
                f" {self.most_arena:,}: train with a smaller data.resolution, which counts squared, or backbone.width"
            )
        look = Preprocessing.of(graph.task.data_spec, graph.task.backbone.preset.crop)
        write_source(path, about, look, graph.task.data_spec.classes)

    def about(self, path: Path) -> dict[str, Any]:
        """As in :class:`Format`: input and output tensors as they are in the file, operators, bytes of the arena."""
        interpreter, arena = measure_arena(path)
        takes, gives = interpreter.get_input_details(0), _outputs(path, interpreter)
        return {
            "micro": {
                "arena_bytes": arena,
                "input": {**_tensor(takes), "layout": "NHWC", "values": "pixel - 128"},
                "outputs": [_tensor(each) for each in gives],
                "operators": operators(path),
            }
        }

    def open(self, path: Path, *, outputs: tuple[str, ...], threads: int | None = None) -> Runner:
        """As in :class:`Format`; it takes uint8 [B, C, H, W] as every format, and gives floats."""
        del threads  # the interpreter has one
        self.require(self.runs_with)
        check_in_a_process_of_its_own(path)
        interpreter = _interpreter(path)
        gives = _outputs(path, interpreter)
        if len(gives) != len(outputs):
            raise UserError(
                f"{path}: has {len(gives)} outputs, not {len(outputs)} as model.json says: export the model again"
            )
        return _Interpreted(interpreter, dict(zip(outputs, gives, strict=True)))


@final
class _Interpreted(Runner):
    """Takes the images of a batch one by one."""

    def __init__(self, interpreter: Any, outputs: dict[str, dict[str, Any]]) -> None:
        self.interpreter, self.outputs = interpreter, outputs
        _, height, width, channels = map(int, interpreter.get_input_details(0)["shape"])
        self.takes = "uint8", (channels, height, width)

    def __call__(self, images: NDArray[Any]) -> dict[str, NDArray[Any]]:
        results: dict[str, list[NDArray[Any]]] = {name: [] for name in self.outputs}
        for image in images:
            pixels = (image.transpose(1, 2, 0).astype(np.int16) - 128).astype(np.int8)
            self.interpreter.set_input(np.ascontiguousarray(pixels[None]), 0)
            self.interpreter.invoke()
            for name, output in self.outputs.items():
                values = self.interpreter.get_output(output["place"])
                results[name].append(_floats(values, output["quantization_parameters"]))
        return {name: np.concatenate(values) for name, values in results.items()}


def _floats(values: NDArray[Any], quantised: dict[str, Any]) -> NDArray[Any]:
    """What the whole numbers of an output stand for; what has no scale is as it is."""
    scales, zeros = quantised["scales"], quantised["zero_points"]
    if not len(scales) or values.dtype != np.int8:
        return np.array(values)
    return ((values.astype(np.float32) - np.float32(zeros[0])) * np.float32(scales[0])).astype(np.float32)


def _interpreter(path: Path) -> Any:
    """The file, loaded.

    Raises:
        UserError: the interpreter has not all of its operators, or the file is damaged.
    """
    from tflite_micro.python.tflite_micro import runtime

    with captured() as said:
        try:
            return runtime.Interpreter.from_bytes(path.read_bytes(), arena_size=ROOM)
        except Exception as error:
            why = str(error)
    told = [line.strip() for line in "".join(said).splitlines() if line.strip()]
    raise UserError(
        f"{path}: TensorFlow Lite for Microcontrollers cannot load it ({'; '.join([*told, why])[:300]}): copy the"
        " folder again, or take --format litert"
    )


_TRY = """
import sys
from pathlib import Path
from mobilevision.deploy.formats.micro import measure_arena
measure_arena(Path(sys.argv[1]))
"""


def check_in_a_process_of_its_own(path: Path) -> None:
    """Run a file once where nothing is lost by it: the interpreter trusts its file, and a damaged one ends the process.

    Raises:
        UserError: it cannot be run.
    """
    modules = os.pathsep.join(filter(None, sys.path))
    line, environment = [sys.executable, "-c", _TRY, str(path)], {**os.environ, "PYTHONPATH": modules}
    done = subprocess.run(line, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        raise UserError(
            f"{path} is damaged, or no file of --for micro: TensorFlow Lite for Microcontrollers cannot run it; copy"
            " the folder again, or export the model again"
        )


def measure_arena(path: Path) -> tuple[Any, int]:
    """The file after an image, and the bytes of the tensor arena that this took.

    They are those of a machine of 64 bits; on a board of 32 the bookkeeping among them is about half.

    Raises:
        UserError: it cannot be run.
    """
    interpreter = _interpreter(path)
    with captured() as said:
        takes = interpreter.get_input_details(0)
        interpreter.set_input(np.zeros(takes["shape"], takes["dtype"]), 0)
        interpreter.invoke()
        interpreter.print_allocations()
    found = re.search(r"Arena allocation total (\d+) bytes", "".join(said))
    if found is None:
        raise UserError(f"{path}: the interpreter does not say what memory it took: install another tflite-micro")
    return interpreter, int(found[1])


def _schema(path: Path) -> tuple[Any, Any]:
    """The file as an object, and the module that knows its words."""
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(path.read_bytes()), 0)), schema


def operators(path: Path) -> dict[str, int]:
    """A file's operators by name, such as ``CONV_2D``, and how many there are of each."""
    model, schema = _schema(path)
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    kinds = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    counted = Counter(kinds[each.opcodeIndex] for graph in model.subgraphs for each in graph.operators or ())
    return dict(counted.most_common())


def _outputs(path: Path, interpreter: Any) -> list[dict[str, Any]]:
    """Details of the outputs in the graph's order, each with its ``place`` in the file's: they may differ."""
    model, _ = _schema(path)
    graph = model.subgraphs[0]
    names = [graph.tensors[index].name.decode() for index in graph.outputs]
    found = [
        {**interpreter.get_output_details(place), "place": place, "name": name} for place, name in enumerate(names)
    ]
    return sorted(found, key=number_of)


def _tensor(details: dict[str, Any]) -> dict[str, Any]:
    """A tensor of the file as model.json tells it."""
    quantised = details["quantization_parameters"]
    scaled = len(quantised["scales"]) > 0
    return {
        **{"type": np.dtype(details["dtype"]).name, "shape": [int(side) for side in details["shape"]]},
        "scale": float(quantised["scales"][0]) if scaled else None,
        "zero_point": int(quantised["zero_points"][0]) if scaled else None,
    }


def _quantize(path: Path, images: NDArray[Any]) -> None:
    """Replace a file in float32 by one in int8 throughout; ranges from images, that of the input from all pixels."""
    from ai_edge_quantizer import qtyping, quantizer
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    work = quantizer.Quantizer(path.read_bytes())
    every = qtyping.TFLOperationName.ALL_SUPPORTED
    work.add_static_config(regex=".*", operation_name=every, activation_num_bits=8, weight_num_bits=8)
    if "SQRT" in operators(path):  # of a vector brought to unit length, which the interpreter does in float32 only
        for name in ("SUM", "SQRT", "MAXIMUM", "DIV"):
            kind = qtyping.TFLOperationName[name]
            work.update_quantization_recipe(".*", kind, algorithm_key=AlgorithmName.NO_QUANTIZE)
    seen = [{"args_0": each.transpose(1, 2, 0)[None].astype(np.float32)} for each in images]
    ranges = work.calibrate({"serving_default": seen}, num_threads=1)
    for name, each in ranges.items():
        if "args_0" in name:
            each["min"], each["max"] = (np.full_like(each["min"], bound) for bound in PIXEL_RANGE)
    path.write_bytes(bytes(work.quantize(ranges, enable_progress_report=False).quantized_model))
    _write_for_boards(path)


def _write_for_boards(path: Path) -> None:
    """Write a file anew with all weights in its FlatBuffer, and nothing in it that a board does not read.

    The quantizer appends the weights of larger models behind it; the interpreter of boards does not look there, and
    would compute with zeros in their place. Names of tensors, and the ranges that calibration saw, are for people.
    """
    import flatbuffers

    model, schema = _schema(path)
    whole = path.read_bytes()

    @final
    class Aligned(schema.BufferT):  # type: ignore[name-defined, misc]
        """A buffer whose bytes begin at a multiple of 16, as the format asks and its Python code does not do."""

        def Pack(self, builder: Any) -> Any:  # noqa: N802 - as the generated code calls it
            if self.data is None:
                return super().Pack(builder)
            data = bytes(self.data)
            builder.StartVector(1, len(data), 16)
            builder.head = builder.head - len(data)
            builder.Bytes[builder.head : builder.head + len(data)] = data
            vector = builder.EndVector()
            schema.BufferStart(builder)
            schema.BufferAddData(builder, vector)
            return schema.BufferEnd(builder)

    for place, each in enumerate(model.buffers):
        inside = Aligned()
        inside.data = each.data if each.data is not None and len(each.data) else None
        if each.offset > 1:
            inside.data = np.frombuffer(whole, np.uint8, each.size, each.offset)
        model.buffers[place] = inside
    for graph in model.subgraphs:
        named = {*graph.inputs, *graph.outputs}
        for number, tensor in enumerate(graph.tensors):
            if number not in named:
                tensor.name = None
            if tensor.quantization is not None:
                tensor.quantization.min = tensor.quantization.max = None
    builder = flatbuffers.Builder(len(whole))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path.write_bytes(bytes(builder.Output()))


# What a board's program takes.

_CALLED_OTHERWISE = {"BATCH_MATMUL": "BatchMatMul", "PADV2": "PadV2"}


def register_call(operator: str) -> str:
    """The resolver's function of an operator: ``AddConv2D`` of ``CONV_2D``."""
    words = [word if word[0].isdigit() else word.capitalize() for word in operator.split("_")]
    return "Add" + _CALLED_OTHERWISE.get(operator, "".join(words))


def write_source(path: Path, about: dict[str, Any], look: Preprocessing, classes: Sequence[str]) -> None:
    """Write a file's bytes as C++, and the header, beside it.

    Args:
        path: the ``.tflite`` file.
        about: of :meth:`Micro.about`.
        look: how an image becomes the input.
        classes: names, in the order of the outputs.
    """
    data = path.read_bytes()
    rows = [", ".join(f"0x{byte:02x}" for byte in data[at : at + 16]) for at in range(0, len(data), 16)]
    (path.parent / SOURCE).write_text(
        f'// Written by mobilevision export; {HEADER} tells what is in it.\n#include "{HEADER}"\n\n'
        f"alignas(16) const unsigned char kModelData[] = {{\n  " + ",\n  ".join(rows) + "};\n",
        encoding="utf-8",
    )
    takes, calls = about["input"], [register_call(name) for name in about["operators"]]
    _, height, width, channels = takes["shape"]
    labels = [f"  {_quoted(name)}," for name in classes] or ['  "",']
    outputs = [
        f"// Output {place}: {each['type']} {each['shape']}"
        + ("" if each["scale"] is None else f"; a value v stands for (v - {each['zero_point']}) * {each['scale']!r}.")
        for place, each in enumerate(about["outputs"])
    ]
    registered = "\n".join(f"  if (resolver.{call}() != kTfLiteOk) return kTfLiteError;" for call in calls)
    (path.parent / HEADER).write_text(
        f"""// Written by mobilevision export. What it means is told in model.json.
#ifndef MODEL_DATA_H_
#define MODEL_DATA_H_

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

extern const unsigned char kModelData[];
constexpr int kModelBytes = {len(data)};

// Tensor arena as measured on a machine of 64 bits; boards of 32 need a little less.
constexpr int kArenaBytes = {about["arena_bytes"]};

// Input: {takes["type"]} [1, {height}, {width}, {channels}]; a pixel of 0 to 255 goes in as its value less 128.
constexpr int kHeight = {height};
constexpr int kWidth = {width};
constexpr int kChannels = {channels};

// How a frame becomes the input; kCrop is a share of its shorter side. examples/consumer/prepare.hpp does it.
constexpr const char* kFit = "{look.fit}";
constexpr double kCrop = {look.crop!r};

{chr(10).join(outputs)}

constexpr int kClasses = {len(classes)};
constexpr const char* kClassNames[] = {{
{chr(10).join(labels)}
}};

// Registers what the model uses, and nothing else.
constexpr int kOperators = {len(calls)};
inline TfLiteStatus RegisterOperators(tflite::MicroMutableOpResolver<kOperators>& resolver) {{
{registered}
  return kTfLiteOk;
}}

#endif  // MODEL_DATA_H_
""",
        encoding="utf-8",
    )


def _quoted(text: str) -> str:
    """A C++ string of bytes in UTF-8: nothing in a name can end it."""
    plain = set(range(0x20, 0x7F)) - {ord(sign) for sign in '"\\?'}
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'
