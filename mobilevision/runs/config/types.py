"""Which values a key accepts: read off an annotation's source, or off the value that stands in the yaml."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

from mobilevision.runs.config.names import did_you_mean
from mobilevision.runs.config.source_code import Definition, Module, lookup

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "list": "a list like [1, 2]",
    "dict": "keys of its own",
    "none": "null",
}
_NAMES = {"int": "int", "float": "float", "str": "str", "bool": "bool", "None": "none"}
_NAMES |= dict.fromkeys(("Path", "PathLike", "LiteralString"), "str")
_NAMES |= dict.fromkeys(("list", "List", "tuple", "Tuple", "Sequence", "Iterable", "Collection", "set", "Set"), "list")
_NAMES |= dict.fromkeys(("dict", "Dict", "Mapping", "MutableMapping"), "dict")
_THROUGH = {"Final", "ClassVar", "Required", "NotRequired"}


@dataclass(frozen=True)
class Type:
    """What a key accepts; with no kinds and no choices, anything.

    Attributes:
        kinds: some of int, float, str, bool, list, dict, none.
        choices: values that are accepted beside those of ``kinds``.
        open: true where a part of the annotation could not be read, so anything is accepted.
        items: what the elements of a list have to be; None where nothing is known of them.
    """

    kinds: frozenset[str] = frozenset()
    choices: tuple[Any, ...] = ()
    open: bool = False
    items: Type | None = None

    def __or__(self, other: Type) -> Type:
        items = self.items | other.items if self.items and other.items else self.items or other.items
        return Type(self.kinds | other.kinds, self.choices + other.choices, self.open or other.open, items)

    def refusal(self, value: Any) -> str | None:
        """Why a value does not fit; None if it does."""
        if self.open or (isinstance(value, str) and ("${" in value or value == "???")):
            return None
        kind = kind_of(value)
        if kind == "list" and kind in self.kinds and self.items is not None:
            refusals = (self.items.refusal(each) for each in value)
            return next((f"{refusal} in {value}" for refusal in refusals if refusal), None)
        if kind in self.kinds or (kind == "int" and "float" in self.kinds):
            return None
        if any(value == choice and type(value) is type(choice) for choice in self.choices):
            return None
        if self.choices and kind == "str" and not self.kinds & {"int", "float", "list", "dict"}:
            return f"there is no choice {value}{did_you_mean(str(value), [str(choice) for choice in self.choices])}"
        wanted = [
            _WORDS[kind] for kind in _WORDS if kind in self.kinds and not (kind == "int" and "float" in self.kinds)
        ]
        wanted += dict.fromkeys(str(choice) for choice in self.choices)
        return f"needs {' or '.join(wanted)}, not {_shown(value)}"


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
    if name in _NAMES:
        return Type(frozenset({_NAMES[name]}))
    found = lookup(module, name) if isinstance(node, ast.Name) else None
    if isinstance(found, Definition) and isinstance(found.node, ast.expr):
        return of_annotation(found.node, found.module, depth + 1)
    if isinstance(found, Definition) and isinstance(found.node, ast.ClassDef):
        return Type(frozenset({"dict"}))  # an object is described by keys of its own
    return ANYTHING


def _subscript(node: ast.Subscript, module: Module, depth: int) -> Type:
    outer = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if outer == "Literal":
        return Type(choices=tuple(element.value for element in inner if isinstance(element, ast.Constant)))
    if outer in {"Optional", "Union"}:
        result = Type(frozenset({"none"})) if outer == "Optional" else Type()
        for element in inner:
            result |= of_annotation(element, module, depth + 1)
        return result
    if outer == "Annotated" or outer in _THROUGH:
        return of_annotation(inner[0], module, depth + 1)
    if _NAMES.get(outer) == "list":
        items = Type()
        for element in inner:
            if not (isinstance(element, ast.Constant) and element.value is ...):
                items |= of_annotation(element, module, depth + 1)
        return Type(frozenset({"list"}), items=items)
    return Type(frozenset({_NAMES[outer]})) if outer in _NAMES else ANYTHING


def _parsed(text: Any) -> ast.expr | None:
    try:
        return ast.parse(str(text), mode="eval").body
    except SyntaxError:
        return None


def _shown(value: Any) -> str:
    return f"the text {value}" if isinstance(value, str) else "null" if value is None else f"{value}"
