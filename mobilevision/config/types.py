"""Which values a key accepts: read off an annotation's source, or off the value that stands in the yaml."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from mobilevision.config.names import did_you_mean
from mobilevision.config.source_code import Definition, Module, find, lookup
from mobilevision.errors import UserError
from mobilevision.ranges import Items, Range, finite

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "list": "a list like [1, 2]",
    "dict": "keys of its own",
    "none": "null",
}
_SHORT = {"bool": "true, false", "int": "whole number", "float": "number", "str": "text", "list": "list"}
_SHORT |= {"dict": "keys of its own", "none": "null"}
_NAMES = {"int": "int", "float": "float", "str": "str", "bool": "bool", "None": "none"}
_NAMES |= dict.fromkeys(("Path", "PathLike", "LiteralString"), "str")
_NAMES |= dict.fromkeys(("list", "List", "tuple", "Tuple", "Sequence", "Iterable", "Collection", "set", "Set"), "list")
_NAMES |= dict.fromkeys(("dict", "Dict", "Mapping", "MutableMapping"), "dict")
_RANGES: dict[str, type[Range | Items]] = {"Range": Range, "Items": Items}
_THROUGH = {"Final", "ClassVar", "Required", "NotRequired"}


@dataclass(frozen=True)
class Type:
    """What a key accepts; with no kinds and no choices, anything.

    Attributes:
        kinds: some of int, float, str, bool, list, dict, none.
        choices: values that are accepted beside those of ``kinds``.
        open: true where a part of the annotation could not be read, so anything is accepted.
        items: what the elements of a list have to be; None where nothing is known of them.
        values: what the values of a mapping have to be, likewise.
        ranges: (kind, range) of the numbers among ``kinds``: a number has to be in one of those of its kind. Where
            none is stated, every finite number is accepted.
        lengths: how many elements a list has to have, and their order; one of these has to fit.
    """

    kinds: frozenset[str] = frozenset()
    choices: tuple[Any, ...] = ()
    open: bool = False
    items: Type | None = None
    ranges: tuple[tuple[str, Range], ...] = ()
    lengths: tuple[Items, ...] = ()
    values: Type | None = None

    def __or__(self, other: Type) -> Type:
        return Type(
            self.kinds | other.kinds,
            self.choices + other.choices,
            self.open or other.open,
            self.items | other.items if self.items and other.items else self.items or other.items,
            self.ranges + other.ranges,
            self.lengths + other.lengths,
            self.values | other.values if self.values and other.values else self.values or other.values,
        )

    def refusal(self, value: Any) -> str | None:
        """Why a value does not fit; None if it does."""
        if isinstance(value, str) and ("${" in value or value == "???"):
            return None
        kind = kind_of(value)
        if any(value == choice and type(value) is type(choice) for choice in self.choices):
            return None
        if kind in {"int", "float"} and (self.open or self._counts_as(kind)):
            return self._out_of_range(value, self._counts_as(kind) or kind)
        if self.open:
            return next((f"{reason} in {value}" for reason in map(ANYTHING.refusal, _inside(value)) if reason), None)
        if kind == "list" and kind in self.kinds:
            return self._wrong_list(value)
        if kind == "dict" and kind in self.kinds and self.values:
            wrong = ((name, self.values.refusal(each)) for name, each in value.items())
            return next((f"{name} {reason}" for name, reason in wrong if reason), None)
        if kind in self.kinds:
            return None
        if self.choices and kind == "str" and not self.kinds & {"bool", "int", "float", "list", "dict"}:
            return f"there is no choice {value}{did_you_mean(str(value), [str(choice) for choice in self.choices])}"
        within = [str(each) for _, each in self.ranges if each != Range()]
        return f"needs {' or '.join(self.words())}, not {_shown(value)}{f' ({within[0]})' if len(within) == 1 else ''}"

    def words(self) -> list[str]:
        """What is accepted, kind by kind and choice by choice."""
        kinds = [kind for kind in _WORDS if kind in self.kinds and not (kind == "int" and "float" in self.kinds)]
        choices = (str(choice) for choice in self.choices if not self._counts_as(kind_of(choice)))
        return [*(_WORDS[kind] for kind in kinds), *dict.fromkeys(choices)]

    def described(self) -> str:
        """What is accepted with its ranges, as a table of keys says it: ``number above 0, null``."""
        parts = []
        for kind in (kind for kind in _SHORT if kind in self.kinds):
            ranges = [str(each) for of, each in self.ranges if of == kind and each != Range()]
            if kind == "list":
                ranges = [f"of {each}" for each in self.lengths if each != Items()]
                ranges += [f"each {self.items.described()}"] if self.items and not self.items.open else []
            parts.append(" ".join((_SHORT[kind], ", ".join(ranges) if kind == "list" else " or ".join(ranges))).strip())
        return ", ".join(dict.fromkeys([*parts, *map(str, self.choices)]))

    def _counts_as(self, kind: str) -> str | None:
        """The kind whose ranges a number has to be in: a whole number is a number, too."""
        return kind if kind in self.kinds else "float" if kind == "int" and "float" in self.kinds else None

    def _out_of_range(self, value: float, kind: str) -> str | None:
        ranges = [each for of, each in self.ranges if of == kind]
        if not ranges:
            return None if finite(value) else f"must be {Range()}"
        reasons = [each.refusal(value) for each in ranges]
        if len(ranges) == 1 and not any(kind_of(choice) in {"int", "float"} for choice in self.choices):
            return reasons[0]
        besides = [choice for choice in self.choices if kind_of(choice) in {"int", "float"}]
        return None if None in reasons else f"must be {' or '.join(map(str, [*ranges, *besides]))}"

    def _wrong_list(self, value: list[Any]) -> str | None:
        reasons = [each.refusal(value) for each in self.lengths]
        if reasons and None not in reasons:
            return reasons[0]
        for each in value:
            if reason := (self.items or ANYTHING).refusal(each):
                where = "" if kind_of(each) == "list" else f" in {value}"
                return f"{reason}{where}" if ", not " in reason else f"{reason}, not {each}{where}"
        return None


ANYTHING = Type(open=True)


def kind_of(value: Any) -> str:
    """The name of a plain value's kind."""
    if value is None:
        return "none"
    for kind, types in (("bool", bool), ("int", int), ("float", float), ("str", str), ("dict", dict)):
        if isinstance(value, types):
            return kind
    return "list"


def of_value(value: Any) -> Type:
    """The type that a value in the yaml shows; null, a reference and a missing value show none."""
    if value is None or (isinstance(value, str) and ("${" in value or value == "???")):
        return ANYTHING
    return Type(frozenset({kind_of(value)}))


def of_annotation(node: ast.expr | None, module: Module, depth: int = 0) -> Type:
    """The type that an annotation states."""
    if node is None or depth > 10:
        return ANYTHING
    if isinstance(node, ast.Constant):
        if node.value is None:
            return Type(frozenset({"none"}))
        return of_annotation(_parsed(node.value), module, depth + 1)
    if isinstance(node, ast.BinOp):
        return of_annotation(node.left, module, depth + 1) | of_annotation(node.right, module, depth + 1)
    if isinstance(node, ast.Subscript):
        return _subscript(node, module, depth)
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    if name in ("Any", "object"):
        return ANYTHING
    if name in _NAMES:
        return Type(frozenset({_NAMES[name]}))
    found = _named(node, module) if isinstance(node, ast.Name | ast.Attribute) else None
    if found is not None and isinstance(found.node, ast.expr):
        return of_annotation(found.node, found.module, depth + 1)
    if found is not None and isinstance(found.node, ast.ClassDef) and isinstance(node, ast.Name):
        return Type(frozenset({"dict"}))  # an object is described by keys of its own
    return ANYTHING


def _subscript(node: ast.Subscript, module: Module, depth: int) -> Type:
    outer = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if outer == "Literal":
        return Type(choices=tuple(value for element in inner for value in _literal(element)))
    if outer in {"Optional", "Union"}:
        result = Type(frozenset({"none"})) if outer == "Optional" else Type()
        for element in inner:
            result |= of_annotation(element, module, depth + 1)
        return result
    if outer == "Annotated":
        return _bounded(of_annotation(inner[0], module, depth + 1), inner[1:], module)
    if outer in _THROUGH:
        return of_annotation(inner[0], module, depth + 1)
    if _NAMES.get(outer) == "list":
        items = Type()
        for element in inner:
            if not (isinstance(element, ast.Constant) and element.value is ...):
                items |= of_annotation(element, module, depth + 1)
        return Type(frozenset({"list"}), items=items if inner else None)
    if _NAMES.get(outer) == "dict" and len(inner) == 2:
        values = of_annotation(inner[1], module, depth + 1)
        return Type(frozenset({"dict"}), values=None if values.open else values)
    return Type(frozenset({_NAMES[outer]})) if outer in _NAMES else ANYTHING


def _bounded(bare: Type, metadata: list[ast.expr], module: Module) -> Type:
    """A type with the ranges that stand in its ``Annotated``; other metadata says nothing of values."""
    for call in metadata:
        stated = _stated(call, module)
        if isinstance(stated, Range):
            numbers = sorted(bare.kinds & {"int", "float"})
            bare = replace(bare, ranges=tuple((kind, stated) for kind in numbers))
        elif isinstance(stated, Items):
            bare = replace(bare, lengths=(stated,))
    return bare


def _stated(call: ast.expr, module: Module) -> Range | Items | None:
    """The Range or Items that is written there."""
    if not isinstance(call, ast.Call):
        return None
    named = _named(call.func, module)
    if named is None or named.module.name != Range.__module__:
        return None
    kind = _RANGES.get(getattr(named.node, "name", ""))
    if kind is None:
        return None
    return kind(
        *(_bound(each, module) for each in call.args),
        **{each.arg: _bound(each.value, module) for each in call.keywords if each.arg},
    )


def _named(node: ast.expr, module: Module) -> Definition | None:
    """What ``Name`` or ``module.Name`` stands for."""
    found = lookup(module, node.id) if isinstance(node, ast.Name) else find(f"{module.name}.{ast.unparse(node)}")
    return found if isinstance(found, Definition) else None


def _bound(node: ast.expr, module: Module) -> Any:
    """A bound of a range: a number, or a constant that holds one."""
    found = _named(node, module) if isinstance(node, ast.Name | ast.Attribute) else None
    for value in _literal(found.node if found and isinstance(found.node, ast.expr) else node):
        return value
    raise UserError(f"{module.path}:{node.lineno}: {ast.unparse(node)}: give a number, or a constant that holds one")


def _literal(node: ast.expr) -> Iterator[Any]:
    """The plain value that an expression spells out, if it does."""
    try:
        yield ast.literal_eval(node)
    except ValueError:
        return


def _inside(value: Any) -> Iterator[Any]:
    """The plain values within a list or mapping."""
    if isinstance(value, list | dict):
        yield from (value.values() if isinstance(value, dict) else value)


def _parsed(text: Any) -> ast.expr | None:
    try:
        return ast.parse(str(text), mode="eval").body
    except SyntaxError:
        return None


def _shown(value: Any) -> str:
    return f"the text {value}" if isinstance(value, str) else "null" if value is None else f"{value}"
