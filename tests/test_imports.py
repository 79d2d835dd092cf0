"""Who may import whom: the rule of docs/architecture.md, read off the source of every file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LEAVES = {"errors", "spec", "ranges"}
PURE = {"ops", "geo"}
MIDDLE = {"backbones", "heads", "losses", "metrics", "data", "deploy", "cost", "optim", "distill"}
TOP = {"tasks", "runs"}
ROOMS = LEAVES | PURE | MIDDLE | TOP | {"testing"}
DOOR = "mobilevision"  # mobilevision/__init__.py: the public names, reached late; anyone may read its version

ALLOWED: dict[str, set[str]] = {
    **{room: set() for room in LEAVES},
    "ranges": {"errors"},
    **{room: LEAVES | PURE - {room} for room in PURE},  # a cycle of the two is found on its own
    **{room: LEAVES | PURE for room in MIDDLE},
    **{room: LEAVES | PURE | MIDDLE for room in TOP},
    "runs": LEAVES | PURE | MIDDLE | {"testing"},  # `plugins check` runs the conformance test
    "testing": LEAVES | PURE | MIDDLE | {"runs"},
    DOOR: LEAVES | {"runs"},
}
HYDRA = {"hydra", "omegaconf"}


@dataclass(frozen=True)
class Arrow:
    """One import: where it stands, and from which room to which."""

    where: str
    source: str
    target: str
    late: bool  # inside a function: runs when called, so it closes no cycle at import time


def imported(tree: ast.AST, package: str) -> Iterator[tuple[str, int, bool]]:
    """Absolute module names that a file imports, with the line and whether the import is late."""

    def walk(node: ast.AST, late: bool) -> Iterator[tuple[str, int, bool]]:
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, node.lineno, late) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                parents = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                base = ".".join([*parents, *([module] if module else [])])
                whole = base in {"mobilevision", "tasks"}  # `from mobilevision import heads` names a room
                yield from ((f"{base}.{alias.name}" if whole else base, node.lineno, late) for alias in names)
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[ast.Constant(str(name)), *_]):
                if called in {"import_module", "__import__", "importorskip"}:
                    yield name, node.lineno, True
        inside = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside)

    yield from walk(tree, False)


def room_of(module: str) -> str | None:
    """The room of a module, or None where it is not ours."""
    first, _, rest = module.partition(".")
    if first == "tasks":
        return "tasks"
    if first != "mobilevision":
        return None
    second = rest.partition(".")[0]
    return second if second in ROOMS else (DOOR if not second or second.startswith("__") else second)


def arrows(root: Path) -> Iterator[Arrow]:
    """Every import between rooms, and every import of Hydra, below a checkout."""
    for top in ("mobilevision", "tasks"):
        for path in sorted((root / top).rglob("*.py")):
            module = path.relative_to(root).with_suffix("")
            package = ".".join(module.parent.parts)
            source = room_of(".".join(module.parts)) or DOOR
            for name, line, late in imported(ast.parse(path.read_text(encoding="utf-8")), package):
                target = room_of(name) or name.partition(".")[0]
                yield Arrow(f"{path.relative_to(root)}:{line}", source, target, late)


def wrong(found: list[Arrow]) -> list[str]:
    """The arrows that the rule forbids, one line each."""
    lines = []
    for arrow in found:
        known = arrow.target in ALLOWED
        if arrow.source not in ALLOWED:
            lines.append(f"{arrow.where}: the room {arrow.source} is not in the rule of tests/test_imports.py")
        elif arrow.target in HYDRA and arrow.source not in {"runs", "testing"}:
            lines.append(f"{arrow.where}: only mobilevision/runs may import {arrow.target}")
        elif known and arrow.target not in {arrow.source, DOOR} and arrow.target not in ALLOWED[arrow.source]:
            lines.append(f"{arrow.where}: {arrow.source} may not import {arrow.target}")
    return list(dict.fromkeys(lines))


def cycles(found: list[Arrow]) -> list[str]:
    """Rooms that reach themselves through imports made when a module loads."""
    graph: dict[str, set[str]] = {}
    for arrow in found:
        if arrow.source in ALLOWED and arrow.target in ALLOWED and arrow.source != arrow.target and not arrow.late:
            graph.setdefault(arrow.source, set()).add(arrow.target)
    graph.pop(DOOR, None)

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(graph.get(start, ()))
        while waiting:
            room = waiting.pop()
            if room not in seen:
                seen.add(room)
                waiting.extend(graph.get(room, ()))
        return seen

    return sorted(room for room in graph if room in reached(room))


def test_imports_follow_the_rule() -> None:
    found = list(arrows(ROOT))
    assert found, "no imports found: is this test looking at the right folder?"
    assert not wrong(found), "\n".join(wrong(found))


def test_rooms_form_no_cycle() -> None:
    assert not cycles(list(arrows(ROOT)))


def test_the_main_command_imports_only_runs() -> None:
    tree = ast.parse((ROOT / "train.py").read_text(encoding="utf-8"))
    rooms = {room for name, _, _ in imported(tree, "") if (room := room_of(name))}
    assert rooms <= {"runs", DOOR}


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("mobilevision/ops/boxes.py", "import mobilevision.data.folder", "ops may not import data"),
        ("mobilevision/heads/linear.py", "from mobilevision.losses import softmax", "heads may not import losses"),
        ("mobilevision/heads/linear.py", "from mobilevision import losses", "heads may not import losses"),
        ("mobilevision/heads/linear.py", "from ..losses.softmax import Softmax", "heads may not import losses"),
        ("mobilevision/heads/deep/linear.py", "from ...losses import Softmax", "heads may not import losses"),
        ("mobilevision/runs/build.py", "def f():\n    from tasks.base import Task", "runs may not import tasks"),
        ("mobilevision/runs/build.py", "from importlib import import_module\nimport_module('tasks.base')", "tasks"),
        ("mobilevision/testing/case.py", "import tasks", "testing may not import tasks"),
        ("tasks/detection.py", "from mobilevision.runs.build import build", "tasks may not import runs"),
        ("tasks/detection.py", "import omegaconf", "only mobilevision/runs may import omegaconf"),
        ("mobilevision/data/module.py", "from hydra.utils import instantiate", "only mobilevision/runs"),
        ("mobilevision/spec.py", "import mobilevision.errors", "spec may not import errors"),
        ("mobilevision/helpers/a.py", "import mobilevision.spec", "the room helpers is not in the rule"),
    ],
)
def test_a_wrong_arrow_is_found(tmp_path: Path, path: str, source: str, complaint: str) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(source, encoding="utf-8")
    lines = wrong(list(arrows(tmp_path)))
    assert len(lines) == 1
    assert complaint in lines[0]
    assert lines[0].startswith(path)


def test_a_cycle_is_found(tmp_path: Path) -> None:
    for path, source in {"ops/a.py": "import mobilevision.geo.b", "geo/b.py": "import mobilevision.ops.a"}.items():
        file = tmp_path / "mobilevision" / path
        file.parent.mkdir(parents=True)
        file.write_text(source, encoding="utf-8")
    assert cycles(list(arrows(tmp_path))) == ["geo", "ops"]


def test_right_arrows_pass(tmp_path: Path) -> None:
    file = tmp_path / "mobilevision" / "heads" / "linear.py"
    file.parent.mkdir(parents=True)
    file.write_text("import torch\nfrom mobilevision.spec import DataSpec\nfrom .base import Head\n", encoding="utf-8")
    assert not wrong(list(arrows(tmp_path)))
