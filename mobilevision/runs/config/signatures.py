"""The arguments of what a ``_target_`` names, from its source."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from mobilevision.runs.config.source_code import Definition, Module, find, lookup
from mobilevision.runs.config.types import Type, of_annotation

_WITHOUT_ARGUMENTS = {"object", "ABC", "Generic", "Protocol"}
Argument = tuple[ast.expr | None, Module]  # an annotation and the module it is written in
_Callable = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Signature:
    """Arguments by name.

    Attributes:
        arguments: name -> annotation, and where it is written.
        more: whether it takes further keywords of any name.
    """

    arguments: Mapping[str, Argument] = field(default_factory=dict)
    more: bool = False

    def type(self, name: str) -> Type:
        """What an argument accepts."""
        annotation, module = self.arguments[name]
        return of_annotation(annotation, module)


@lru_cache(maxsize=512)
def signature(target: str) -> Signature | None:
    """The signature of a class or function; None where its source does not tell."""
    found = find(target)
    return _of(found) if isinstance(found, Definition) else None


def _of(found: Definition, depth: int = 0) -> Signature | None:
    if isinstance(found.node, _Callable):
        return _of_function(found.node, found.module, skip=0)
    if not isinstance(found.node, ast.ClassDef) or depth > 10:
        return None
    for statement in found.node.body:
        if isinstance(statement, _Callable) and statement.name == "__init__":
            return _of_function(statement, found.module, skip=1)
    if _is_dataclass(found.node):
        return Signature(
            {
                statement.target.id: (statement.annotation, found.module)
                for statement in found.node.body
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
            }
        )
    return _inherited(found, depth)


def _inherited(found: Definition, depth: int) -> Signature | None:
    """The signature that a class without a constructor has from its bases."""
    assert isinstance(found.node, ast.ClassDef)
    for base in found.node.bases:
        name = ast.unparse(base).partition("[")[0].rpartition(".")[2]
        if name in _WITHOUT_ARGUMENTS:
            continue
        parent = lookup(found.module, name) if isinstance(base, ast.Name) else None
        inherited = _of(parent, depth + 1) if isinstance(parent, Definition) else None
        if inherited is None or inherited.arguments or inherited.more:
            return inherited
    return Signature()


def _of_function(node: _Callable, module: Module, skip: int) -> Signature:
    given = node.args
    arguments = [*given.posonlyargs, *given.args][skip:] + given.kwonlyargs
    return Signature({each.arg: (each.annotation, module) for each in arguments}, given.kwarg is not None)


def _is_dataclass(node: ast.ClassDef) -> bool:
    names = {ast.unparse(each).partition("(")[0].rpartition(".")[2] for each in node.decorator_list}
    return "dataclass" in names or any(ast.unparse(base).rpartition(".")[2] == "NamedTuple" for base in node.bases)
