"""What is public: the list, its documentation, its types, and that asking for it is all that costs."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import mobilevision
from mobilevision import api

ROOT = Path(__file__).resolve().parents[1]
WORK = ("evaluate", "export", "load", "predict", "train")
PARTS = ("Backbone", "DataFormat", "Head", "Loss", "Metric", "Task")
SNIPPET = """
import mobilevision
from mobilevision import Head, Metric, Task

metrics: dict[str, float] = mobilevision.train(["seed=1"])
rows = mobilevision.predict("run", ["a.png"], out="found")
reveal_type(rows)
reveal_type(mobilevision.load("run"))
mobilevision.export("run", formt="onnx")
def head_of(task: Task) -> Head: return task.head
"""


def test_the_list_is_this_one() -> None:
    assert sorted(mobilevision.__all__) == sorted([*WORK, *PARTS, "__version__"])
    assert set(mobilevision.__all__) <= set(dir(mobilevision))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        mobilevision.trian  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", WORK)
def test_a_function_states_its_arguments_errors_and_types(name: str) -> None:
    function = getattr(mobilevision, name)
    text = inspect.getdoc(function) or ""
    assert "Args:" in text
    assert "Raises:" in text
    for parameter in inspect.signature(function).parameters.values():
        assert re.search(rf"^ +{parameter.name}: ", text, re.MULTILINE), parameter.name
        assert parameter.annotation is not inspect.Parameter.empty
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_documented_and_typed(name: str) -> None:
    part = getattr(mobilevision, name)
    assert inspect.isclass(part)
    assert len(inspect.getdoc(part) or "") > 40
    assert typing.get_type_hints(part.__init__) is not None


def test_the_page_names_them_all_and_the_readme_the_page() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for name in mobilevision.__all__:
        assert f"mobilevision.{name}" in page
    assert "docs/api.md" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_what_plugins_build_on_is_listed_and_there() -> None:
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    listed = page.partition("## What plugins build on")[2].partition("\n## ")[0]
    assert set(re.findall(r"`([A-Za-z_]+)`", listed)) >= set(api.__all__)
    assert set(api.__all__) == {"VERSION", *api._HERE}
    for name in api.__all__:
        assert getattr(api, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Haed'"):
        api.Haed  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("package", ["mobilevision_segmentation", "mobilevision_keypoints"])
def test_examples_import_nothing_else(package: str) -> None:
    allowed = {"mobilevision.api", "mobilevision.ranges", "mobilevision.testing"}
    for file in sorted((ROOT / "examples" / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else names
            ours = {name for name in names if name.partition(".")[0] == "mobilevision"}
            assert ours <= allowed, f"{file}: {ours - allowed}"


def test_an_answer_needs_no_torch() -> None:
    code = "import sys; from mobilevision.api import Answer, Agreed, Affine, panels; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_asking_for_nothing_imports_nothing_heavy() -> None:
    code = "import sys, mobilevision; dir(mobilevision); mobilevision.load, mobilevision.train; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "PIL", "omegaconf", "pytorch_lightning"} & set(done.stdout.split())


def test_a_mistake_is_told_before_anything_is_trained() -> None:
    from mobilevision.errors import UserError

    with pytest.raises(UserError, match=r"did you mean trainer\.max_epochs"):
        mobilevision.train(["trainer.max_epoch=1"])


@pytest.mark.slow
def test_users_of_mypy_see_the_types(tmp_path: Path) -> None:
    (tmp_path / "snippet.py").write_text(SNIPPET, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", str(tmp_path / "snippet.py")]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    assert "list[dict[str, Any]]" in said.replace("builtins.", "")  # which mypy writes depends on its version
    assert "Model" in said
    assert 'Unexpected keyword argument "formt"' in said
    assert "Found 1 error" in said
