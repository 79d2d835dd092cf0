"""Which numbers an argument takes, stated once, in its annotation: ``width: Annotated[float, Range(above=0, max=4)]``.

The checks of a configuration read these annotations from source, so that a value out of range is refused before
anything is imported; :func:`check_ranges` refuses the same values, in the same words, where a constructor is called
from Python. This module imports nothing heavy.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, Unpack, get_args, get_origin, get_type_hints

from mobilevision.errors import UserError

P = ParamSpec("P")
T = TypeVar("T")


def finite(number: float) -> bool:
    """Whether a number is one that a float can be near to: of a whole number that is greater, nobody makes use."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


@dataclass(frozen=True)
class Range:
    """The numbers that an argument takes; without bounds, every finite number.

    Attributes:
        min: the least of them.
        max: the greatest of them.
        above: they are greater than this.
        below: they are less than this.
        infinite: whether ``inf`` is one of them, if the bounds allow it.
        hint: what to do instead, for the message.
    """

    min: float | None = None
    max: float | None = None
    above: float | None = None
    below: float | None = None
    infinite: bool = False
    hint: str = ""

    def __contains__(self, number: float) -> bool:
        return (
            (finite(number) or (self.infinite and number in (math.inf, -math.inf)))
            and (self.min is None or number >= self.min)
            and (self.max is None or number <= self.max)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )

    def __str__(self) -> str:
        """In words: ``between 0 and 1``, ``at least 1``, ``above 0 and at most 4``."""
        if self.min is not None and self.max is not None:
            return f"between {_plain(self.min)} and {_plain(self.max)}"
        bounds = {"at least": self.min, "above": self.above, "at most": self.max, "below": self.below}
        return " and ".join(f"{words} {_plain(to)}" for words, to in bounds.items() if to is not None) or "finite"

    def refusal(self, number: float) -> str | None:
        """``must be ...`` for a number that is not one of these."""
        return None if number in self else f"must be {self}{'; ' * bool(self.hint)}{self.hint}"


@dataclass(frozen=True)
class Items:
    """How many elements a list has, and their order.

    Attributes:
        min: at least so many.
        max: at most so many; None for any number.
        ascending: whether no element is less than the one before it.
    """

    min: int = 0
    max: int | None = None
    ascending: bool = False

    def __str__(self) -> str:
        """In words: ``2 elements in ascending order``."""
        if self.min == self.max:
            count = f"{self.min} elements"
        elif self.max is None:
            count = f"at least {self.min} element{'s' * (self.min != 1)}" if self.min else "elements"
        else:
            count = f"{self.min} to {self.max} elements"
        return f"{count} in ascending order" if self.ascending else count

    def refusal(self, values: Sequence[Any]) -> str | None:
        """``must have ...`` for a list that does not fit."""
        fits = self.min <= len(values) and (self.max is None or len(values) <= self.max)
        if fits and self.ascending and all(isinstance(each, int | float) for each in values):
            fits = all(low <= high for low, high in itertools.pairwise(values))
        return None if fits else f"must have {self}"


Share = Annotated[float, Range(min=0, max=1)]
"""A share or a probability, 0 and 1 included."""
ShareBelowOne = Annotated[float, Range(min=0, below=1)]
"""A share of which something has to be left."""
PositiveShare = Annotated[float, Range(above=0, max=1)]
"""A share that is not nothing."""
PositiveFloat = Annotated[float, Range(above=0)]
"""A number above 0."""
NonNegativeFloat = Annotated[float, Range(min=0)]
"""0 or a number above it."""
FiniteFloat = Annotated[float, Range()]
"""Any number, negative ones too."""
PositiveInt = Annotated[int, Range(min=1)]
"""1, 2, 3 ..."""
NonNegativeInt = Annotated[int, Range(min=0)]
"""0, 1, 2 ..."""
AnyInt = Annotated[int, Range()]
"""Any whole number, negative ones too."""
Side = Annotated[int, Range(min=1, max=16_384)]
"""Side of an image in pixels."""
Seed = Annotated[int, Range(min=0, max=4_294_967_295)]
"""Of random numbers: NumPy takes 32 bits."""


def check_ranges(node: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function or constructor: arguments outside of their annotations' ranges are refused when it is called.

    Args:
        node: where its arguments stand in a configuration, such as ``backbone``.

    Raises:
        UserError: from the decorated function, ``backbone.width=-1: must be above 0 and at most 4``.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        parameters = list(inspect.signature(function).parameters)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            check(function, {**dict(zip(parameters, args, strict=False)), **kwargs}, node)
            return function(*args, **kwargs)

        return call

    return decorate


def check(described: Any, values: Mapping[str, Any], node: str) -> None:
    """Refuse the values that are outside of the ranges of a function's, or a dataclass's, annotations.

    Raises:
        UserError: names the first of them as ``node.name=value``.
    """
    for name, hint in _ranged(described).items():
        if name in values and (reason := _refusal(values[name], hint)):
            raise UserError(f"{node}.{name}={_shown(values[name])}: {reason}")


def fits(described: Any, name: str, value: Any) -> bool:
    """Whether a value is of a type that an annotation of a function, or of a dataclass, states."""
    hint = _ranged(described)[name]
    choices = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return any(_fits(value, each) for each in choices)


@functools.lru_cache(maxsize=512)
def _ranged(described: Any) -> dict[str, Any]:
    """Annotations that can be read now, by argument; those of names that are there for type checkers only cannot."""
    described = inspect.unwrap(described)
    names = vars(inspect.getmodule(described)) if isinstance(described, type) else described.__globals__
    hints: dict[str, Any] = {}
    for name, annotation in described.__annotations__.items():
        if "return" not in name:
            try:
                one = types.SimpleNamespace(__annotations__={name: annotation})
                hints |= get_type_hints(one, globalns=names, include_extras=True)
            except NameError:
                continue
    for name in [name for name, hint in hints.items() if get_origin(hint) is Unpack]:
        hints |= _ranged(get_args(hints.pop(name))[0])  # **options: Unpack[a TypedDict]
    return hints


def _refusal(value: Any, hint: Any) -> str | None:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        fitting = [each for each in inner if _fits(value, each)]
        exact = [each for each in fitting if _base(each) is type(value)]  # a whole number is a number, too
        reasons = [_refusal(value, each) for each in exact or fitting]
        return None if None in reasons else next(iter(reasons), None)
    if not _fits(value, hint):
        return None  # of another type: that is for type checkers
    if origin is Annotated:
        stated = [each.refusal(value) for each in inner[1:] if isinstance(each, Range | Items)]
        return next((reason for reason in stated if reason), None) or _refusal(value, inner[0])
    if isinstance(value, list | tuple) and inner:
        for each in value:
            if reason := _refusal(each, inner[0]):
                return reason if isinstance(each, list | tuple) else f"{reason}, not {each} in {_shown(value)}"
    if isinstance(value, Mapping) and inner:
        return next((f"{name} {reason}" for name, each in value.items() if (reason := _item(each, inner[1]))), None)
    return None


def _item(value: Any, hint: Any) -> str | None:
    """Of a value in a mapping that names things of the user's; what is no number where one is wanted is told, too."""
    if _base(hint) in (int, float) and not _fits(value, hint):
        return f"needs {'a whole number' if _base(hint) is int else 'a number'}, not {value!r}"
    return _refusal(value, hint)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a hint's type, as far as ranges go."""
    base = _base(hint)
    if base is Literal:
        return value in get_args(hint)
    if base is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if base is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(base, type) and issubclass(base, Sequence) and base is not str:
        return isinstance(value, list | tuple)
    if isinstance(base, type) and issubclass(base, Mapping):
        return isinstance(value, Mapping)
    return base in (str, bool, type(None)) and isinstance(value, base)


def _base(hint: Any) -> Any:
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return get_origin(hint) or hint


def _plain(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) and number >= 10_000 else f"{number:.12g}"


def _shown(value: Any) -> str:
    return f"{list(value)}" if isinstance(value, tuple) else f"{value}"
