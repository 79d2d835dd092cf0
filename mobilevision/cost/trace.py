"""A forward pass as the operations that it comes down to: their mult-adds, and what each read and made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from mobilevision.cost.memory import Buffer, Operation, Place, Plan

_ELSE_IN_PLACE = ("batch_norm", "hardswish")  # element by element at inference, though torch does not say so
_PER_MULT_ADD = 2  # operations in torch's formulas

# What operations give on the meta device, where the answer is the shape of what they take. torch works the shapes of
# batch norm, of element-wise operations and of random numbers out in Python, with all of their rules: most of the time
# of a count. At inference they follow from the first input.

_SAME = {"relu", "hardtanh", "hardswish", "hardsigmoid", "sigmoid", "silu", "gelu", "leaky_relu", "elu", "mish", "tanh"}
_BINARY = {"add", "mul", "sub", "div"}
_FILLS = {"normal_", "uniform_", "fill_", "zero_", "erfinv_", "clamp_"}  # how layers are given their first values
_TRAINING = 5  # place of the argument of native_batch_norm


def known(func: Any, args: Any, given: Any) -> Any:
    """The outputs of an operation, or None where torch itself has to say.

    Args:
        func: an overload of an operation.
        args: its arguments.
        given: its arguments by keyword.
    """
    first = args[0] if args else None
    if not isinstance(first, Tensor) or not first.is_meta or not first.is_floating_point() or "out" in given:
        return None
    name = func._overloadpacket.__name__
    if name == "_native_batch_norm_legit_no_training" or (name == "native_batch_norm" and not args[_TRAINING]):
        return torch.empty_like(first), first.new_empty(0), first.new_empty(0)
    if name in _FILLS:
        return first
    in_place, name = name.endswith("_"), name.removesuffix("_")
    if name in _SAME or (name in _BINARY and _fits(first, args[1])):
        return first if in_place else torch.empty_like(first)
    return None


@final
class Unfilled(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, layers on the meta device are built without working out how values fill them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What is :func:`known`, else what torch says."""
        del types
        given: dict[str, Any] = kwargs or {}
        out = known(func, args, given)
        return func(*args, **given) if out is None else out


def _fits(first: Tensor, other: Any) -> bool:
    """Whether an element-wise operation of both is of the shape and type of the first."""
    if not isinstance(other, Tensor):
        return isinstance(other, int | float)
    if other.dtype != first.dtype or not other.is_meta or other.dim() > first.dim() or not other.dim():
        return False
    pairs = zip(reversed(first.shape), reversed(other.shape), strict=False)
    return all(theirs in (1, ours) for ours, theirs in pairs)


def _padded(func: Any, args: Any) -> int:
    """Numbers in the padded input of a convolution with strides: there, TensorFlow pads at other sides than torch.

    Where a convolution has no stride, both pad alike, and nothing is copied.
    """
    if func is not torch.ops.aten.convolution.default or args[6]:  # none that is transposed
        return 0
    image, strides, padding = args[0], args[3], args[4]
    if max(strides) == 1 or not any(padding):
        return 0
    height, width = (side + 2 * more for side, more in zip(image.shape[2:], padding, strict=True))
    return int(image.shape[0] * image.shape[1] * height * width)


@final
class Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, every operation of torch is noted, below autograd and below what composes others.

    This level sees plugins, functional code and timm's models alike, and on the meta device it costs no arithmetic.

    Args:
        inputs: tensors that are there from the start and are activations; all others found are weights.

    Attributes:
        mult_adds: so far; of convolutions and matrix products, by torch's own formulas.
        operations: so far, those that only ask for a size left out.
        module: the module at work, to be set by whoever knows.
    """

    def __init__(self, inputs: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.mult_adds = 0
        self.operations: list[Operation] = []
        self.module = ""
        self._buffers: list[Buffer] = []
        self._places: dict[int, Place] = {}
        self._held: list[Any] = []  # storages stay alive, so that none gets the number of another
        self._inputs = [self._new(each) for each in inputs]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Take one operation apart if it is composed of others, else do it and note it."""
        del types
        given: dict[str, Any] = kwargs or {}
        formula = flop_registry.get(func._overloadpacket)
        if formula is None and func is not torch.ops.prim.device.default:
            with self:
                composed = func.decompose(*args, **given)
            if composed is not NotImplemented:
                return composed
        taken = [_key(each) for each in tensors((args, given))]
        if (out := known(func, args, given)) is None:
            out = func(*args, **given)
        if formula is not None:
            self.mult_adds += int(formula(*args, **given, out_val=out)) // _PER_MULT_ADD
        self._note(func, taken, out, _padded(func, args))
        return out

    @property
    def made(self) -> int:
        """Bytes of all that was made so far, where a floating number takes four."""
        given = set(self._inputs)
        return sum(buffer.size(4) for place, buffer in enumerate(self._buffers) if place not in given)

    def plan(self, outputs: Any) -> Plan:
        """When each tensor was alive.

        Args:
            outputs: what the forward pass gave; its tensors stay to the end.
        """
        return Plan(self.operations, self._buffers, inputs=self._inputs, outputs=self._known(outputs))

    def _note(self, func: Any, taken: list[int], out: Any, padded: int = 0) -> None:
        reads = tuple(self._places[key] for key in taken if key in self._places)
        makes = tuple(dict.fromkeys(self._new(each) for each in tensors(out) if self._is_new(each, taken)))
        if not makes and not reads:
            return
        name = func._overloadpacket.__name__
        in_place = torch.Tag.pointwise in func.tags or any(part in name for part in _ELSE_IN_PLACE)
        pads = func is torch.ops.aten.constant_pad_nd.default
        self.operations.append(Operation(self.module, reads, makes, in_place, padded, pads))

    def _is_new(self, tensor: Tensor, taken: list[int]) -> bool:
        """Whether an operation made it: neither a view of what it took, such as a transposed weight, nor that."""
        key = _key(tensor)
        return key not in self._places and key not in taken

    def _known(self, values: Any) -> tuple[Place, ...]:
        """The places of activations among some values."""
        return tuple(self._places[_key(each)] for each in tensors(values) if _key(each) in self._places)

    def _new(self, tensor: Tensor) -> Place:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._places:
            self._held.append(storage)
            self._places[key] = len(self._buffers)
            size = tensor.element_size()
            self._buffers.append(Buffer(storage.nbytes() // size, size, tensor.is_floating_point()))
        return self._places[key]


def tensors(values: Any) -> Iterator[Tensor]:
    """Every tensor in nested lists, tuples and dicts."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        for each in values.values():
            yield from tensors(each)
    elif isinstance(values, list | tuple):
        for each in values:
            yield from tensors(each)


def _key(tensor: Tensor) -> int:
    key: int = tensor.untyped_storage()._cdata
    return key
