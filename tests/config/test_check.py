"""Configs cannot lie: every kind of error is found, named with its place and the nearest right name, all at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mobilevision.config.compose import compose
from mobilevision.errors import UserError

Write = Callable[[Path, dict[str, str]], Path]


def refusal(*overrides: str) -> str:
    with pytest.raises(UserError) as failure:
        compose(overrides)
    return str(failure.value)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("task=clasification", "did you mean classification?"),
        ("backbone=mobilenetv1", "did you mean mobilenet_v1?"),
        ("data=base", "there is no such data"),
        ("trainer.max_epoch=3", "did you mean trainer.max_epochs?"),
        ("+trainer.max_epoch=3", "did you mean trainer.max_epochs?"),
        ("++trainer.max_epoch=3", "did you mean trainer.max_epochs?"),
        ("traner.max_epochs=3", "did you mean trainer.max_epochs?"),
        ("max_epochs=3", "did you mean trainer.max_epochs?"),
        ("epochs=3", "did you mean trainer.max_epochs?"),
        ("imgsz=224", "did you mean data.resolution?"),
        ("lr=0.1", "did you mean optimizer.lr?"),
        ("gpus=2", "here it is trainer=gpu"),
        ("data.root=", "data.root= has no value: give one, or data.root=null"),
        ("mosaic=1.0", "here it is augment=mosaic"),
        ("conf=0.3", "mobilevision predict RUN IMAGES --threshold 0.3"),
        ("model.bbox_head.num_classes=3", "here it is left out: the data says how many classes"),
        ("data=../imgs", "your own images are data=auto data.root=../imgs"),
        ("data=tests", "your own images are data=auto data.root=tests"),
        ("pretrained=true", "here it is backbone.weights=timm"),
        ("model=resnet18", "backbone=timm backbone.name=resnet18"),
        ("backbone=resnet18", "or backbone=timm backbone.name=resnet18"),
        ("trainer.fast_dev_run=1", "did you mean trainer.kwargs.fast_dev_run?"),
        ("trainer.kwargs.fast_dev_runs=1", "did you mean fast_dev_run?"),
        ("trainer.kwargs.max_epochs=1", "trainer.max_epochs is a key already"),
        ("trainer.kwargs.min_epochs=x", "needs a whole number or null, not the text x"),
        ("+callbacks.mine.enabled=true", "there is no such key"),
        ("callbacks.ema={decai: 0.9}", "did you mean callbacks.ema.decay?"),
        ("freeze=3", "freeze.epochs"),
        ("backbone=null", "a group cannot be taken away; choose one of:"),
        ("~seeed", "did you mean seed?"),
        ("~head", "a group cannot be taken away"),
        ("seed=one", "needs a whole number, not the text one"),
        ("seed=1.5", "needs a whole number, not 1.5"),
        ("seed=null", "needs a whole number, not null"),
        ("trainer.max_epochs=three", "needs a whole number or null or auto, not the text three"),
        ("optimizer.lr=true", "needs a number or null or auto, not True"),
        ("run_dir=3", "needs text or null, not 3"),
        ("callbacks.ema.enabled=1", "needs true or false or auto, not 1"),
        ("loss.class_weights=balancd", "did you mean balanced?"),
        ("allocator=fast", "there are: tuned, system"),
        ("trainer.precision=8", "bf16-mixed"),
        ("head.kinds=x", "needs a list"),
        ("trainer.max_time=5", "trainer.max_time=5: give days:hours:minutes:seconds, such as 00:00:10:00"),
        ("data.folds_final=true", "data.folds_final=true: trains a model after a cross-validation, which data.folds=5"),
        ("probe.decays=[0.1,x]", "needs a number, not the text x (at least 0) in [0.1, 'x']"),
        ("trainer.devices=[gpu]", "needs a whole number, not the text gpu"),
        ("data.format._target_=mobilevision.data.formats.Shape", "mobilevision.data.formats.Shape does not exist"),
        ("seed", "an override reads key=value"),
        ("data.root=/a[b]", "data.root='\"/a[b]\"'"),
        ("data.root=/a,b", "data.root='\"/a,b\"'"),
        ("data.root=a=b", "data.root='\"a=b\"'"),
        ("data.root=/pictures/größe", "data.root='\"/pictures/größe\"'"),
        ("data.resolution=[1,", "cannot be read"),
        ("data.root =images", "no blanks round the equals sign: data.root=images"),
        ("logger.path=here", "there is no such key"),
        (
            "backbone.size=large",
            "there is no such key in backbone=mobilenet_v1; backbone=mobilenet_v3, backbone=mobile",
        ),
        ("seed=1,2", "a sweep, which needs -m"),
    ],
)
def test_one_error_is_one_line(override: str, said: str) -> None:
    message = refusal(override)
    assert said in message
    assert message.startswith(override)
    assert "\n" not in message


@pytest.mark.parametrize(
    "override",
    [
        "trainer.max_time=null",
        "trainer.devices=auto",
        "trainer.devices=[0]",
        "trainer.limit_train_batches=3",
        "trainer.precision=16",
        "trainer.deterministic=warn",
        "optimizer.lr=1",
        "optimizer.lr=1e-3",
        "run_dir='3'",
        "optimizer.kwargs.anything=[1,2]",
        "experiment=null",
        "seed=${trainer.num_nodes}",
        "callbacks.ema={decay: 0.9, enabled: true}",
    ],
)
def test_what_is_right_is_taken(override: str) -> None:
    assert compose([override])


def test_a_reference_to_nothing_names_its_key() -> None:
    assert refusal("seed=${sead}").startswith("seed: ")


def test_all_errors_come_at_once_and_each_once() -> None:
    message = refusal("task=clasification", "trainer.max_epoch=3", "seed=x", "seed=x", "data.root=/a[b]")
    lines = message.splitlines()
    assert lines[0] == "4 errors in the configuration:"
    assert len(lines) == 5


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write) -> Path:
    """A plugin folder named ``extra`` with what the tests below need."""
    files = {
        "extra_parts.py": (
            "class Cells:\n    def __init__(self, *, data, backbone, size: int = 3):\n        pass\n\n\n"
            "class Places:\n    def __init__(self, *, root: str | None = None, grid: int = 1):\n        pass\n"
        ),
        "conf/task/places.yaml": (
            "# @package _global_\ndefaults:\n  - /data: spots\n  - /backbone: mobilenet_v1\n  - _self_\n"
            "task:\n  _target_: extra_parts.Cells\n  name: places\n  kind: coordinate\n"
            "trainer:\n  max_epoch: 3\n"
        ),
        "conf/data/spots.yaml": (
            "_target_: extra_parts.Places\nkinds: [coordinate]\nroot: ??? # a folder of places\ngrid: 1\n"
        ),
        "conf/head/gone.yaml": "_target_: extra_parts.Gone\nkinds: [class]\n",
        "conf/head/tiles.yaml": "_target_: extra_parts.Cells\nkinds: [coordinate]\nsize: 3\nsise: 4\n",
        "conf/experiment/wrong.yaml": (
            "# @package _global_\ndefaults:\n  - override /backbone: mobilenet_v9\n  - override /detector: ssd\n"
        ),
        "conf/experiment/typos.yaml": (
            "# @package _global_\ndefaults:\n  - override /trainer: cpu\n\n"
            "trainer:\n  max_epoch: 3\n  max_epochs: three\noptimizr:\n  lr: 1.0\nseed: 7\n"
        ),
        "conf/experiment/good.yaml": (
            "# @package _global_\ndefaults:\n  - override /trainer: cpu\n  - override /optimizer: sgd\n\n"
            "trainer:\n  max_epochs: 30\n  kwargs:\n    min_epochs: 3\noptimizer:\n  lr: 0.5\n"
        ),
        "conf/experiment/places.yaml": "# @package _global_\ndefaults:\n  - override /head: linear\n",
        "conf/experiment/broken.yaml": "a: [1\nb: 2\n",
    }
    folder = write(tmp_path / "extra", files)
    monkeypatch.setenv("MOBILEVISION_PATH", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_good_experiment_sets_its_values_and_loses_to_the_command_line(plugin: Path) -> None:
    cfg = compose(["experiment=good", "trainer.max_epochs=4"])
    assert (cfg.optimizer.name, cfg.optimizer.lr, cfg.trainer.max_epochs) == ("sgd", 0.5, 4)
    assert cfg.trainer.kwargs == {"min_epochs": 3}


def test_errors_inside_an_experiment_name_file_and_line(plugin: Path) -> None:
    message = refusal("experiment=typos", "sed=3")
    assert message.startswith("4 errors")
    assert "extra/conf/experiment/typos.yaml:6: trainer.max_epoch=3: there is no such key" in message
    assert "extra/conf/experiment/typos.yaml:7: trainer.max_epochs=three: needs a whole number" in message
    assert "extra/conf/experiment/typos.yaml:9: optimizr.lr=1.0: there is no such key; did you mean opt" in message
    assert "sed=3: there is no such key; did you mean seed?" in message


def test_options_that_an_experiment_names_are_checked(plugin: Path) -> None:
    message = refusal("experiment=wrong", "seed=x")
    assert message.startswith("3 errors")
    assert "wrong.yaml:3: backbone=mobilenet_v9: there is no such backbone; did you mean mobilenet_v" in message
    assert "wrong.yaml:4: override /detector: there is no group detector" in message
    assert refusal("experiment=god").endswith("did you mean good?")


def test_a_file_that_is_no_yaml_names_its_line(plugin: Path) -> None:
    assert "broken.yaml:2" in refusal("experiment=broken")


def test_a_group_that_the_task_does_not_have_is_an_error(plugin: Path) -> None:
    message = refusal("task=places", "head=linear", "data.root=x")
    assert "head=linear: task=places has no head; it has: backbone, callbacks, data" in message
    assert "experiment=places: " in refusal("task=places", "experiment=places", "data.root=x")


def test_a_task_file_may_not_make_up_keys(plugin: Path) -> None:
    message = refusal("task=places", "data.root=x")
    assert "conf/task/places.yaml:11: trainer.max_epoch=3: there is no such key; did you mean" in message


def test_head_and_data_that_do_not_fit_name_those_that_do(plugin: Path) -> None:
    message = refusal("data=spots", "data.root=x")
    assert message.startswith("data=spots is for coordinate, task=classification learns from class: take data=")
    assert "data=shapes" in message
    assert "data=spots" not in message.partition(": take")[2]


def test_a_key_that_its_class_does_not_take_names_the_file(plugin: Path) -> None:
    message = refusal("head=tiles")
    assert "conf/head/tiles.yaml:4: extra_parts.Cells takes no argument sise; did you mean size?" in message
    assert "head=tiles is for coordinate" in message
    assert "head=linear" in message


def test_a_class_that_does_not_exist_names_the_file(plugin: Path) -> None:
    assert refusal("head=gone") == "extra/conf/head/gone.yaml:1: extra_parts.Gone does not exist"


def test_a_value_that_is_missing_says_how_to_give_it(plugin: Path) -> None:
    assert "data.root has no value: give data.root=VALUE (a folder of places)" in refusal("data=spots")
    assert "data.root" not in refusal("data=spots", "data.root=x").replace("data.root=x", "")


def test_types_come_from_a_plugins_annotations_too(plugin: Path) -> None:
    message = refusal("head=tiles", "head.size=big")
    assert "head.size=big: needs a whole number, not the text big" in message


def test_a_folder_of_configs_can_be_given_for_one_run(plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOBILEVISION_PATH")
    assert compose(["experiment=good"], config_dir=str(plugin / "conf")).optimizer.lr == 0.5
    with pytest.raises(UserError, match="--config-dir"):
        compose(config_dir="nowhere")


def test_a_key_of_another_option_names_that_option() -> None:
    with pytest.raises(
        UserError, match=r"data\.format\.images=X: there is no such key in data=auto; data=csv, .* have it$"
    ):
        compose(["data=auto", "data.root=x", "data.format.images=X"])
    with pytest.raises(UserError, match=r"there is no such key in data=auto; data=boxes_csv, .* have it$"):
        compose(["task=detection", "data=auto", "data.root=x", "data.format.images=X"])
    with pytest.raises(UserError) as caught:
        compose(["data=auto", "data.root=x", "data.format.imagess=X"])
    assert "_target_" not in str(caught.value)
