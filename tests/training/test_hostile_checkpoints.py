"""Checkpoints that are damaged or come from a stranger: no other weights, nothing executed, one line."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mobilevision.backbones.weights import NESTS, read_weights
from mobilevision.engine.restore import _misfit, load_run
from mobilevision.errors import UserError
from mobilevision.io.tensor_files import load_tensors, read_checkpoint
from mobilevision.tools.costs.counting import class_info_of_run
from mobilevision.tracking.checkpoint_files import AtomicCheckpointIO, newest_readable
from mobilevision.tracking.run_folder import RunFolder
from mobilevision.training.distillation import _read

Damage = Callable[[bytearray, int, random.Random], None]


def flip(content: bytearray, at: int, rng: random.Random) -> None:
    content[at] ^= 1 << rng.randrange(8)


def zeros(content: bytearray, at: int, rng: random.Random) -> None:
    content[at : at + 512] = bytes(min(512, len(content) - at))


def block(content: bytearray, at: int, rng: random.Random) -> None:
    content[at : at + 4096] = rng.randbytes(min(4096, len(content) - at))


def cut(content: bytearray, at: int, rng: random.Random) -> None:
    del content[at:]


def lost(content: bytearray, at: int, rng: random.Random) -> None:
    del content[at : at + rng.randrange(1, 300)]


@pytest.mark.parametrize("damage", [flip, zeros, block, cut, lost])
def test_a_damaged_file_never_gives_other_weights(tmp_path: Path, damage: Damage) -> None:
    rng, file = random.Random(0), tmp_path / "best.ckpt"
    weights = {f"layer{number}": torch.randn(30, 20 + number) for number in range(12)}
    torch.save({"state_dict": weights}, file)
    good, said = file.read_bytes(), []
    for number in range(60):
        content = bytearray(good)
        start = 0 if number % 3 else len(good) - 3000  # each third time in the directory at the end
        damage(content, rng.randrange(start, len(good)), rng)
        file.write_bytes(content)
        try:
            found = read_checkpoint(file)["state_dict"]
        except UserError as error:
            said.append(str(error))
        else:  # between the parts, where nothing is written
            assert all(torch.equal(found[name], weight) for name, weight in weights.items())
    assert len(said) > 30
    assert all("best.ckpt: " in line and "\n" not in line for line in said)


def test_a_damaged_last_checkpoint_gives_way_to_the_one_before(tmp_path: Path) -> None:
    folder, writer = RunFolder(tmp_path), AtomicCheckpointIO()
    for epoch in (1, 2):
        writer.save_checkpoint({"epoch": epoch, "state_dict": {"a": torch.ones(5000)}}, folder.last)
    assert newest_readable(folder)[0] == folder.last
    content = bytearray(folder.last.read_bytes())
    content[len(content) // 2] ^= 1
    folder.last.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        writer.load_checkpoint(folder.last)
    assert newest_readable(folder)[1]["epoch"] == 1


def test_an_archive_that_unpacks_to_more_is_refused(tmp_path: Path) -> None:
    plain, file = tmp_path / "plain.pt", tmp_path / "best.ckpt"
    torch.save({"a": torch.zeros(1_000_000)}, plain)
    with zipfile.ZipFile(plain) as good, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb:
        for part in good.namelist():
            bomb.writestr(part, good.read(part))
    assert file.stat().st_size < 100_000
    with pytest.raises(UserError, match="unpacks to more"):
        load_tensors(file)


def doubled(times: int, kind: str) -> Any:
    """A value that stands for 2 ** times values: each list or mapping holds the one before twice."""
    found: Any = [0]
    for _ in range(times):
        found = [found, found] if kind == "list" else dict.fromkeys(NESTS, found) if kind == "nests" else (found, found)
    return found


def within_itself(kind: str) -> Any:
    found: Any = {} if kind == "mapping" else []
    if kind == "mapping":
        found["model"] = found
    else:
        found.append(found)
    return found


def nested(depth: int, innermost: Any = 0) -> Any:
    found: Any = [innermost]
    for _ in range(depth):
        found = [found]
    return found


ENDLESS = {
    "lists that hold each other": doubled(40, "list"),
    "tuples that hold each other": doubled(40, "tuple"),
    "mappings that hold each other": doubled(40, "nests"),
    "a list within itself": within_itself("list"),
    "a mapping within itself": within_itself("mapping"),
    "two hundred lists within each other": nested(200),
    "lists that are deeper by another way": [shared := nested(30), nested(20, shared)],
    "a tensor of one number repeated": torch.zeros(1).expand(10**7, 256),
    "a column repeated": torch.zeros(8, 1).expand(8, 10**9),
    "windows that overlap": torch.zeros(100).as_strided((10**6, 50), (0, 1)),
    "a sparse tensor": torch.sparse_coo_tensor(torch.tensor([[0]]), torch.tensor([1.0]), (10**12,)),
    "a tensor without values": torch.empty(10**12, device="meta"),
}


@pytest.mark.parametrize("save", ["zipped", "legacy"])
@pytest.mark.parametrize("value", ENDLESS.values(), ids=ENDLESS.keys())
def test_nothing_that_is_read_is_endless(finished_run: Path, tmp_path: Path, value: Any, save: str) -> None:
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(finished_run, folder.path)
    write = {"zipped": zipped, "legacy": legacy}[save]
    checkpoint = read_checkpoint(folder.best)
    good = checkpoint["mobilevision"]["preset"]["mean"]
    checkpoint["mobilevision"]["preset"]["mean"] = value
    write(checkpoint, folder.best)
    checkpoint["mobilevision"]["preset"]["mean"] = good
    checkpoint["optimizer_states"].append({"state": value})
    for file in (folder.last, folder.previous):
        write(checkpoint, file)
    weights = tmp_path / "weights.pth"
    write({"model": value, "fc": torch.ones(2)}, weights)
    for read, named in (
        (lambda: load_run(folder.path), r"best\.ckpt"),
        (lambda: newest_readable(folder), "no checkpoint to go on from"),
        (lambda: read_weights(str(folder.path), hub=None), r"best\.ckpt"),
        (lambda: read_weights(str(weights), hub=None), r"weights\.pth"),
    ):
        with pytest.raises(UserError, match=named) as failure:
            read()
        assert "\n" not in str(failure.value)


def test_what_trainings_write_is_within_bounds(tmp_path: Path) -> None:
    weight, names = torch.ones(64, 64), [f"person {number}" for number in range(300_000)]
    content = {"a": weight, "tied": weight, "part": weight[::2, 3:], "turned": weight.T, "empty": torch.ones(0, 5)}
    content |= {"one": torch.arange(5).expand(1, -1), "classes": names, "again": names, "deep": nested(48)}
    torch.save(content, tmp_path / "weights.pth")
    assert load_tensors(tmp_path / "weights.pth")["again"] == names


class Shell:
    """Runs a shell where it is unpickled without care."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def zipped(content: Any, file: Path) -> None:
    torch.save(content, file)


def legacy(content: Any, file: Path) -> None:
    torch.save(content, file, _use_new_zipfile_serialization=False)


def bare(content: Any, file: Path) -> None:
    file.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("save", [zipped, legacy, bare])
def test_a_pickle_under_any_name_runs_nothing(
    finished_run: Path, tmp_path: Path, save: Callable[[Any, Path], None]
) -> None:
    canary, run = tmp_path / "owned", tmp_path / "run"
    shutil.copytree(finished_run, run)
    evil = {"state_dict": {"a": torch.ones(2)}, "mobilevision": Shell(canary), "key": Shell(canary), "outputs": 1}
    files = [run / "checkpoints" / "best.ckpt", run / "checkpoints" / "last.ckpt"]
    files += [tmp_path / f"weights.{ending}" for ending in ("pth", "pt", "bin", "tar", "ckpt", "safetensors")]
    for file in files:
        save(evil, file)
    (run / "checkpoints" / "previous.ckpt").unlink(missing_ok=True)
    for read in (
        lambda: load_run(run),
        lambda: load_run(run, which="last"),
        lambda: newest_readable(RunFolder(run)),
        lambda: _read(files[3], {"teacher": "x"}),
        *(lambda file=file: read_weights(str(file), hub=None) for file in files[2:]),
        lambda: read_weights(str(run), hub=None),
    ):
        with pytest.raises(UserError) as failure:
            read()
        assert "\n" not in str(failure.value)
        assert not canary.exists()


STRANGE = {
    "a shell as the preset": ("preset", {"_target_": "os.system", "command": "touch owned"}),
    "a shell in the preset": ("preset", {"mean": [{"_target_": "os.system"}]}),
    "the environment in the preset": ("preset", {"activation": "${oc.env:HOME}"}),
    "a list as the preset": ("preset", [1, 2]),
    "an unknown key in the preset": ("preset", {"colour": 1}),
    "no preset": ("preset", None),
    "no data": ("data", None),
    "a text as data": ("data", "classes"),
    "no classes": ("data", {"kind": "class", "channels": 3, "resolution": [32, 32]}),
    "numbers as classes": ("data", {"kind": "class", "channels": 3, "resolution": [32, 32], "classes": [1, 2]}),
    "a huge side": ("data", {"kind": "class", "channels": 3, "resolution": [10**9, 32], "classes": ["a"]}),
    "a negative side": ("data", {"kind": "class", "channels": 3, "resolution": [-1, 32], "classes": ["a"]}),
    "a text as a side": ("data", {"kind": "class", "channels": 3, "resolution": ["32", 32], "classes": ["a"]}),
    "a billion channels": ("data", {"kind": "class", "channels": 10**9, "resolution": [32, 32], "classes": ["a"]}),
    "one side": ("data", {"kind": "class", "channels": 3, "resolution": 32, "classes": ["a"]}),
    "lists as a mean": ("preset", {"mean": [[0.5], [0.5], [0.5]]}),
    "a list as the decision": ("decision", [1]),
}


@pytest.mark.parametrize(("key", "value"), STRANGE.values(), ids=STRANGE.keys())
def test_what_a_checkpoint_says_of_itself_is_checked(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: Any
) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    folder = RunFolder("run")
    checkpoint = read_checkpoint(folder.best)
    checkpoint["mobilevision"][key] = value
    torch.save(checkpoint, folder.best)
    with pytest.raises(UserError, match=r"best\.ckpt: not a checkpoint of mobilevision") as failure:
        load_run("run")
    assert "\n" not in str(failure.value)
    assert not Path("owned").exists()
    if key == "data":
        folder.info_json.unlink()
        with pytest.raises(UserError, match=r"best\.ckpt: not a checkpoint of mobilevision"):
            class_info_of_run(folder, "class")


@pytest.mark.parametrize("several", [False, True])
def test_no_head_is_built_for_more_classes_than_there_are_weights(
    finished_run: Path, tmp_path: Path, several: bool
) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    checkpoint = read_checkpoint(folder.best)
    known = checkpoint["mobilevision"]["data"]
    many = known | {"classes": ["x"] * sum(each.numel() + 1 for each in checkpoint["state_dict"].values())}
    checkpoint["mobilevision"]["data"] = known | {"kind": "multitask", "parts": {"a": many}} if several else many
    torch.save(checkpoint, folder.best)
    with pytest.raises(UserError, match=r"best\.ckpt: not a checkpoint of mobilevision \(it names .* classes"):
        load_run(folder.path)


@pytest.mark.parametrize("content", [[1], torch.ones(3), {"state_dict": 1, "mobilevision": {}}, {"mobilevision": 3}])
def test_another_things_checkpoint_is_refused(finished_run: Path, tmp_path: Path, content: Any) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    torch.save(content, tmp_path / "run" / "checkpoints" / "best.ckpt")
    with pytest.raises(UserError, match=r"best\.ckpt: not a checkpoint"):
        load_run(tmp_path / "run")


def test_layers_that_are_missing_are_counted_not_listed() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.nn.Sequential(*(torch.nn.Linear(1, 1) for _ in range(50))).load_state_dict({})
    told = _misfit(str(error.value))
    assert told.startswith('Missing key(s) in state_dict: "0.weight", "0.bias", "1.weight" and 97 more; if an earlier')
