"""Every key of every option has a range, and nothing outside of it gets past the check of a configuration."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_object

from mobilevision import ranges
from mobilevision.config.compose import compose, opened
from mobilevision.config.groups import groups, options
from mobilevision.config.keys import check_claims, signature, type_of
from mobilevision.config.layout import Claim, Layout, file_of, option_layout
from mobilevision.config.types import Type
from mobilevision.errors import UserError

Write = Callable[[Path, dict[str, str]], Path]

TRIED = (-1, 0, 0.5, 1, 2, math.nan, math.inf, -math.inf, 10**9, 1e9, "text", "", [], [-1], [math.nan], {}, True, None)
NUMBERS = {"int", "float"}


@cache
def layouts() -> dict[str, Layout]:
    """Every option of every group, and the keys without an option."""
    with opened() as sources:
        found = {
            f"{group}={option}": option_layout(group, option, sources)
            for group in groups(sources)
            if group not in {"experiment", "hydra/launcher"}
            for option in options(group, sources)
        }
        top = Layout()
        file = file_of("config", sources)
        assert file is not None
        top.add(file, "", {key: value for key, value in file.body.items() if key != "hydra"})
    return {**found, "config": top}


def keys() -> Iterator[tuple[str, str, Layout]]:
    """(option, key, layout) of every key."""
    for option, layout in layouts().items():
        for key in layout.dotted():
            if not isinstance(layout.get(key), dict) and not (option == "distill=none" and key == "distill.distill"):
                yield option, key, layout


def without_range(accepted: Type) -> bool:
    """Whether a kind of number is accepted of which nothing is said."""
    stated = {kind for kind, _ in accepted.ranges}
    inside = accepted.items is not None and without_range(accepted.items)
    return bool(accepted.kinds & NUMBERS - stated) or inside


def test_every_number_has_a_range_and_nothing_is_open() -> None:
    missing, loose = [], []
    for option, key, layout in keys():
        accepted = type_of(key, layout)
        if without_range(accepted):
            missing.append(f"{option}: {key}")
        if not key.rpartition(".")[2].startswith("_") and (accepted.open or "dict" in accepted.kinds - {"dict"}):
            loose.append(f"{option}: {key}")
    assert not missing, "state a range in the annotation (mobilevision/ranges.py):\n" + "\n".join(missing)
    assert not loose, "\n".join(loose)


def test_every_value_is_in_its_range_or_refused_in_one_line() -> None:
    tries = 0
    for _, key, layout in keys():
        accepted = type_of(key, layout)
        for value in TRIED:
            tries += 1
            lines = list(check_claims([Claim(key, value, f"{key}={value}")], layout))
            assert all("\n" not in line and line.startswith(f"{key}={value}: ") for line in lines)
            if isinstance(value, float) and not math.isfinite(value):
                assert lines, f"{key}={value} is accepted"
            if isinstance(value, int | float) and not isinstance(value, bool) and not lines:
                kind = "int" if isinstance(value, int) and "int" in accepted.kinds else "float"
                fits = any(value in each for of, each in accepted.ranges if of == kind)
                assert fits or value in accepted.choices, f"{key}={value} is accepted"
    assert tries > 5000


def test_constructors_refuse_what_the_check_of_a_configuration_refuses() -> None:
    """The ranges that are read off the source are those that Python sees, and each class looks at its own."""
    seen = set()
    for _, key, layout in keys():
        node, _, name = key.rpartition(".")
        values = layout.get(node)
        target = str(values.get("_target_", "")) if isinstance(values, dict) else ""
        known = signature(target) if target.startswith(("mobilevision.", "tasks.")) else None
        if known is None or name not in known.arguments or (target, name) in seen:
            continue
        seen.add((target, name))
        accepted, made = known.type(name), get_object(target)
        if not (accepted.ranges or accepted.lengths or (accepted.items and accepted.items.ranges)):
            continue
        called = made.__init__ if isinstance(made, type) else made
        described = called if hasattr(called, "__wrapped__") else made
        guarded = hasattr(called, "__wrapped__") or hasattr(made, "__post_init__")
        assert guarded, f"{target} does not look at its ranges: @check_ranges(...)"
        for value in (each for each in TRIED if isinstance(each, int | float | list) and not isinstance(each, bool)):
            said, stated = refusal(described, name, value, node), accepted.refusal(value)
            if said is None:
                assert stated is None or stated.startswith(("needs", "there is no choice")), f"{key}={value}: {stated}"
            else:
                assert said == f"{node}.{name}={value}: {stated}"


def refusal(described: Any, name: str, value: Any, node: str) -> str | None:
    """What a constructor says to a value."""
    try:
        ranges.check(described, {name: value}, node)
    except UserError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optimizer.lr=-1", "must be above 0"),
        ("optimizer.lr=nan", "must be above 0"),
        ("optimizer.lr=inf", "must be above 0"),
        ("optimizer.weight_decay=-0.1", "must be at least 0"),
        ("optimizer.kwargs.betas=[0.9,2]", "must be at least 0 and below 1, not 2 in [0.9, 2]"),
        ("optimizer.kwargs={betas: [0.9]}", "optimizer.kwargs.betas must have 2 to 3 elements"),
        ("optimizer.kwargs.anything=nan", "must be finite"),
        ("trainer.max_epochs=0", "must be at least 1 or -1"),
        ("trainer.limit_train_batches=0", "must be at least 1"),
        ("trainer.limit_train_batches=1.5", "must be above 0 and at most 1"),
        ("trainer.kwargs.min_epochs=0", "must be at least 1"),
        ("data.workers=-1", "must be between 0 and 1024"),
        ("data.resolution=[64,64,64]", "must have 2 elements"),
        ("data.format.train=0", "must be between 1 and 10,000,000"),
        ("seed=-1", "must be between 0 and 4,294,967,295"),
        ("augment.crop_scale=[0.9,0.5]", "must have 2 elements in ascending order"),
        ("callbacks={early_stopping: {patience: 0}}", "callbacks.early_stopping.patience must be at least 1"),
    ],
)
def test_a_value_out_of_range_names_the_range(override: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        compose([override])
    assert str(refused.value).startswith(override)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_a_reference_comes_to_is_in_range_too() -> None:
    with pytest.raises(UserError, match=r"^data.batch_size=0: must be at least 1$"):
        compose(["data.batch_size=${seed}"])


PLUGIN = {
    "parts.py": (
        "from typing import Annotated, Literal\n\nfrom mobilevision import ranges as r\n"
        "from mobilevision.ranges import Range as Bounds, PositiveInt\n\nMOST = 8\n\n\n"
        "class Rows:\n    def __init__(self, *, data, backbone, size: Annotated[int, Bounds(min=2, max=MOST)] = 3,\n"
        "                 part: r.Share = 0.5, count: PositiveInt | Literal['auto'] = 'auto'):\n        pass\n"
    ),
    "conf/head/rows.yaml": "_target_: parts.Rows\nkinds: [class]\nsize: 3\npart: 0.5\ncount: auto\n",
    "conf/head/wrong.yaml": "_target_: parts.Rows\nkinds: [class]\nsize: 3\npart: 1.5\ncount: auto\n",
    "conf/experiment/far.yaml": "# @package _global_\n\noptimizer:\n  lr: -1.0\n",
}


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """A folder of parts with ranges."""
    monkeypatch.setenv("MOBILEVISION_PATH", str(write(tmp_path / "extra", PLUGIN)))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["head=rows", "head.size=9"], "head.size=9: must be between 2 and 8"),
        (["head=rows", "head.part=-1"], "head.part=-1: must be between 0 and 1"),
        (["head=rows", "head.count=0"], "head.count=0: must be at least 1"),
        (
            ["head=rows", "head.count=text"],
            "head.count=text: needs a whole number or auto, not the text text (at least 1)",
        ),
        (["head=wrong"], "extra/conf/head/wrong.yaml:4: head.part=1.5: must be between 0 and 1"),
        (["experiment=far"], "extra/conf/experiment/far.yaml:4: optimizer.lr=-1.0: must be above 0"),
    ],
)
def test_plugins_and_files_are_held_to_their_ranges(plugin: None, overrides: list[str], said: str) -> None:
    with pytest.raises(UserError) as refused:
        compose(overrides)
    assert str(refused.value) == said


def test_a_range_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    source = PLUGIN["parts.py"].replace("max=MOST", "max=len('many')")
    option = PLUGIN["conf/head/rows.yaml"].replace("parts.", "odd_parts.")
    folder = write(tmp_path / "odd", {"odd_parts.py": source, "conf/head/odd.yaml": option})
    monkeypatch.setenv("MOBILEVISION_PATH", str(folder))
    with pytest.raises(UserError, match=r"parts.py:\d+: len\('many'\): give a number, or a constant that holds one"):
        compose(["head=odd"])


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("seed", "must be between 0 and 4,294,967,295"),
        ("optimizer.lr", "must be "),
        ("data.batch_size", "must be "),
        ("optimizer.kwargs.more", "must be finite"),
        ("trainer.max_steps", "must be "),
    ],
)
def test_numbers_beyond_every_float_are_refused(key: str, said: str) -> None:
    with pytest.raises(UserError, match=f"{key}=9+: {said}"):
        compose([f"{key}={'9' * 401}"])


@pytest.mark.parametrize(
    ("preset", "said"),
    [
        ("{crop:0}", "backbone.preset.crop must be above 0 and at most 1"),
        ("{crop:text}", "backbone.preset.crop needs a number, not the text text"),
        ("{side:0}", "backbone.preset.side must be between 1 and 16,384"),
        ("{std:[0,1,1]}", "backbone.preset.std must be above 0"),
        ("{mean:[a]}", "backbone.preset.mean needs a number"),
        ("{mean:5}", "backbone.preset.mean needs a list"),
        ("{padding:all}", "backbone.preset.padding there is no choice all; there are: same, symmetric"),
        ("{bn_eps:0}", "backbone.preset.bn_eps must be above 0"),
        ("{resize:0}", "backbone.preset.resize there is no such key; backbone.preset has side, mean, std, "),
        ("5", "needs text or keys of its own or null, not 5"),
    ],
)
def test_the_values_of_a_preset_have_ranges(preset: str, said: str) -> None:
    with pytest.raises(UserError) as failure:
        compose([f"backbone.preset={preset}"])
    assert said in str(failure.value)


def test_a_whole_number_says_its_range_to_a_float() -> None:
    with pytest.raises(UserError, match=r"head.detections=1e9: needs a whole number, not 1000000000.0 \((at|between)"):
        compose(["task=detection", "head.detections=1e9"])


def test_a_key_of_a_preset_says_how_it_is_written() -> None:
    with pytest.raises(UserError, match=r"no such key; write backbone.preset={crop: VALUE}"):
        compose(["backbone.preset.crop=0.9"])
