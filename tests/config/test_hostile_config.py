"""A run folder from a stranger: its config.yaml builds nothing but what the config groups name, each in its place."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf
from PIL import Image

from mobilevision.cli.commands import main
from mobilevision.config.compose import compose, opened
from mobilevision.config.groups import options
from mobilevision.config.layout import file_of
from mobilevision.config.loaded import Targets, check_targets, known_targets, read_config
from mobilevision.config.search_path import installed
from mobilevision.errors import UserError
from mobilevision.io.safe_yaml import parse_yaml
from mobilevision.training.resuming import compose_resume

Write = Callable[[Path, dict[str, str]], Path]
ROOT = Path(__file__).resolve().parents[2]
SHELL = {
    "_target_": "torch.distributed.elastic.multiprocessing.subprocess_handler.subprocess_handler.SubprocessHandler",
    "entrypoint": "/bin/sh",
    "args": ["-c", "touch owned"],
    "env": {"A": "b"},
    "stdout": None,
    "stderr": None,
    "local_rank_id": 0,
    "numa_options": None,
}
SMALL = ["data=shapes", "data.resolution=32", "data.workers=0", "trainer=cpu", "logger=none"]


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """A config as a run keeps it."""
    found = OmegaConf.to_container(compose(SMALL), resolve=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


@pytest.fixture(scope="module")
def table() -> Targets:
    """What the config groups name."""
    return known_targets(installed())


def put(config: dict[str, Any], folder: Path, key: str, value: Any) -> Path:
    """A run folder whose config has this value at a dotted key."""
    changed: dict[str, Any] = yaml.safe_load(yaml.safe_dump(config))
    node, (*above, last) = changed, key.split("/")
    for part in above:
        node = node.setdefault(part, {})
    node[last] = value
    folder.mkdir(exist_ok=True)
    (folder / "metrics.json").write_text("{}", encoding="utf-8")
    (folder / "config.yaml").write_text(yaml.safe_dump(changed, sort_keys=False), encoding="utf-8")
    return folder


TARGETS = {
    "a shell where a width stands": ("backbone/width", SHELL),
    "in a list": ("head/kinds", ["class", [SHELL]]),
    "in further arguments": ("optimizer/kwargs", {"betas": {"deeper": [SHELL]}}),
    "in the trainer's arguments": ("trainer/kwargs", {"profiler": SHELL}),
    "as a callback": ("callbacks/mine", {**SHELL, "enabled": True}),
    "as a switched-off callback": ("callbacks/mine", {**SHELL, "enabled": False}),
    "in a callback": ("callbacks/best/monitor", SHELL),
    "as the backbone": ("backbone/_target_", "os.system"),
    "a loader of timm's": ("backbone/_target_", "timm.models._helpers.load_state_dict"),
    "our own main": ("head/_target_", "mobilevision.cli.main.run"),
    "a head where a backbone stands": ("backbone/_target_", "mobilevision.heads.LinearHead"),
    "a backbone where a head stands": ("head/_target_", "mobilevision.backbones.mobilenet_v1"),
    "a data module where a format stands": ("data/format/_target_", "mobilevision.data.DataModule"),
    "a format of torchvision": ("data/format", {"_target_": "torchvision.datasets.CIFAR10", "download": True}),
    "a module through ours": ("loss/_target_", "mobilevision.errors.os.system"),
    "a callback where a logger stands": ("logger/_target_", "mobilevision.callbacks.BestCheckpoint"),
    "at the top": ("_target_", "os.system"),
    "at a key that nobody knows": ("evil", SHELL),
    "a number": ("task/_target_", 3),
    "a list as a target": ("task/_target_", ["os.system"]),
    "nothing as a target": ("task/_target_", None),
    "partly": ("head/_partial_", True),
    "with arguments by place": ("head/_args_", ["x"]),
    "without recursion": ("data/_recursive_", False),
    "converted": ("data/format/_convert_", "object"),
    "in a text": ("head/bias", "{_target_: os.system}"),
    "in a text of JSON": ("data/root", '{"_target_": "os.system"}'),
    "as an override in a text": ("data/root", "head._target_=os.system"),
    "the environment": ("data/root", "${oc.env:HOME}"),
    "the environment in a list": ("logger/tags", ["a", {"b": "${oc.env:HOME}"}]),
    "a key that is a reference": ("data/${oc.env:HOME}", 1),
    "another key": ("seed", "${data.seed}"),
    "a missing value": ("seed", "???"),
    "no keys": ("head", "mobilevision.heads.LinearHead"),
    "no backbone": ("backbone", None),
}


@pytest.mark.parametrize(("key", "value"), TARGETS.values(), ids=TARGETS.keys())
def test_what_no_group_names_is_refused(
    config: dict[str, Any], table: Targets, tmp_path: Path, key: str, value: Any
) -> None:
    before = set(sys.modules)
    with pytest.raises(UserError) as failure:
        read_config(put(config, tmp_path / "run", key, value) / "config.yaml", table)
    said = str(failure.value)
    assert "config.yaml: " in said
    assert key.split("/")[0] in said
    assert "\n" not in said
    assert os.environ["HOME"] not in said.replace(str(tmp_path), "")
    assert {name for name in set(sys.modules) - before if not name.startswith("encodings")} == set()


VALUES = {
    "text for a number": ("seed", "text", "seed=text: needs a whole number, not the text text"),
    "null for a number": ("seed", None, "seed=None: needs a whole number, not null"),
    "a number out of range": ("data/batch_size", -1, "data.batch_size=-1: must be "),
    "a number for a list": ("optimizer/name", 5, "optimizer.name=5: needs "),
    "a key of another version": (
        "data/format/trian",
        5,
        "data.format.trian: mobilevision.data.formats.Shapes has no such key",
    ),
    "a preset": ("backbone/preset", {"crop": 0}, "backbone.preset.crop"),
    "a trainer's": ("trainer/max_epochs", [1], "trainer.max_epochs=[1]: needs "),
    "a callback's": ("callbacks/best/monitor", 3, "callbacks.best.monitor=3: needs "),
}


@pytest.mark.parametrize(("key", "value", "said"), VALUES.values(), ids=VALUES.keys())
def test_values_of_another_type_name_their_key(
    config: dict[str, Any], table: Targets, tmp_path: Path, key: str, value: Any, said: str
) -> None:
    with pytest.raises(UserError) as failure:
        read_config(put(config, tmp_path / "run", key, value) / "config.yaml", table)
    assert f"config.yaml: {said}" in str(failure.value)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{name}'] * 9)}]\n" for name, after in zip("abcdefgh", "bcdefghi", strict=True)
)
TEXTS = {
    "empty": "",
    "no yaml": "a: [",
    "another thing": "a: 1",
    "a list": "- 1",
    "aliases without end": f"task: {{}}\n{BOMB}",
    "an alias of itself": "task: &a [*a]",
    "a thousand lists": "task: " + "[" * 5000,
    "an object of Python": "task: !!python/object/apply:os.system [touch owned]",
    "a path of Python": "task: !!python/object/apply:pathlib.PosixPath [/]",
    "a set": "task: !!set {a, b}",
    "bytes": "task: !!binary aGk=",
    "an endless number": "task: 1" + "0" * 6000,
    "a number in hexadecimal without end": "task: 0x" + "f" * 900_000,
    "a number of base 60 without end": "task: !!int 1" + ":1" * 320_000,
    "a fraction of base 60 without end": "task: !!float 1" + ":1" * 320_000 + ".0",
    "a text that would be a number of base 60": "task: 1" + ":1" * 320_000,
    "a key twice": "task: {}\ntask: {}",
    "a mapping as a key": "task: {}\n? {a: b}\n: c",
    "control characters": "task: \x07",
    "two documents": "task: {}\n---\ntask: {}",
    "megabytes": "task: {}\n#" + "x" * 2_000_000,
    "no text": "\x00\xff",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_what_is_no_plain_yaml_is_refused(table: Targets, tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"config\.yaml") as failure:
        read_config(file, table)
    assert "\n" not in str(failure.value)


def test_numbers_are_those_that_people_write() -> None:
    found = parse_yaml("[0, -12, 1_000, 0x1F, 0b11, 017, 1:30, 12:30:45.5, 1e-3, .5, -.inf, 08]", "x")
    assert found == [0, -12, 1000, 31, 3, 15, "1:30", "12:30:45.5", 1e-3, 0.5, -float("inf"), "08"]


def test_a_pipe_is_no_config(table: Targets, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.yaml")
    with pytest.raises(UserError, match="not a regular file"):
        read_config(tmp_path / "config.yaml", table)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One image."""
    file = tmp_path_factory.mktemp("pictures") / "a.png"
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(file)
    return file


COMMANDS = {
    "predict": "predict RUN IMAGE --out out",
    "predict in a gallery": "predict RUN IMAGE --gallery GALLERY --out out",
    "evaluate": "evaluate RUN",
    "export": "export RUN --gate-samples 0 --out out",
    "demo": "demo RUN --out out",
    "cost": "cost RUN",
    "benchmark": "benchmark RUN",
    "resume": "train resume=RUN",
    "show what resumes": "train resume=RUN --cfg job",
    "distill": "train task=distillation distill=logits distill.teacher=RUN run_dir=new backbone.width=0.25 "
    "data.batch_size=8 data.format.train=16 data.format.val=8 data.format.test=8 " + " ".join(SMALL),
}


def words(command: str, run: Path, image: Path) -> list[str]:
    """The command line."""
    names = {"RUN": str(run), "IMAGE": str(image), "GALLERY": str(image.parent)}
    line = command
    for name, stands in names.items():
        line = line.replace(name, stands)
    return line.split()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
@pytest.mark.parametrize("attack", ["a shell where a width stands", "the environment"])
def test_no_command_runs_what_a_run_folder_names(
    config: dict[str, Any],
    image: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    attack: str,
) -> None:
    run = put(config, tmp_path / "run", *TARGETS[attack])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["mobilevision", *words(command, run, image)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert [line for line in said.splitlines() if line.startswith("error: ")] == [said.splitlines()[-1]]
    assert "config.yaml: " in said
    assert not (tmp_path / "owned").exists()
    assert os.environ["HOME"] not in said.replace(str(tmp_path), "")


def test_a_process_of_its_own_runs_nothing_either(config: dict[str, Any], tmp_path: Path) -> None:
    put(config, tmp_path / "run", *TARGETS["a shell where a width stands"])
    done = subprocess.run(
        [sys.executable, "-c", "from mobilevision.cli.commands import main; main()", "cost", "run"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "backbone.width._target_" in done.stderr
    assert not (tmp_path / "owned").exists()


def test_every_option_can_be_loaded_again(config: dict[str, Any], table: Targets, tmp_path: Path) -> None:
    read_config(put(config, tmp_path, "seed", 1) / "config.yaml", table)
    with opened() as found:
        every = [(group, option) for group in ("data", "head", "backbone", "loss") for option in options(group, found)]
    for group, option in every:
        file = file_of(f"{group}/{option}", installed())
        assert file is not None
        if not any(sign in str(file.body) for sign in ("${", "???")):
            check_targets({group: file.body}, table)


def test_a_loaded_run_downloads_no_data(config: dict[str, Any], table: Targets, tmp_path: Path) -> None:
    cifar = {"_target_": "mobilevision.data.formats.Cifar10", "download": True}
    cfg = read_config(put(config, tmp_path / "run", "data/format", cifar) / "config.yaml", table)
    assert cfg.data.format.download is False


def test_an_earlier_name_of_the_same_class_stays_good(config: dict[str, Any], table: Targets, tmp_path: Path) -> None:
    run = put(config, tmp_path, "data/format", {"_target_": "mobilevision.data.formats.lfw.LFW"})
    assert read_config(run / "config.yaml", table).data.format["_target_"] == "mobilevision.data.formats.LFW"


PLUGIN = {
    "watcher.py": "from pytorch_lightning import Callback\n\n\nclass Watcher(Callback):\n    pass\n",
    "conf/callbacks/watched.yaml": "defaults: [default, _self_]\nmine: {_target_: watcher.Watcher, enabled: true}\n",
    "conf/head/second.yaml": "_target_: watcher.Second\nkinds: [class]\n",
    "conf/head/broken.yaml": "_target_: [\n",
    "conf/task/two.yaml": "# @package _global_\ndefaults:\n  - /head@other: second\n"
    "task: {_target_: watcher.Two, inner: {_target_: watcher.Inner}}\n",
}


def test_a_plugins_parts_stand_where_it_puts_them(
    config: dict[str, Any], write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = put(config, tmp_path / "run", "callbacks/another", {"_target_": "watcher.Watcher", "enabled": True})
    with pytest.raises(UserError, match=r"callbacks\.another\._target_=watcher\.Watcher"):
        read_config(run / "config.yaml")
    write(tmp_path / "plugin", PLUGIN)
    compose_resume(run, config_dir=str(tmp_path / "plugin" / "conf"))
    monkeypatch.setenv("MOBILEVISION_PATH", str(tmp_path / "plugin"))
    read_config(run / "config.yaml")
    there = known_targets(installed())
    assert "watcher.Second" in there["head"]
    assert there["other"] == there["head"]
    assert there["task.inner"] == {"watcher.Inner"}
    assert "watcher.Second" not in there["backbone"]
    assert "watcher" not in sys.modules


@pytest.mark.parametrize(
    "kwargs", [{"checkpoint_path": "evil.pth"}, {"pretrained": True}, {"pretrained_cfg": {"file": "evil.pth"}}]
)
def test_a_timm_model_takes_weights_by_no_other_way(kwargs: dict[str, Any]) -> None:
    from mobilevision.backbones import timm_backbone

    with pytest.raises(UserError, match=rf"backbone\.kwargs\.{next(iter(kwargs))}"):
        timm_backbone(name="mobilenetv3_small_050", kwargs=kwargs)
