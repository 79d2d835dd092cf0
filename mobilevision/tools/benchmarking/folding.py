"""Batch norm folded into the convolution before it, as every exported model has it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mobilevision.errors import UserError

_CLOSE = 1e-3  # of the outputs' largest value


def fold(model: nn.Module, image: Tensor) -> int:
    """Fold every batch norm that follows a convolution directly, in place; timm's norms with an activation keep that.

    Which follows which is seen in one forward pass, not guessed from names, and the outputs are compared after.

    Args:
        model: in evaluation mode after this.
        image: what it takes.

    Returns:
        How many batch norms were folded.

    Raises:
        UserError: the outputs changed: something besides the norm reads what a convolution gives.
    """
    with torch.no_grad():
        pairs, before = _pairs(model.eval(), image)
        for conv, norm in pairs:
            _replace(model, conv, norm)
        after = model(image)
    for old, new in zip(_tensors(before), _tensors(after), strict=True):
        if old.shape != new.shape or not torch.allclose(old, new, rtol=_CLOSE, atol=_CLOSE * float(old.abs().max())):
            raise UserError("batch norm cannot be folded in this model: measure it with --no-fold")
    return len(pairs)


def _pairs(model: nn.Module, image: Tensor) -> tuple[list[tuple[str, str]], Any]:
    """Names of convolutions and of the batch norms that alone take what they give, once each; and the outputs."""
    made: dict[int, tuple[str, Tensor]] = {}
    taken: dict[str, list[str]] = {}
    calls: Counter[str] = Counter()

    def see(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        calls[name] += 1
        for given in inputs:
            if id(given) in made:
                taken.setdefault(made[id(given)][0], []).append(name)
        if isinstance(module, nn.Conv2d):
            made[id(output)] = name, output  # kept, so that no other tensor gets its id

    modules = dict(model.named_modules())
    own = {name: each for name, each in modules.items() if isinstance(each, nn.BatchNorm2d) or not [*each.children()]}
    handles = [
        each.register_forward_hook(lambda module, inputs, output, name=name: see(name, module, inputs, output))
        for name, each in own.items()
    ]
    try:
        outputs = model(image)
    finally:
        for handle in handles:
            handle.remove()
    single = [(conv, norms[0]) for conv, norms in taken.items() if len(norms) == 1 == calls[conv] == calls[norms[0]]]
    norms = {name for name, each in own.items() if isinstance(each, nn.BatchNorm2d) and each.running_mean is not None}
    return [(conv, norm) for conv, norm in single if norm in norms], outputs


def _replace(model: nn.Module, conv: str, norm: str) -> None:
    """The folded convolution in the place of the convolution, and what the norm does besides in its own place."""
    old: Any = model.get_submodule(conv)
    after: Any = model.get_submodule(norm)
    model.set_submodule(conv, fuse_conv_bn_eval(old, after))
    rest = getattr(after, "act", None)
    model.set_submodule(norm, rest if isinstance(rest, nn.Module) else nn.Identity())


def _tensors(values: Any) -> list[Tensor]:
    if isinstance(values, Tensor):
        return [values] if values.is_floating_point() and values.numel() else []
    parts = values.values() if isinstance(values, dict) else values if isinstance(values, list | tuple) else ()
    return [each for part in parts for each in _tensors(part)]
