"""Finding what a ``_target_`` names by reading source files, so that nothing has to be imported to check it."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mobilevision.plugins.former_names import current_name

_DEPTH = 20  # re-exports followed before giving up


@dataclass(frozen=True)
class Module:
    """A module's file, parsed."""

    name: str
    path: Path
    tree: ast.Module

    def statements(self) -> Iterator[ast.stmt]:
        """Top-level statements, those under ``if`` and ``try`` too."""
        waiting: list[ast.stmt] = list(reversed(self.tree.body))
        while waiting:
            statement = waiting.pop()
            yield statement
            if isinstance(statement, ast.If):
                waiting += reversed(statement.body + statement.orelse)
            elif isinstance(statement, ast.Try):
                waiting += reversed(statement.body + [s for h in statement.handlers for s in h.body] + statement.orelse)


@dataclass(frozen=True)
class Definition:
    """A class, function or alias, and the module that defines it."""

    module: Module
    node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.expr


def find(target: str) -> Definition | Module | None:
    """What a dotted name stands for, re-exports followed; None where source files do not tell."""
    parts = target.split(".")
    lengths = range(len(parts), 0, -1)
    length, module = next(((n, found) for n in lengths if (found := load(".".join(parts[:n])))), (0, None))
    if module is None:
        return None
    rest = parts[length:]
    for depth, attribute in enumerate(rest):
        result = lookup(module, attribute)
        if depth == len(rest) - 1 or not isinstance(result, Module):
            return result if depth == len(rest) - 1 else None
        module = result
    return module


def lookup(module: Module, name: str, depth: int = 0) -> Definition | Module | None:
    """What a name means inside a module."""
    if depth > _DEPTH:
        return None
    stars: list[str] = []
    for statement in module.statements():
        if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if statement.name == name:
                return Definition(module, statement)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if statement.value is not None and any(isinstance(t, ast.Name) and t.id == name for t in targets):
                return Definition(module, statement.value)
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    return load(alias.name)
        elif isinstance(statement, ast.ImportFrom):
            origin = _origin(module, statement)
            for alias in statement.names:
                if alias.name == "*":
                    stars.append(origin)
                elif (alias.asname or alias.name) == name:
                    return _member(origin, alias.name, depth)
    for origin in stars:
        if result := _member(origin, name, depth):
            return result
    return load(f"{module.name}.{name}") if module.path.name == "__init__.py" else None


def _member(origin: str, name: str, depth: int) -> Definition | Module | None:
    module = load(origin)
    return lookup(module, name, depth + 1) if module else None


def _origin(module: Module, statement: ast.ImportFrom) -> str:
    if not statement.level:
        return statement.module or ""
    parts = module.name.split(".")
    drop = statement.level - (module.path.name == "__init__.py")
    base = parts[: len(parts) - drop]
    return ".".join([*base, *([statement.module] if statement.module else [])])


def defined_in_source(target: str) -> bool:
    """Whether the sources at hand tell all there is to know of a dotted name: they do of small packages and scripts."""
    top = target.partition(".")[0]
    spec = importlib.util.find_spec(top) if top.isidentifier() else None
    if spec is None:
        return True
    places = list(spec.submodule_search_locations or [])
    return not any(found for place in places for found in Path(place).glob("**/*.so"))


@lru_cache(maxsize=512)
def load(name: str) -> Module | None:
    """Parse a module's file; None where there is none, as for compiled ones."""
    name = current_name(name)
    path = _file(name)
    if path is None:
        return None
    try:
        return Module(name, path, ast.parse(path.read_bytes()))
    except (SyntaxError, ValueError):
        return None


def why_missing(target: str) -> str:
    """Why :func:`find` finds nothing under a name: a file of Python that does not parse, or nothing there at all."""
    parts = current_name(target).split(".")
    for length in range(len(parts) - 1, 0, -1):
        if (path := _file(".".join(parts[:length]))) is not None:
            try:
                ast.parse(path.read_bytes())
            except (SyntaxError, ValueError) as error:
                line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
                return f"{target}: {path}{line}: {getattr(error, 'msg', error)}"
            break
    return f"{target} does not exist"


def _file(name: str) -> Path | None:
    top, *below = name.split(".")
    if not all(part.isidentifier() for part in [top, *below]):
        return None
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # a module that runs as a script
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        base = Path(next(iter(spec.submodule_search_locations))).joinpath(*below)
        files = [base / "__init__.py", base.with_suffix(".py")] if below else [base / "__init__.py"]
    else:
        files = [Path(spec.origin)] if spec.origin and not below else []
    return next((file for file in files if file.suffix == ".py" and file.is_file()), None)
