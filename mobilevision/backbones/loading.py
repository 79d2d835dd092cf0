"""Fitting weights of any origin into a timm model, and saying what fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from timm.models import adapt_input_conv
from torch import Tensor, nn

from mobilevision.backbones.presets import timm_notes
from mobilevision.backbones.weights import Source
from mobilevision.errors import UserError
from mobilevision.io.tensor_files import broken_values

MOST_NAMES = 4  # that a line of a report lists; the rest are counted
ENOUGH = 0.5  # share of a backbone's tensors below which the weights belong to something else


class Classifier(NamedTuple):
    """The last layer that came with a set of weights.

    Attributes:
        weight: float tensor [classes, width].
        bias: float tensor [classes].
    """

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class LoadReport:
    """Which tensors of a weights file went into a backbone.

    Attributes:
        source: the file, run or timm name they came from.
        matched: names of the tensors that fit and were taken.
        missing: names that the backbone has and the file lacks; they keep their random start.
        unexpected: names that the file has and the backbone lacks.
        mismatched: name -> (shape in the file, shape in the backbone); these are not taken either.
        classes: outputs of the file's classifier, None where it has none that fits.
        notes: what else was decided.
    """

    source: str
    matched: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    classes: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Did every tensor of the backbone find its own, and none stay over?"""
        return not (self.missing or self.unexpected or self.mismatched)

    def lines(self, classes: int | None = None, *, classifier: bool = True) -> list[str]:
        """The report, a fact a line.

        Args:
            classes: outputs of the head that stands on the backbone, where there is one to compare with.
            classifier: whether that head ends in a layer of classes; a detector's and an embedding's do not.
        """
        wanted = len(self.matched) + len(self.missing) + len(self.mismatched)
        lines = [f"weights: {self.source}: {len(self.matched)} of {wanted} tensors matched"]
        if self.missing:
            lines.append(f"  not in the file, started at random: {_some(self.missing)}")
        if self.mismatched:
            shapes = [f"{name} {list(file)} for {list(ours)}" for name, (file, ours) in self.mismatched.items()]
            lines.append(f"  of another shape, started at random: {_some(tuple(shapes))}")
        if self.unexpected:
            lines.append(f"  in the file only, left out: {_some(self.unexpected)}")
        if self.classes is not None:
            lines.append(f"  {self._classifier(classes, classifier)}")
        return lines + [f"  {note}" for note in self.notes]

    def _classifier(self, wanted: int | None, classifier: bool) -> str:
        if not classifier:
            return f"its classifier of {self.classes} classes is left out: the body is kept"
        if wanted is None:
            return f"its classifier of {self.classes} classes serves a head of as many"
        if wanted == self.classes:
            return f"its classifier of {self.classes} classes is taken too"
        kept = "the body is kept, the last layer starts afresh"
        return f"its classifier has {self.classes} classes, yours {wanted}: {kept}"


def _some(names: tuple[str, ...]) -> str:
    rest = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def fit(
    model: nn.Module, source: Source, *, width: int, widths: Callable[[Mapping[str, Tensor]], float | None]
) -> tuple[LoadReport, Classifier | None]:
    """Load what fits of ``source`` into ``model``; keep its classifier apart.

    Args:
        model: a timm model without classifier.
        source: the weights as found.
        width: length of the pooled vector, which a classifier must take.
        widths: from the weights' tensors under timm's names to the ``backbone.width`` that they have, or None.

    Raises:
        UserError: the weights are of another width or of another architecture, or are no numbers.
    """
    own = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    prefix = _prefix(own, source.state)
    state = {key.removeprefix(prefix): value for key, value in source.state.items() if key.startswith(prefix)}
    notes = _adapt_stem(model, state)
    classifier, taken = _classifier(model, source.state, prefix, width)
    matched = {name: state[name] for name, tensor in own.items() if name in state and state[name].shape == tensor.shape}
    if len(matched) < ENOUGH * len(own):
        raise _stranger(source, own, state, widths(state))
    last = {} if classifier is None else {"the classifier": torch.cat([each.flatten() for each in classifier])}
    if broken := broken_values(matched | last):
        raise UserError(f"backbone.weights: {source.name}: {broken}: take another file")
    counters = {name: value for name, value in state.items() if name.endswith("num_batches_tracked")}
    model.load_state_dict(matched | {name: counters[name] for name in counters if name in model.state_dict()}, False)
    others = {name for name in state if prefix + name not in taken} - set(own) - set(counters)
    return LoadReport(
        source=source.name,
        matched=tuple(matched),
        missing=tuple(name for name in own if name not in state),
        unexpected=tuple(sorted(others)),
        mismatched={
            name: (tuple(state[name].shape), tuple(tensor.shape))
            for name, tensor in own.items()
            if name in state and name not in matched
        },
        classes=len(classifier.bias) if classifier else None,
        notes=tuple(notes),
    ), classifier


def _prefix(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """What stands before timm's names in a file: "", "module.", "backbone.model." ...: the one under which most fit."""
    first = next(iter(own))
    found = {key.removesuffix(first) for key in state if key == first or key.endswith(f".{first}")}

    def fitting(prefix: str) -> int:
        names = (key.removeprefix(prefix) for key in state if key.startswith(prefix))
        return sum(name in own and own[name].shape == state[prefix + name].shape for name in names)

    return max(sorted(found, key=len), key=fitting, default="")


def _adapt_stem(model: nn.Module, state: dict[str, Tensor]) -> list[str]:
    """Turn a stem of three input channels into the model's number of them, as timm does."""
    stem = timm_notes(model).get("first_conv")
    if not isinstance(stem, str) or f"{stem}.weight" not in state:
        return []
    weight, wanted = state[f"{stem}.weight"], model.get_parameter(f"{stem}.weight").shape[1]
    if weight.ndim != 4 or weight.shape[1] != 3 or wanted == 3:
        return []
    state[f"{stem}.weight"] = adapt_input_conv(wanted, weight)
    return [f"the stem, trained on 3 channels, is adapted to {wanted}"]


def _classifier(
    model: nn.Module, state: Mapping[str, Tensor], prefix: str, width: int
) -> tuple[Classifier | None, set[str]]:
    """The last layer: under timm's name for it, or the only linear layer of its width below ``head.`` of our runs."""
    named = timm_notes(model).get("classifier")
    stems = [f"{prefix}{named}"] if isinstance(named, str) else []
    stems += [key.removesuffix(".weight") for key in state if key.startswith("head.") and key.endswith(".weight")]
    fitting = []
    for stem in dict.fromkeys(stems):
        weight, bias = state.get(f"{stem}.weight"), state.get(f"{stem}.bias")
        if weight is not None and bias is not None and weight.ndim == 2 and weight.shape[1] == width:
            fitting.append((stem, Classifier(weight.float(), bias.float())))
    if len(fitting) != 1:
        return None, set()
    stem, classifier = fitting[0]
    return classifier, {f"{stem}.weight", f"{stem}.bias"}


def _stranger(source: Source, own: Mapping[str, Tensor], state: Mapping[str, Tensor], width: float | None) -> UserError:
    if width is not None:
        return UserError(f"backbone.weights: {source.name} is of another width: set backbone.width={width:g}")
    fit = sum(name in state and state[name].shape == tensor.shape for name, tensor in own.items())
    seen = ", ".join(list(state or source.state)[:3])
    return UserError(
        f"backbone.weights: {source.name} fits only {fit} of this backbone's {len(own)} tensors; it holds {seen} ...; "
        "choose the backbone that it belongs to"
    )


def same_shapes(build: Callable[..., nn.Module], state: Mapping[str, Tensor]) -> bool:
    """Does a model that ``build`` makes (built without memory) have the shapes of these weights?"""
    with torch.device("meta"):
        own = build(num_classes=0).state_dict()
    shapes = {name: tensor.shape for name, tensor in own.items() if tensor.ndim > 1}
    return all(name in state and state[name].shape == shape for name, shape in shapes.items())
