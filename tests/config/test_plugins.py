"""Plugins: found, listed, refused where they clash, named where they are broken; a real package, installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from mobilevision.cli.plugin_commands import added, check, show
from mobilevision.config.compose import compose
from mobilevision.config.used_plugins import load_for
from mobilevision.errors import UserError
from mobilevision.plugins import discover, load
from mobilevision.tools.plugin_template import write_plugin

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = {
    "counting": ROOT / "examples" / "mobilevision_plugin_counting",
    "segmentation": ROOT / "examples" / "mobilevision_segmentation",
    "keypoints": ROOT / "examples" / "mobilevision_keypoints",
}
"""Plugins that are packages, by their names."""
Write = Callable[[Path, dict[str, str]], Path]

HEAD = """
from typing import final

from torch import nn

from mobilevision.heads import Head
from mobilevision.spec import Needs


@final
class Bare(Head):
    needs = Needs(pooled=True)

    def __init__(self, *, backbone, data, bias: bool = False):
        super().__init__(backbone=backbone, data=data)
        self.layer = nn.Linear(backbone.width, len(data.classes), bias=bias)

    def forward(self, features):
        return self.layer(features.pooled)
"""
PARTS = {
    "bare_head.py": HEAD,
    "conf/head/bare.yaml": "_target_: bare_head.Bare\nkinds: [class]\nbias: false\n",
    "test_nothing.py": "raise SystemExit\n",
}


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Puts folders into MOBILEVISION_PATH; takes their modules out again."""
    before, path = set(sys.modules), list(sys.path)

    def use(*paths: Path) -> None:
        monkeypatch.setenv("MOBILEVISION_PATH", os.pathsep.join(map(str, paths)))

    yield use
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_a_folder_adds_options(tmp_path: Path, write: Write, folders: Callable[..., None]) -> None:
    folders(write(tmp_path / "mine", PARTS))
    (plugin,) = discover()
    assert (plugin.name, plugin.modules, plugin.error) == ("mine", ("bare_head",), None)
    assert added(plugin) == ["head=bare"]
    assert compose(["head=bare", "head.bias=true"]).head.bias is True
    with pytest.raises(UserError, match="did you mean bare"):
        compose(["head=bear"])


def test_the_list_says_what_each_adds(
    tmp_path: Path, write: Write, folders: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    show()
    assert "no plugins" in capsys.readouterr().out
    broken = write(tmp_path / "broken", {"broken_parts.py": "import there_is_no_such_module\n"})
    folders(write(tmp_path / "mine", PARTS), broken, tmp_path / "nowhere")
    show()
    said = " ".join(capsys.readouterr().out.split())
    assert "head=bare" in said
    assert "there_is_no_such_module" in said.replace("│ │ ", "").replace(" │ ", "")
    assert "not a folder" in said.replace(" │ │ │ ", " ")


def test_the_list_says_how_the_last_check_went(
    tmp_path: Path,
    write: Write,
    folders: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    folders(write(tmp_path / "mine", {"empty.py": "", "conf/trainer/mine.yaml": "defaults:\n  - debug\n  - _self_\n"}))
    show()
    assert "not yet" in capsys.readouterr().out
    check("mine", [])
    show()
    assert "passed on 20" in capsys.readouterr().out
    monkeypatch.setattr("mobilevision.cli.plugin_commands.__version__", "0.0.1")
    show()
    assert "in another version" in capsys.readouterr().out
    (tmp_path / "cache" / "mobilevision" / "plugin_checks.json").write_text("{", encoding="utf-8")
    show()
    assert "not yet" in capsys.readouterr().out


def test_a_broken_plugin_is_named_and_the_rest_goes_on(
    tmp_path: Path, write: Write, folders: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    broken = {
        "broken_parts.py": "1 / 0\n\nclass Head:\n    pass\n",
        "conf/head/broken.yaml": "_target_: broken_parts.Head\nkinds: [class]\n",
    }
    folders(write(tmp_path / "broken", broken), write(tmp_path / "mine", PARTS))
    first, second = load()
    assert "ZeroDivisionError" in str(first.error)
    assert second.error is None
    load_for(compose(["head=bare"]))
    assert "plugin broken" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"plugin broken .*broken_parts does not import: ZeroDivisionError"):
        load_for(compose(["head=broken"]))
    with pytest.raises(UserError, match="ZeroDivisionError"):
        check("broken", [])
    with pytest.raises(UserError, match="did you mean mine"):
        check("mime", [])


def test_a_module_that_another_one_hides_is_named(tmp_path: Path, write: Write, folders: Callable[..., None]) -> None:
    folders(write(tmp_path / "mine", {"json.py": "", "conf/head/x.yaml": ""}))
    assert "json is hidden" in str(discover()[0].error)


@pytest.mark.parametrize("name", ["head/linear", "config"])
def test_a_clash_names_both_owners(tmp_path: Path, write: Write, folders: Callable[..., None], name: str) -> None:
    folders(write(tmp_path / "mine", {f"conf/{name}.yaml": "a: 1\n"}))
    with pytest.raises(UserError, match="mobilevision and by mine"):
        compose()


def test_two_plugins_may_clash_too(tmp_path: Path, write: Write, folders: Callable[..., None]) -> None:
    folders(write(tmp_path / "one", PARTS), write(tmp_path / "two", {"conf/head/bare.yaml": "a: 1\n"}))
    with pytest.raises(UserError, match="head=bare is brought by one and by two"):
        compose()


def test_a_package_is_found_without_importing_it(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch, folders: Callable[..., None]
) -> None:
    package = {
        "fake_plugin/__init__.py": "raise RuntimeError('imported')\n\nclass Head:\n    pass\n",
        "fake_plugin/conf/head/fake.yaml": "_target_: fake_plugin.Head\nkinds: [class]\n",
        "fake_plugin-1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: fake-plugin\nVersion: 1.2\n",
        "fake_plugin-1.2.dist-info/entry_points.txt": (
            "[mobilevision.plugins]\nfake = fake_plugin\ngone = there_is_no_such_package\n"
        ),
    }
    monkeypatch.syspath_prepend(str(write(tmp_path / "site", package)))
    fake, gone = discover()
    assert (fake.origin, fake.modules, added(fake)) == ("package fake-plugin 1.2", ("fake_plugin",), ["head=fake"])
    assert "there_is_no_such_package" in str(gone.error)
    assert compose(["head=fake"]).head["_target_"] == "fake_plugin.Head"
    assert "imported" in str(load()[0].error)


HEIR = "from tasks.base import Task\nfrom tasks.classification import Classification as Older\n"
OLDER = (ROOT / "conf" / "task" / "classification.yaml").read_text(encoding="utf-8")
OLDER = OLDER.replace("mobilevision.tasks.", "tasks.").replace("name: classification", "name: older")


def test_names_of_earlier_versions_go_on_working(
    tmp_path: Path, write: Write, folders: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "tasks"]:
        monkeypatch.delitem(sys.modules, name)
    folders(write(tmp_path / "mine", {"older_names.py": HEIR, "conf/task/older.yaml": OLDER}))
    (plugin,) = load()
    assert plugin.error is None
    import mobilevision.tasks.base
    import mobilevision.tasks.classification

    older = sys.modules["older_names"]
    assert older.Task is mobilevision.tasks.base.Task
    assert older.Older is mobilevision.tasks.classification.Classification
    assert mobilevision.tasks.base.__spec__.name == "mobilevision.tasks.base"
    assert compose(["task=older"]).task["_target_"] == "mobilevision.tasks.classification.Classification"


@pytest.mark.parametrize("name", ["tasks.py", "tasks/__init__.py"])
def test_a_users_own_tasks_stays_what_it_is(tmp_path: Path, write: Write, name: str) -> None:
    own = {name: "whose = 'mine'\n", **({"tasks/base.py": "whose = 'mine'\n"} if "/" in name else {})}
    what = "tasks.base" if "/" in name else "tasks"
    code = (
        "from mobilevision.plugins.former_names import import_by_former_names; import_by_former_names();"
        f" import {what}; print({what}.whose)"
    )
    said = command([sys.executable, "-c", code], write(tmp_path, own), PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert said == "mine\n"


def test_a_plugins_broken_file_is_named_with_its_line(
    tmp_path: Path, write: Write, folders: Callable[..., None]
) -> None:
    option = "_target_: unparsed_head.Bare\nkinds: [class]\n"
    files = {"unparsed_head.py": HEAD.replace("(Head):", "(Head)"), "conf/head/unparsed.yaml": option}
    folders(write(tmp_path / "mine", files))
    with pytest.raises(UserError, match=r"yaml:1: unparsed_head\.Bare: .*unparsed_head\.py:\d+: expected ':'"):
        compose(["head=unparsed"])


def command(program: Sequence[str | Path], folder: Path, **variables: str) -> str:
    """Run a command in a folder, nothing of the checkout on the way; gives what it printed."""
    kept = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "MOBILEVISION_PATH"}}
    done = subprocess.run(
        [str(word) for word in program],
        cwd=folder,
        env={**kept, "COLUMNS": "160", **variables},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


QUICK = ["trainer=debug", "logger=none", "backbone.width=0.25", "data.workers=0", "data.batch_size=8"]


@pytest.mark.slow
def test_a_folders_head_trains(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "mine", PARTS)
    program = [sys.executable, ROOT / "train.py", "head=bare", "run_dir=run", *QUICK]
    command(program, tmp_path, MOBILEVISION_PATH="mine")
    assert (tmp_path / "run" / "metrics.json").is_file()
    assert "bare_head.Bare" in (tmp_path / "run" / "config.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheels of mobilevision and of the examples, and the parent's packages behind."""
    folder = tmp_path_factory.mktemp("environment")
    wheels = tmp_path_factory.mktemp("wheels")
    for project in (ROOT, *EXAMPLES.values()):
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
        subprocess.run(build, cwd=project, check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    install = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--no-deps", "-q"]
    subprocess.run([*install, *map(str, wheels.glob("*.whl"))], check=True, capture_output=True)
    site = next(folder.glob("lib/python*/site-packages"))
    parents = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site / "parent.pth").write_text("\n".join(parents) + "\n", encoding="utf-8")
    return folder


def test_the_example_is_installed_listed_and_trains_from_any_folder(environment: Path, tmp_path: Path) -> None:
    mobilevision = environment / "bin" / "mobilevision"
    listed = command([mobilevision, "plugins"], tmp_path)
    assert "data=dots, head=cumulative, loss=cumulative, task=counting" in listed
    command([mobilevision, "train", "task=counting", *QUICK], tmp_path)
    (run,) = (tmp_path / "outputs" / "counting").iterdir()
    assert "test/mean_error" in (run / "metrics.json").read_text(encoding="utf-8")
    assert "mobilevision_plugin_counting.task.Counting" in (run / "config.yaml").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "tried"),
    [
        ("counting", "head=cumulative: tried above"),
        ("segmentation", "task=segmentation"),
        ("keypoints", "task=keypoints"),
    ],
)
def test_the_examples_own_tests_and_its_check_pass(environment: Path, tmp_path: Path, name: str, tried: str) -> None:
    python = environment / "bin" / "python"
    own = [EXAMPLES[name] / "tests", "-k", "not conforms"]  # conforming is what the check below tries
    command([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *own], tmp_path)
    small = ["backbone.width=0.25", "data.format.train=16", "data.resolution=64"]
    said = command([environment / "bin" / "mobilevision", "plugins", "check", name, *small], tmp_path)
    assert f"plugin {name}: everything passed" in said
    assert tried in said


@pytest.mark.slow
def test_a_new_plugin_works_as_it_is_written(environment: Path, tmp_path: Path) -> None:
    programs = environment / "bin"
    said = command([programs / "mobilevision", "plugins", "new", "tree_height", "--kind", "metres"], tmp_path)
    assert "pip install -e mobilevision_tree_height" in said
    install = [sys.executable, "-m", "pip", "--python", programs / "python", "install", "--no-deps", "-q"]
    folder = tmp_path / "mobilevision_tree_height"
    command([*install, "--no-build-isolation", folder], tmp_path)
    command([programs / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", folder / "tests"], tmp_path)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("Rivers", [], "NAME Rivers: write a word in small letters"),
        ("class", [], "NAME class: write a word in small letters"),
        ("detection", [], "NAME detection: task=detection is there already"),
        ("rivers", ["--kind", "a b"], "--kind a b: write a word in small letters"),
        ("rivers", ["--out", "there"], "there: is there already; name another folder with --out"),
    ],
)
def test_a_new_plugin_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    given = dict(zip(options[::2], options[1::2], strict=True))
    with pytest.raises(UserError) as raised:
        write_plugin(name, kind=given.get("--kind"), folder=given.get("--out"))
    assert said in str(raised.value)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["there"]
