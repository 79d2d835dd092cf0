"""The wheel: what is in it, and that it runs from an unrelated folder in an environment of its own."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from PIL import Image

import mobilevision

ROOT = Path(__file__).resolve().parents[1]
OPTIONAL = {"scipy"}  # where it is missing an error names it


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built with the hatchling at hand: no network."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that holds the wheel alone and sees this one's packages behind it.

    The parent's folders join through a .pth file. Python reads no .pth files in folders that join that way, so an
    editable install of this checkout stays out of sight.
    """
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--quiet", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    site = next(folder.glob("lib/python*/site-packages"))
    parents = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site / "parent.pth").write_text("\n".join(parents) + "\n", encoding="utf-8")
    return folder


def run(environment: Path, command: Sequence[str], folder: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment in a folder, with nothing of the checkout on the way."""
    kept = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "MOBILEVISION_PATH"}}
    program = [str(environment / "bin" / command[0]), *command[1:]]
    return subprocess.run(program, cwd=folder, env={**kept, **extra}, capture_output=True, text=True, timeout=280)


def test_the_wheel_holds_code_configs_and_templates(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for source, target in (
        ("mobilevision", "mobilevision"),
        ("tasks", "mobilevision/tasks"),
        ("conf", "mobilevision/conf"),
    ):
        files = [path for path in (ROOT / source).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        missing = {f"{target}/{path.relative_to(ROOT / source)}" for path in files} - names
        assert files
        assert not missing
    assert "mobilevision/py.typed" in names
    assert any(name.endswith(".html.j2") for name in names)
    assert {name.split("/")[0] for name in names} == {
        "mobilevision",
        f"mobilevision-{mobilevision.__version__}.dist-info",
    }
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_version_is_said_once(wheel: Path) -> None:
    assert wheel.name == f"mobilevision-{mobilevision.__version__}-py3-none-any.whl"


def test_the_installed_package_is_the_wheel(environment: Path, tmp_path: Path) -> None:
    code = "import mobilevision, mobilevision.tasks as t; print(mobilevision.__file__); print(t.__file__)"
    done = run(environment, ["python", "-c", code], tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(line.startswith(str(environment)) for line in done.stdout.split())


def test_help_from_an_unrelated_folder(environment: Path, tmp_path: Path) -> None:
    done = run(environment, ["mobilevision", "--help"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout
    assert "evaluate" in done.stdout


@pytest.fixture(scope="session")
def trained(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two batches, trained by the wheel from an unrelated folder."""
    folder = tmp_path_factory.mktemp("unrelated")
    done = run(environment, ["mobilevision", "train", "task=classification", "trainer=debug"], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = (folder / "outputs" / "classification").iterdir()
    return found


def test_training_from_an_unrelated_folder(trained: Path) -> None:
    for name in ("metrics.json", "metrics.csv", "config.yaml", "report.html", "checkpoints/best.ckpt", "train.log"):
        assert (trained / name).is_file(), name


def test_predicting_from_an_unrelated_folder(environment: Path, trained: Path, tmp_path: Path) -> None:
    Image.new("RGB", (80, 60), (200, 30, 30)).save(tmp_path / "red.png")
    command = ["mobilevision", "predict", str(trained), "red.png", "--out", "predictions"]
    done = run(environment, command, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert any((tmp_path / "predictions").iterdir())
    code = f"import mobilevision; print(mobilevision.load({str(trained)!r}).predict('red.png'))"
    done = run(environment, ["python", "-c", code], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "label" in done.stdout


@pytest.mark.parametrize("name", ["tasks.py", "tasks/__init__.py"])
@pytest.mark.slow
def test_a_users_own_tasks_is_nothing_to_us(environment: Path, trained: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("raise SystemExit('the wrong tasks')\n", encoding="utf-8")
    Image.new("RGB", (80, 60), (200, 30, 30)).save(tmp_path / "red.png")
    code = f"import mobilevision; print(mobilevision.load({str(trained)!r}).predict('red.png'))"
    done = run(environment, ["python", "-c", code], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "label" in done.stdout
    done = run(environment, ["mobilevision", "evaluate", str(trained)], tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


def third_party_imports() -> set[str]:
    """Top-level names of what the package imports and Python does not bring."""
    found = set()
    for path in [*(ROOT / "mobilevision").rglob("*.py"), *(ROOT / "tasks").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"mobilevision", "tasks"} - OPTIONAL


def test_what_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [
        *project["dependencies"],
        *(line for group in project["optional-dependencies"].values() for line in group),
    ]
    declared = {re.split(r"[^\w.-]", line)[0].lower().replace("_", "-") for line in needed}
    owners = packages_distributions()
    missing = {
        name
        for name in third_party_imports()
        if not declared & {owner.lower().replace("_", "-") for owner in owners.get(name, [name])}
    }
    assert not missing, "add to pyproject.toml"
