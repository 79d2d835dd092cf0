"""The model card: what people and hubs read of an exported model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from mobilevision.config.compose import compose
from mobilevision.deploy.answers import ANSWERS
from mobilevision.deploy.manifest import Manifest, ModelFile, Port
from mobilevision.deploy.preprocessing import Preprocessing
from mobilevision.errors import UserError
from mobilevision.exporting.card import PIPELINES, card
from mobilevision.exporting.command import export
from mobilevision.exporting.description import data_name, without_folders

GATE = {
    **{"split": "test", "pictures": 79, "of": 79, "passed": True, "primary": "top1", "drop": 0.0, "max_drop": 0.005},
    **{"checkpoint": {"top1": 0.75, "ece": float("nan")}, "artifact": {"top1": 0.74, "ece": float("nan")}},
    **{"agreement": 0.99, "agreement_of": "pictures", "least_agreement": 0.97, "worst_classes": []},
}
ABOUT = {
    **{"backbone": "mobilenet_v1_0.5", "made": "2026-01-01", "from": "run", "weights": "w.safetensors"},
    **{"data": {"name": "ImageFolder (cats)", "samples": {"train": 1200}}, "gate": GATE, "license": None},
    **{"cost": {"parameters": 1234567, "mult_adds": 98765432}, "versions": {"mobilevision": "9.9"}},
    **{"trained_by": "python train.py data=auto", "command": "mobilevision export RUN"},
    "latency": {
        **{"milliseconds": 3.25, "quartiles": [3.0, 4.0], "runs": 50, "threads": 1, "batch": 1},
        "processor": "Abacus 3",
    },
}


def manifest(answer: str = "classes", classes: int = 2, ports: tuple[Port, ...] | None = None, **more: Any) -> Manifest:
    decision = {"thresholds": [0.25] * classes, "threshold": 0.5}
    known: dict[str, Any] = {"decision": decision, "facts": {}, "about": {**ABOUT, **more}}
    look, image = Preprocessing("crop", 0.875, 3, 64, 64), Port("image", "uint8", (None, 3, 64, 64))
    out = (Port("probabilities", "float32", (None, classes)),)
    names = tuple(f"c|{number}" for number in range(classes))
    file = ModelFile("model.onnx", 3_000_000, "")
    made = Manifest("classification", answer, "onnx", "float32", file, names, image, look, out, **known)
    return made if ports is None else replace(made, outputs=ports)


def front(text: str) -> dict[str, Any]:
    _, matter, _ = text.split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(matter)
    return found


def test_people_find_all_of_it() -> None:
    text = card(manifest(classes=30))
    for words in (
        "from a training that started from `w.safetensors`",
        "Trained on ImageFolder (cats).",
        "1,200 train",
        "30 classes: `c/0`",
        "| top1 | 0.7500 | 0.7400 |",
        "Gate: passed",
        "| class | thresholds |",
        "| `c/19` | 0.2500 |",
        "And 10 more, in `model.json`.",
        "threshold: 0.5000.",
        "3.00 MB in float32",
        "3.25 ms (median of 50; half lie between 3.00 and 4.00) on one thread of Abacus 3",
        "also of one that shows none of them",
        "python train.py data=auto\nmobilevision export RUN",
        "With mobilevision 9.9",
    ):
        assert words in text, words


def test_what_int8_was_made_of_is_told() -> None:
    made = {"calibration_pictures": 1200, "float_layers": ["head.a", "head.b"], "finetune_epochs": 3}
    rows = [{"class": f"c{number}", "metric": "accuracy", "checkpoint": 0.5, "artifact": 0.25} for number in range(22)]
    text = card(manifest(quantised=made, gate={**GATE, "classes": rows}))
    assert "from 1,200 images of training. Left in float32: `head.a`, `head.b`. Trained on for 3 epochs" in text
    assert "| class | accuracy of checkpoint | of this file |" in text
    assert "| `c19` | 0.5000 | 0.2500 |\n\nAnd 2 more, in `model.json`." in text


def test_hubs_find_their_part() -> None:
    found = front(card(manifest()))
    assert (found["license"], found["library_name"], found["pipeline_tag"]) == (
        "unknown",
        "mobilevision",
        "image-classification",
    )
    assert found["tags"] == ["mobilevision", "classification", "onnx", "float32", "mobilenet"]
    result = found["model-index"][0]["results"][0]
    assert result["metrics"] == [{"type": "top1", "value": 0.74}]  # what is no number is left out
    assert front(card(manifest(license="apache-2.0", gate=None))) == {
        **{"license": "apache-2.0", "library_name": "mobilevision", "pipeline_tag": "image-classification"},
        "tags": found["tags"],
    }


@pytest.mark.parametrize(
    ("drop", "mode", "said"),
    [
        (0.01, "max", "top1 falls by 0.0100."),
        (-0.01, "max", "top1 rises by 0.0100."),
        (0.01, "min", "top1 rises by 0.0100."),
        (0.0, "max", "top1 stays as it is."),
        (float("nan"), "max", "top1 is no number here, so it was not compared."),
    ],
)
def test_what_moves_is_said_with_its_direction(drop: float, mode: str, said: str) -> None:
    text = card(manifest(gate={**GATE, "drop": drop, "mode": mode}))
    assert f"{said} It may get worse by at most 0.005, or by what may be chance." in text


def test_one_is_not_many() -> None:
    made = {"calibration_pictures": 20, "float_layers": [], "finetune_epochs": 1}
    text = card(manifest(quantised=made))
    assert "Trained on for 1 epoch with" in text
    assert "from `w.safetensors`, trained on for 1 epoch more for this file: its weights are not the run's." in text
    assert "1 class: " in card(manifest(classes=1))


def test_what_is_no_number_is_told() -> None:
    text = card(manifest())
    assert "| ece | - | - |" in text
    assert "`-`: there are too few images, or pairs of them, to say." in text
    only = {"top1": 0.5}
    assert "too few" not in card(manifest(gate={**GATE, "checkpoint": only, "artifact": only}))


def test_a_baseline_is_not_the_models() -> None:
    values = {"within_25km": 0.5, "prior_within_25km": 0.1}
    text = card(manifest(gate={**GATE, "checkpoint": values, "artifact": values}))
    assert "| within_25km | 0.5000 | 0.5000 |\n| prior_within_25km (baseline) | 0.1000 | 0.1000 |" in text
    assert "Baseline: what one and the same answer for every image reaches" in text
    metrics = front(text)["model-index"][0]["results"][0]["metrics"]
    assert metrics == [{"type": "within_25km", "value": 0.5}]
    assert "aseline" not in card(manifest())


@pytest.mark.parametrize(
    ("form", "root", "notes", "name"),
    [
        ("Auto", "/mnt/clothing/", ["data=auto took the format folder"], "ImageFolder (clothing)"),
        ("Auto", "boxes.csv", ["data=auto took the format boxes_csv"], "BoxesCsv (boxes.csv)"),
        ("Auto", "/mnt/clothing", [], "clothing"),
        ("Csv", "/mnt/a/cats.csv", [], "Csv (cats.csv)"),
        ("Places", None, [], "drawn images (places)"),
        ("DrawnFaces", None, [], "drawn images (faces)"),
    ],
)
def test_data_has_a_name_that_readers_know(form: str, root: str | None, notes: list[str], name: str) -> None:
    node = {"data": {"root": root, "format": {"_target_": f"mobilevision.data.formats.{form}"}}}
    assert data_name(OmegaConf.create(node), notes) == name


def test_data_of_several_parts_is_named_by_part() -> None:
    cfg = compose(["task=multitask"])
    assert data_name(cfg) == "drawn images (scenes)"
    cfg.parts.ground.data.root = "/mnt/weather"
    notes = ["12 images belong to several parts", "ground: data=auto took the format folder"]
    cfg.parts.ground.data.format = {"_target_": "mobilevision.data.formats.Auto"}
    drawn = "drawn images (scenes)"
    assert data_name(cfg, notes) == f"objects: {drawn}, ground: ImageFolder (weather), forms: {drawn}"


@pytest.mark.parametrize("name", ["foo bar", "Apache-2.0", "", "mit\nother: yes"])
def test_a_licence_that_hubs_would_not_take_is_refused_before_any_work(name: str) -> None:
    with pytest.raises(UserError, match=r"--license .*: hubs name licences in small letters"):
        export("no/such/run", license=name)
    with pytest.raises(UserError, match="not a run folder"):
        export("no/such/run", license="cc-by-nc-sa-4.0")


def test_numbers_of_a_part_are_not_the_models() -> None:
    text = card(manifest(gate={**GATE, "of": 1200}))
    assert "Both models on the same 79 of 1,200 images of test" in text
    assert "model-index" not in front(text)
    assert "Both models on the same 79 images of test" in card(manifest())


@pytest.mark.parametrize("answer", [*ANSWERS, "unheard_of"])
def test_every_answer_has_its_words(answer: str) -> None:
    text = card(manifest(answer))
    assert front(text).get("pipeline_tag") == PIPELINES.get(answer)
    assert "## Limits" in text
    assert ("decode.py" in text) == (answer == "raw_boxes")


@pytest.mark.parametrize("answer", [name for name in ANSWERS if name != "numbers"])
def test_each_output_is_explained(answer: str) -> None:
    more = ("logits",) if answer == "attributes" else ()
    ports = tuple(Port(name, "float32", (None, 4)) for name in (*ANSWERS[answer].needs, *more, "unheard_of"))
    lines = [line for line in card(manifest(answer, ports=ports)).splitlines() if line.startswith("- `")]
    assert all("float32 [batch, 4]: " in line for line in lines[:-1])
    assert lines[-1] == "- `unheard_of`: float32 [batch, 4]"


def test_weights_without_a_run_say_so() -> None:
    more = {"from": "weights", "data": None, "gate": None, "latency": None, "trained_by": ""}
    text = card(manifest(**more))
    assert "from the pretrained weights `w.safetensors` as they are" in text
    assert "What the weights learnt from, they do not say." in text
    assert "Not measured: it was exported without the gate" in text
    assert "Nobody measured this file yet" in text
    assert "It was judged on" not in text
    assert " ms " not in text
    assert "```bash\nmobilevision export RUN\n```" in text
    text = card(manifest(**{**more, "data": {"name": "cats", "samples": {}}, "gate": GATE}))
    assert "comparison are of cats" in text
    assert "It was judged on the images named above only" in text
    assert "It was judged on images like those of its training only" in card(manifest())


def test_hubs_own_reader_takes_it(tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    (tmp_path / "README.md").write_text(card(manifest()), encoding="utf-8")
    found = ModelCard.load(tmp_path / "README.md").data
    assert found.pipeline_tag == "image-classification"
    assert found.eval_results[0].metric_value == 0.74


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (
            "train data.root=/mnt/me/cats run_dir='/mnt/me/my runs/a'",
            "train data.root=.../cats run_dir='.../my runs/a'",
        ),
        ("export ~/runs/a --out there/b", "export .../a --out there/b"),
        (r"train data.root=C:\me\cats 'data=[/a/b,/c/d]'", "train data.root=.../cats 'data=[.../b,.../d]'"),
        ("export runs/a ../b", "export runs/a ../b"),
    ],
)
def test_folders_are_nobody_elses_business(typed: str, kept: str) -> None:
    assert without_folders(typed) == kept
