"""What can be told of a file by looking at it: of ONNX much, of other formats what they say themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mobilevision.deploy.formats import find_format
from mobilevision.deploy.formats.base import quiet
from mobilevision.deploy.formats.micro import Micro, check_in_a_process_of_its_own
from mobilevision.deploy.manifest import NAME, Manifest, is_artifact
from mobilevision.errors import UserError

_NO_SIZES = "The sizes of its tensors cannot be worked out, so what runs where is not known: does ONNX Runtime load it?"
_MOST_PTE = 1_000_000_000  # bytes


def facts_of(path: Path) -> dict[str, Any]:
    """All that is known of a file or of the folder of an exported model, as plain values.

    Raises:
        UserError: it is neither, or damaged.
    """
    if not path.is_dir():
        return {"path": str(path), "exported": False, **_of_onnx(path)}
    if not is_artifact(path):
        raise UserError(
            f"{path}: no exported model (there is no {NAME}): name an ONNX file, or the folder that"
            " `mobilevision export RUN --out FOLDER` made"
        )
    manifest = Manifest.read(path)
    find_format(manifest.format)
    file = manifest.check(path)
    cost = manifest.about.get("cost")
    counted = cost if isinstance(cost, dict) else {}
    known: dict[str, Any] = {
        "path": str(path),
        "exported": True,
        "task": manifest.task,
        "backbone": str(manifest.about.get("backbone") or ""),
        "format": manifest.format,
        "precision": manifest.precision,
        "bytes": manifest.size,
        **{name: counted[name] for name in ("parameters", "mult_adds") if isinstance(counted.get(name), int)},
        "inputs": [manifest.input.to_dict()],
        "outputs": [port.to_dict() for port in manifest.outputs],
    }
    if manifest.format == "onnx":
        read = _of_onnx(file)
        return read | known | {name: read[name] for name in ("inputs", "outputs")}
    return known | _OTHERS[manifest.format](file)


# ONNX.


def _of_onnx(path: Path) -> dict[str, Any]:
    """Of any ONNX file, ours or not."""
    for module in ("onnx", "onnxruntime"):
        if find_spec(module) is None:
            raise UserError(f'{path}: to look into it takes {module}: pip install "mobilevision[export]"')
    from mobilevision.deploy.formats.onnx_compatibility import oldest_runtime
    from mobilevision.deploy.formats.onnx_placement import placement
    from mobilevision.deploy.formats.onnx_reading import external_files, read_onnx

    model = read_onnx(path)
    sets = {each.domain or "ai.onnx": each.version for each in model.opset_import}
    opset = sets.get("ai.onnx", 0)
    beside = external_files(model)
    runtimes = placement(model, apart=True)
    stored = {each.name for each in model.graph.initializer}
    return {
        "format": "onnx",
        "precision": _precision(model),
        "bytes": path.stat().st_size + sum((path.parent / name).stat().st_size for name in beside),
        "numbers": sum(_weights(model).values()),
        "inputs": [_port(port) for port in model.graph.input if port.name not in stored],
        "outputs": [_port(port) for port in model.graph.output],
        "opset": opset,
        "other_sets": {name: version for name, version in sets.items() if name != "ai.onnx"},
        "ir": model.ir_version,
        "oldest_onnxruntime": oldest_runtime(opset, model.ir_version) if opset else None,
        "runtimes": runtimes,
        "note": None if runtimes else _NO_SIZES,
    }


def _port(port: Any) -> dict[str, Any]:
    from onnx import TensorProto

    kind = port.type.tensor_type
    known = kind.elem_type in TensorProto.DataType.values()
    name = TensorProto.DataType.Name(kind.elem_type).lower() if known else "unknown"
    sides = [side.dim_value if side.HasField("dim_value") else (side.dim_param or None) for side in kind.shape.dim]
    dtype = {"float": "float32", "double": "float64", "undefined": "unknown"}.get(name, name)
    return {"name": port.name, "type": dtype, "shape": sides if kind.HasField("shape") else None}


def _weights(model: Any) -> Counter[str]:
    """Numbers that the file holds, by their type; sizes and indices do not count."""
    from onnx import TensorProto

    from mobilevision.deploy.formats.onnx_sizes import elements

    kinds = {
        TensorProto.FLOAT: "float32",
        TensorProto.FLOAT16: "float16",
        TensorProto.BFLOAT16: "bfloat16",
        TensorProto.DOUBLE: "float64",
        TensorProto.INT8: "int8",
        TensorProto.UINT8: "int8",
    }
    found: Counter[str] = Counter()
    constants = [each.t for node in model.graph.node if node.op_type == "Constant" for each in node.attribute]
    for tensor in (*model.graph.initializer, *constants):
        if tensor.data_type in kinds:
            found[kinds[tensor.data_type]] += max(elements(tensor.dims), 0)
    return found


def _precision(model: Any) -> str:
    """That of most weights."""
    found = _weights(model).most_common(1)
    return found[0][0] if found else "no weights"


# Other formats.


def _of_executorch(path: Path) -> dict[str, Any]:
    """What of the program runs in which delegate, as it is written in the file."""
    if find_spec("executorch") is None:
        return {"note": 'What XNNPACK took is read with executorch: pip install "mobilevision[executorch]".'}
    if path.stat().st_size > _MOST_PTE:
        return {"note": f"It is larger than {_MOST_PTE:,} bytes, and is not looked into."}
    try:
        with quiet():
            from executorch.exir._serialize._program import deserialize_pte_binary

            plans = deserialize_pte_binary(path.read_bytes()).program.execution_plan
            delegates, rest = Counter[str](), Counter[str]()
            for plan in plans:
                names = [f"{each.name}.{each.overload}".rstrip(".") for each in plan.operators]
                for step in (each.instr_args for chain in plan.chains for each in chain.instructions):
                    kind = type(step).__name__
                    if kind == "DelegateCall":
                        delegates[plan.delegates[step.delegate_index].id] += 1
                    elif kind == "KernelCall":
                        rest[names[step.op_index]] += 1
    except Exception as error:  # of the reader, of many classes
        why = " ".join(str(error).split())[:160]
        raise UserError(f"{path}: ExecuTorch's program cannot be read ({why}): copy the folder again") from None
    return {
        "delegates": dict(delegates.most_common()),
        "left": dict(rest.most_common()),
        "note": "XNNPACK runs a piece as a whole, once an image; how many operators are in one, the file does not say.",
    }


def _of_openvino(path: Path) -> dict[str, Any]:
    """Its operators; OpenVINO itself says what the CPU here takes, and of other devices only where they are."""
    from mobilevision.deploy.formats.openvino import new_core

    if find_spec("openvino") is None:
        return {"note": 'Its operators are read with openvino: pip install "mobilevision[openvino]".'}
    try:
        with quiet():
            core = new_core()
            model = core.read_model(path)
            kinds = {each.get_friendly_name(): each.get_type_name() for each in model.get_ops()}
            taken = core.query_model(model, "CPU")
    except Exception as error:
        why = " ".join(str(error).split())[-160:]
        raise UserError(f"{path}: OpenVINO cannot read it ({why}): copy the folder again") from None
    ends = ("Constant", "Parameter", "Result")
    work = Counter(kind for kind in kinds.values() if kind not in ends)
    return {
        "operators": dict(work.most_common()),
        "left": dict(Counter(kind for name, kind in kinds.items() if kind not in ends and name not in taken)),
        "note": "As OpenVINO's plugin for the CPU says; what a GPU or an NPU takes, it says only where there is one.",
    }


def _of_litert(path: Path) -> dict[str, Any]:
    del path
    return {"note": "What its delegates (XNNPACK, GPU, NNAPI) take is decided on the device; the file does not say."}


def _of_micro(path: Path) -> dict[str, Any]:
    """Its operators, and what it takes of a board's memory."""
    if find_spec("tflite_micro") is None:
        return {"note": 'Its operators and its memory are read with tflite-micro: pip install "mobilevision[micro]".'}
    check_in_a_process_of_its_own(path)
    about = Micro().about(path)["micro"]
    return {
        "operators": about["operators"],
        "note": f"On a board it takes {path.stat().st_size:,} bytes of flash and a tensor arena of"
        f" {about['arena_bytes']:,}, beside the interpreter and your program.",
    }


_OTHERS: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    "executorch": _of_executorch,
    "openvino": _of_openvino,
    "litert": _of_litert,
    "micro": _of_micro,
}
