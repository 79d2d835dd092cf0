"""Who may import whom: one table, read off the source of every file; late and type-only imports count, too."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A room imports rooms of the rows above its own, and none of its own row. docs/architecture.md says what each holds.
ROWS = (
    ("errors", "spec", "version"),
    ("plugins",),
    ("ranges", "io", "ops", "geo", "cost"),
    ("visualization",),
    ("images", "optim", "backbones", "heads", "losses", "metrics", "distill"),
    ("data", "deploy"),
    ("tasks",),
    ("config", "tracking"),
    ("engine",),
    ("prediction", "testing"),
    ("callbacks",),
    ("reports",),
    ("evaluation",),
    ("training",),
    ("exporting",),
    ("tools",),
    ("cli",),
    ("mobilevision", "api"),  # __init__.py and __main__.py: the public names
)
ROW = {room: number for number, rooms in enumerate(ROWS) for room in rooms}
ABOVE_CLASSES = ROW["tasks"]  # rows behind this one may import Hydra and OmegaConf: no config enters a class
HYDRA = {"hydra", "omegaconf"}


@dataclass(frozen=True)
class Import:
    """One import: where it stands, the module that it stands in, and the module that it names."""

    where: str
    source: str
    target: str


def named(tree: ast.AST, package: str) -> Iterator[tuple[str, int]]:
    """Absolute names that a file imports, members of modules included, each with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                parents = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                base = ".".join([*parents, *([module] if module else [])])
                yield from ((f"{base}.{alias.name}", node.lineno) for alias in names)
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[ast.Constant(str(name)), *_]):
                if called in {"import_module", "__import__", "importorskip"}:
                    yield name, node.lineno


def modules(root: Path) -> dict[str, Path]:
    """The file of every module, by its dotted name; the folder tasks/ is a part of the package."""
    found = {}
    for top, prefix in (("mobilevision", ("mobilevision",)), ("tasks", ("mobilevision", "tasks"))):
        for path in sorted((root / top).rglob("*.py")):
            parts = [*prefix, *path.relative_to(root / top).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(root: Path) -> list[Import]:
    """Every import of ours, and of Hydra, below a checkout."""
    files = modules(root)
    found = []
    for module, path in files.items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for name, line in named(ast.parse(path.read_text(encoding="utf-8")), package):
            known = next((each for each in (name, name.rpartition(".")[0]) if each in files), name)
            if name.partition(".")[0] in {"mobilevision", "tasks", *HYDRA} and known != module:
                found.append(Import(f"{path.relative_to(root)}:{line}", module, known))
    return list(dict.fromkeys(found))


def room(module: str) -> str:
    """The room of a module of ours, or the top of another one's name."""
    top, *rest = module.split(".")
    return rest[0] if top == "mobilevision" and rest and rest[0] != "__main__" else top


def wrong(found: list[Import]) -> list[str]:
    """The imports that the table forbids, a line each."""
    lines = []
    for each in found:
        source, target = room(each.source), room(each.target)
        if source not in ROW:
            lines.append(f"{each.where}: the room {source} is not in the table of tests/test_imports.py")
        elif target in HYDRA:
            if ROW[source] <= ABOVE_CLASSES:
                lines.append(
                    f"{each.where}: {source} may not import {target}: only mobilevision/config and later rooms"
                )
        elif target == "tasks" and not each.target.startswith("mobilevision."):
            lines.append(f"{each.where}: import mobilevision.tasks: somebody else may have a package `tasks`")
        elif target not in ROW or (source != target and ROW[target] >= ROW[source]):
            lines.append(f"{each.where}: {source} may not import {target}")
    return lines


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Modules that reach themselves through imports of any kind, circle by circle (Tarjan, 1972)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        path.append(node)
        for below in sorted(graph.get(node, ())):
            if below not in order:
                visit(below)
                lowest[node] = min(lowest[node], lowest[below])
            elif below in path:
                lowest[node] = min(lowest[node], order[below])
        if lowest[node] == order[node]:
            start = path.index(node)
            circle = path[start:]
            del path[start:]
            if len(circle) > 1:
                found.append(sorted(circle))

    for node in graph:
        if node not in order:
            visit(node)
    return found


def graph_of(found: list[Import]) -> dict[str, set[str]]:
    """Module -> the modules of ours that it imports."""
    graph: dict[str, set[str]] = {}
    for each in found:
        if room(each.target) in ROW:
            graph.setdefault(each.source, set()).add(each.target)
    return graph


def test_imports_follow_the_table() -> None:
    found = imports(ROOT)
    assert len(found) > 1000, "is this test looking at the right folder?"
    assert not wrong(found), "\n".join(wrong(found))


def test_every_room_is_in_the_table_and_the_other_way_round() -> None:
    there = {room(module) for module in modules(ROOT)}
    assert there == set(ROW)


def test_no_circles() -> None:
    assert circles(graph_of(imports(ROOT))) == []


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("mobilevision/ops/boxes.py", "import mobilevision.data.folder", "ops may not import data"),
        ("mobilevision/heads/linear.py", "from mobilevision.losses import softmax", "heads may not import losses"),
        ("mobilevision/heads/linear.py", "from mobilevision import losses", "heads may not import losses"),
        ("mobilevision/heads/linear.py", "from ..losses.softmax import Softmax", "heads may not import losses"),
        ("mobilevision/heads/deep/linear.py", "from ...losses import Softmax", "heads may not import losses"),
        ("mobilevision/io/a.py", "def f():\n    from mobilevision.data import a", "io may not import data"),
        ("mobilevision/io/a.py", "if TYPE_CHECKING:\n    from mobilevision.data import a", "io may not import data"),
        ("mobilevision/engine/a.py", "def f():\n    from tasks.base import Task", "import mobilevision.tasks"),
        ("mobilevision/io/a.py", "from importlib import import_module\nimport_module('mobilevision.cli.main')", "cli"),
        ("tasks/detection.py", "from mobilevision.engine.build import build", "tasks may not import engine"),
        ("tasks/detection.py", "import omegaconf", "tasks may not import omegaconf"),
        ("mobilevision/data/module.py", "from hydra.utils import instantiate", "data may not import hydra"),
        ("mobilevision/spec.py", "import mobilevision.errors", "spec may not import errors"),
        ("mobilevision/helpers/a.py", "import mobilevision.spec", "the room helpers is not in the table"),
    ],
)
def test_a_wrong_import_is_found(tmp_path: Path, path: str, source: str, complaint: str) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(source, encoding="utf-8")
    lines = wrong(imports(tmp_path))
    assert len(lines) == 1
    assert complaint in lines[0]
    assert lines[0].startswith(path)


def test_a_circle_is_found(tmp_path: Path) -> None:
    files = {"ops/a.py": "import mobilevision.geo.b", "geo/b.py": "def f():\n    import mobilevision.ops.a"}
    for path, source in files.items():
        file = tmp_path / "mobilevision" / path
        file.parent.mkdir(parents=True)
        file.write_text(source, encoding="utf-8")
    assert circles(graph_of(imports(tmp_path))) == [["mobilevision.geo.b", "mobilevision.ops.a"]]


def test_right_imports_pass(tmp_path: Path) -> None:
    file = tmp_path / "mobilevision" / "heads" / "linear.py"
    file.parent.mkdir(parents=True)
    file.write_text("import torch\nfrom mobilevision.spec import DataSpec\nfrom .base import Head\n", encoding="utf-8")
    assert not wrong(imports(tmp_path))
