"""House rules that no linter knows: length, final classes, and nothing of one machine in the repository."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for top in ("mobilevision", "tasks") for path in (ROOT / top).rglob("*.py"))

RECORDS = {"ABC", "Protocol", "NamedTuple", "TypedDict", "Enum", "StrEnum", "Exception", "UserError"}
# In pieces, so that this file does not find itself.
MACHINE = re.compile("|".join([r"(?<![\w.])/" + r"(work|root|home|Users)/\w", r"[A-Z]:\\\\" + "Users"]))
HOSTS = re.compile(
    "|".join(["py" + r"pi\.org", "python" + r"hosted\.org", "download." + r"pytorch\.org", "-" + "-(extra-)?index-url"])
)


def classes(source: str) -> list[ast.ClassDef]:
    """Every class of a file, nested ones too."""
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]


def last_name(node: ast.expr) -> str:
    """The last part of a dotted name, without arguments: ``final`` of ``typing.final``, ``ABC`` of ``abc.ABC``."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=inner) | ast.Subscript(value=inner):
            return last_name(inner)
    return ""


def is_final(node: ast.ClassDef) -> bool:
    return "final" in {last_name(decorator) for decorator in node.decorator_list}


def is_abstract(node: ast.ClassDef) -> bool:
    methods = [item for item in node.body if isinstance(item, ast.FunctionDef)]
    marked = any(last_name(mark) == "abstractmethod" for method in methods for mark in method.decorator_list)
    return marked or bool(RECORDS & {last_name(base) for base in node.bases})


def is_record(node: ast.ClassDef) -> bool:
    return "dataclass" in {last_name(decorator) for decorator in node.decorator_list}


def open_classes(source: str) -> list[str]:
    """Names of the classes that are neither final nor abstract nor plain records."""
    return [node.name for node in classes(source) if not (is_final(node) or is_abstract(node) or is_record(node))]


def tracked() -> list[Path]:
    """The files that git knows, new ones that it does not ignore included."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_classes_are_abstract_or_final(path: Path) -> None:
    assert not open_classes(path.read_text(encoding="utf-8")), "mark them @final, or make them abstract"


def test_an_open_class_is_found() -> None:
    assert open_classes("class A: pass") == ["A"]
    assert open_classes("class A(nn.Module):\n    def f(self): pass") == ["A"]
    assert not open_classes(
        "import typing\n@typing.final\nclass A: pass\nclass B(abc.ABC): pass\nclass C(NamedTuple): x: int"
    )
    assert not open_classes("class A(nn.Module):\n    @abstractmethod\n    def f(self): ...")


def test_no_task_inherits_from_a_concrete_task() -> None:
    found = [node for path in (ROOT / "tasks").rglob("*.py") for node in classes(path.read_text(encoding="utf-8"))]
    concrete = {node.name for node in found if is_final(node)}
    heirs = [node.name for node in found if concrete & {last_name(base) for base in node.bases}]
    assert found, "tasks/ holds no class"
    assert not heirs


def test_no_room_for_leftovers() -> None:
    assert not [path for path in SOURCES if path.stem in {"utils", "helpers", "misc", "common"}]


def test_nothing_of_one_machine_is_tracked() -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # an image
        for number, line in enumerate(text.splitlines(), 1):
            if MACHINE.search(line) or HOSTS.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("line", ["cd /" + "work/main", "see /" + "home/me/data", "pip install --" + "index-url x"])
def test_a_machine_path_is_found(line: str) -> None:
    assert MACHINE.search(line) or HOSTS.search(line)
