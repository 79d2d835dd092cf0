"""The prose: commands in it compose, snippets in it run, tables in it equal conf/, links in it lead somewhere.

``MOBILEVISION_UPDATE_DOCS=1 pytest tests/test_docs.py`` writes the tables of docs/configuration.md anew.
"""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CONFIGURATION = ROOT / "docs" / "configuration.md"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMPOSING = {"train", "check-data", "evaluate"}
GENERATED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def blocks(page: Path, language: str) -> Iterator[tuple[str, str]]:
    """(info after the language, text) of every fenced block of a language in a page."""
    for found in BLOCK.finditer(page.read_text(encoding="utf-8")):
        if found[1] == language:
            yield found[2] or "", found[3]


def training_commands(page: Path) -> Iterator[list[str]]:
    """The overrides of every command in a page that composes a configuration, and ``-m`` where it sweeps."""
    for _, text in blocks(page, "bash"):
        for line in text.replace("\\\n", " ").splitlines():
            for command in line.split("&&"):
                words = shlex.split(command, comments=True)
                program = words[words.index("train.py") :] if "train.py" in words else words[1:]
                if "train.py" in words or (words[:1] == ["mobilevision"] and words[1] in COMPOSING):
                    of_a_run = program[0] == "evaluate"  # whose parts these are
                    given = [word for word in program[1:] if "=" in word or word == "-m"]
                    yield [word for word in given if not (of_a_run and word.startswith(("parts.", "split=")))]


def commands() -> list[tuple[str, list[str]]]:
    found = [(page.name, overrides) for page in PAGES if page.is_file() for overrides in training_commands(page)]
    return [(name, words) for name, words in found if not any(word.startswith("resume=") for word in words)]


@pytest.mark.parametrize(("page", "overrides"), commands(), ids=lambda value: value if isinstance(value, str) else "")
def test_commands_in_the_prose_compose(page: str, overrides: list[str]) -> None:
    from mobilevision.config.compose import compose
    from mobilevision.training.sweep import check_sweep

    given = [word for word in overrides if word != "-m"]
    if any(word.startswith("extend=") for word in given):  # on a run's configuration: its new parts are checked
        given = ["task=multitask", *(word for word in given if not word.startswith("extend="))]
    assert check_sweep(given) if "-m" in overrides else compose(given), page


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name == "docs"], ids=lambda page: page.name)
def test_snippets_in_the_prose_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other; those that are files, named behind the language, are modules that later ones import."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    snippets = list(blocks(page, "python"))
    files = {file.strip(): text for file, text in snippets if file}
    for file, text in files.items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    names: dict[str, object] = {}
    for file, text in snippets:
        if file:
            importlib.import_module(Path(file.strip()).stem)
        else:
            exec(compile(text, page.name, "exec"), names)


def entries(text: str) -> Iterator[tuple[str, str, str]]:
    """(dotted key, value, comment) of a yaml file, in its order; a node without a comment of its own is left out."""
    parents: list[tuple[int, str]] = []
    for line in text.partition("\nhydra:")[0].splitlines():
        found = re.match(r"^( *)(\w+):(?: +(?!#)(.*?))?(?: *(?<!\S)# (.*))?$", line)
        if not found or found[2] in {"_target_", "_partial_", "kinds", "defaults"}:
            continue
        indent = len(found[1])
        parents = [(depth, name) for depth, name in parents if depth < indent]
        if found[3] or found[4]:
            yield ".".join([*(name for _, name in parents), found[2]]), found[3] or "", found[4] or ""
        parents.append((indent, found[2]))


def headline(text: str) -> str:
    """The comment that a yaml file begins with, as one line."""
    lines = [line for line in text.splitlines() if line and "@package" not in line]
    comments = lines[: next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))]
    return " ".join(line.lstrip("# ") for line in comments)


def option(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Values and comments of an option by dotted key, with those of the options it builds on."""
    text = path.read_text(encoding="utf-8")
    values: dict[str, str] = {}
    comments: dict[str, str] = {}
    for parent in re.findall(r"^  - (\w+)$", text, re.MULTILINE):
        if parent != "_self_":
            above = option(path.with_name(f"{parent}.yaml"))
            values.update(above[0])
            comments.update(above[1])
    for key, value, comment in entries(text):
        values[key] = value
        comments[key] = comment or comments.get(key, "")
    return values, comments


def cell(held: dict[str, str], options: list[str]) -> str:
    """What most options have, then what others have instead, with their names in brackets."""
    usual = Counter(held.values()).most_common(1)[0][0] if len(held) == len(options) else None
    parts = [usual] if usual else []
    for value in dict.fromkeys(held.values()):
        if value and value != usual:
            names = [name for name, own in held.items() if own == value]
            others = [name for name in options if name not in names]
            who = f"all but {others[0]}" if len(others) == 1 and len(names) > 2 else ", ".join(names)
            parts.append(f"{value} ({who})" if others else value)
    return "; ".join(parts).replace("|", "\\|")


def takes(group: str, name: str) -> dict[str, str]:
    """What each key of an option accepts, by its key inside the group, as the checks read it off the declarations."""
    from mobilevision.config.keys import type_of
    from mobilevision.config.layout import Layout, file_of, option_layout
    from mobilevision.config.search_path import sources

    found = sources()
    layout, prefix = option_layout(group, name, found), f"{group}."
    if group == "config":
        file = file_of("config", found)
        assert file is not None
        layout, prefix = Layout(), ""
        layout.add(file, "", {key: value for key, value in file.body.items() if key != "hydra"})
    leaves = (key for key in layout.dotted() if not isinstance(layout.get(key), dict))
    return {key.removeprefix(prefix): type_of(key, layout).described() for key in leaves}


def taken_by(taken: dict[str, str]) -> str:
    """What the options accept for one key; where it differs, each of them."""
    words = list(dict.fromkeys(taken.values()))
    if len(words) > 1:
        words = [f"{each} ({', '.join(name for name, own in taken.items() if own == each)})" for each in words]
    return "; ".join(words).replace("|", "\\|")


def table(group: str) -> str:
    """The options of a config group, then their keys with defaults and meaning."""
    paths = sorted((ROOT / "conf" / group).glob("*.yaml")) if group != "config" else [ROOT / "conf" / "config.yaml"]
    paths = [path for path in paths if path.stem != "base"]
    names = {path.stem: headline(path.read_text(encoding="utf-8")) for path in paths}
    lines = [f"- `{group}={name}`" + (f": {said}" if said else "") for name, said in names.items()]
    if group == "config":
        lines = []
    parsed = {path.stem: option(path) for path in paths}
    keys = dict.fromkeys(key for values, _ in parsed.values() for key in values)
    if keys and group not in {"experiment", "task", "parts"}:
        lines += ["", "| key | default | values | meaning |", "|---|---|---|---|"]
        accepted = {path.stem: takes(group, path.stem) for path in paths}
        options = list(parsed)
        for key in keys:
            values = {name: f"`{own[key]}`" if own[key] else "" for name, (own, _) in parsed.items() if key in own}
            meanings = {name: comments[key] for name, (_, comments) in parsed.items() if comments.get(key)}
            same = len(set(meanings.values())) == 1
            meaning = next(iter(meanings.values())).replace("|", "\\|") if same else cell(meanings, options)
            full = key if group == "config" else f"{group}.{key}"
            taken = {name: accepted[name][key] for name in options if accepted[name].get(key)}
            lines.append(f"| `{full}` | {cell(values, options)} | {taken_by(taken)} | {meaning} |")
    return "\n".join(lines).strip("\n") + "\n"


def groups() -> list[str]:
    return [
        "config",
        *sorted(path.name for path in (ROOT / "conf").iterdir() if path.is_dir() and path.name != "hydra"),
    ]


def test_the_tables_of_keys_equal_conf() -> None:
    text = CONFIGURATION.read_text(encoding="utf-8")
    written = GENERATED.sub(lambda found: found[1] + table(found[2]) + found[3], text)
    if os.environ.get("MOBILEVISION_UPDATE_DOCS"):
        CONFIGURATION.write_text(written, encoding="utf-8")
    assert written == CONFIGURATION.read_text(encoding="utf-8"), "run it with MOBILEVISION_UPDATE_DOCS=1"
    assert {found[2] for found in GENERATED.finditer(text)} == set(groups()), "a group has no place in the page"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_the_keys_that_a_resumed_run_may_change() -> None:
    from mobilevision.training.resuming import CHANGEABLE

    text = (ROOT / "docs" / "resume.md").read_text(encoding="utf-8")
    assert [key for key in CHANGEABLE if f"`{key}`" not in text] == []


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code with every file of CONTRIBUTING.md in it, and a data set for its format."""
    folder = tmp_path_factory.mktemp("extended")
    for name in ("mobilevision", "tasks", "conf"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "train.py", folder)
    for language in ("python", "yaml"):
        for name, text in blocks(ROOT / "CONTRIBUTING.md", language):
            assert not (folder / name).exists(), f"{name} is there already"
            (folder / name).write_text(text, encoding="utf-8")
    images = np.random.default_rng(0).integers(0, 256, (24, 40, 40, 3), dtype=np.uint8)
    arrays = {f"{split}_images": images for split in ("train", "val", "test")}
    arrays |= {f"{split}_labels": np.arange(24) % 2 for split in ("train", "val", "test")}
    np.savez(folder / "pictures.npz", classes=np.array(["a", "b"]), **arrays)
    return folder


@pytest.mark.slow
def test_the_parts_of_contributing_train_together(extended: Path) -> None:
    words = [word for command in training_commands(ROOT / "CONTRIBUTING.md") for word in command]
    wanted = {"task=selective", "data=npz", "backbone=convnext", "head=cosine", "trainer=debug"}
    assert wanted <= set(words)
    command = [sys.executable, "train.py", *dict.fromkeys(words), "run_dir=run"]
    done = subprocess.run(command, cwd=extended, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (extended / "run" / "metrics.json").is_file()
    for command in (["-m", "mobilevision", "evaluate", "run"], ["train.py", "resume=run", "trainer.max_epochs=2"]):
        done = subprocess.run([sys.executable, *command], cwd=extended, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr


def test_messages_that_the_troubleshooting_quotes_exist() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^\| `([^`]* [^`]*)` \|", page, re.MULTILINE)
    assert len(quoted) > 5
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "mobilevision").rglob("*.py"))
    parts = {part.strip() for message in quoted for part in message.split("...") if part.strip()}
    assert [part for part in parts if part not in source] == []


def test_the_extras_that_docs_and_messages_name_exist() -> None:
    there = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    texts = [path for folder in ("docs", "mobilevision", "tasks") for path in (ROOT / folder).rglob("*.[mp][dy]")]
    for path in [*texts, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        for named in re.findall(r"mobilevision\[([a-z,]+)\]", path.read_text(encoding="utf-8")):
            assert set(named.split(",")) <= set(there), f"{path}: mobilevision[{named}]"


def test_every_page_has_its_place_on_the_site() -> None:
    import yaml

    text = re.sub(r"!!python\S*", "", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    nav = str(yaml.safe_load(text)["nav"])
    assert [page.name for page in PAGES if page.parent.name == "docs" and f"'{page.name}'" not in nav] == []
