"""What the base gives every task: two heads over one pass, freezing, features handed to it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from mobilevision.backbones import mobilenet_v1
from mobilevision.deploy.answers import Agreed, Answer
from mobilevision.deploy.answers.base import Prediction
from mobilevision.errors import UserError
from mobilevision.heads import Head, LinearHead
from mobilevision.losses import CrossEntropy
from mobilevision.metrics import ClassificationMetrics, TaskMetric
from mobilevision.optim import Cosine, OptimizerFactory
from mobilevision.spec import BackboneSpec, DataSpec, Features, Needs
from mobilevision.tasks.base import Task
from mobilevision.tasks.classification import Classification
from mobilevision.visualization import draw

DATA = DataSpec(kind="class", classes=("cat", "dog", "owl"), channels=3, resolution=(64, 64), counts=(2, 2, 2))


class MapHead(Head):
    """Averages two maps: a head that needs strides and no pooled vector."""

    needs = Needs(strides=(16, 32))

    def __init__(self, *, backbone: BackboneSpec, data: DataSpec) -> None:
        super().__init__(backbone=backbone, data=data)
        self.classifier = torch.nn.Linear(sum(backbone.strides[s] for s in self.needs.strides), len(data.classes))

    def forward(self, features: Features) -> Tensor:
        means = [features.maps[stride].mean(dim=(2, 3)) for stride in self.needs.strides]
        logits: Tensor = self.classifier(torch.cat(means, dim=1))
        return logits


def make(head_class: type[Head] = LinearHead, task_class: Any = Classification) -> Any:
    torch.manual_seed(0)
    backbone = mobilenet_v1(width=0.25)
    return task_class(
        backbone=backbone,
        head=head_class(backbone=backbone.spec, data=DATA),
        loss=CrossEntropy(data=DATA),
        data=DATA,
        optimizer=OptimizerFactory(name="sgd", lr=0.1),
        scheduler=Cosine(),
    )


def images() -> Tensor:
    return torch.randint(0, 256, (6, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_two_heads_share_one_backbone_pass() -> None:
    one, two = make(), make(MapHead)
    backbone = one.backbone.eval()
    one.eval()
    two.eval()
    two.backbone = backbone
    passes: list[int] = []
    backbone.model.conv_stem.register_forward_hook(lambda *_: passes.append(1))
    shared = backbone(images(), one.head.needs | two.head.needs)
    assert len(passes) == 1
    torch.testing.assert_close(one.head(shared), one(images()))
    torch.testing.assert_close(two.head(shared), two(images()))


def test_both_heads_learn_from_one_pass() -> None:
    one, two = make(), make(MapHead)
    two.backbone = one.backbone
    shared = one.backbone(images(), one.head.needs | two.head.needs)
    batch = {"target": torch.tensor([0, 1, 2, 0, 1, 2])}
    parts = {
        **one.loss(one.head(shared), batch),
        **{f"two_{k}": v for k, v in two.loss(two.head(shared), batch).items()},
    }
    torch.stack(list(parts.values())).sum().backward()
    assert all(weight.grad is not None for weight in [*one.parameters(), *two.head.parameters()])


@pytest.mark.parametrize("head", [LinearHead, MapHead])
def test_a_frozen_backbone_stays_as_it_was(head: type[Head]) -> None:
    task = make(head).train()
    task.freeze_backbone(True)
    before = {name: value.clone() for name, value in task.backbone.state_dict().items()}
    loss = task.loss(task(images()), {"target": torch.tensor([0, 1, 2, 0, 1, 2])})["class"]
    loss.backward()
    assert all(weight.grad is None for weight in task.backbone.parameters())
    assert all(weight.grad is not None for weight in task.head.parameters())
    assert all(torch.equal(value, before[name]) for name, value in task.backbone.state_dict().items())
    task.train()
    assert not task.backbone.training
    task.freeze_backbone(False)
    assert task.backbone.training


def test_rows_and_drawings() -> None:
    task = make().eval()
    with torch.no_grad():
        predictions = task.predict(images())
    one = {name: value[0] for name, value in predictions.items()}
    row = task.describe(one)
    assert row["label"] in DATA.classes
    assert next(part["label"] for part in row["top5"]) == row["label"]
    assert sum(part["score"] for part in row["top5"]) == pytest.approx(1, abs=1e-4)
    image = images()[0].permute(1, 2, 0).numpy()
    assert task.draw(image, one, 1).size[1] > task.draw(image, one).size[1] - 1


class Plain(Task):
    """A task as a plugin may have it: it says nothing of rows and drawings."""

    kind: ClassVar[str] = "class"
    primary: ClassVar[str] = "top1"

    def decode(self, outputs: Tensor) -> dict[str, Tensor]:
        return {"scores": outputs.bfloat16(), "best": outputs.argmax(dim=1)}

    def configure_metrics(self) -> TaskMetric:
        return ClassificationMetrics(classes=DATA.classes)


class Best(Answer):
    """An answer as a plugin may bring it."""

    name: ClassVar[str] = "best"

    def describe(self, prediction: Prediction) -> dict[str, Any]:
        assert isinstance(prediction["best"], np.ndarray)
        return {"best": self.classes[int(prediction["best"])], "offset": self.decision.get("offset", 0)}

    def draw(self, image: Any, prediction: Prediction, target: Any = None) -> Any:
        return draw.captioned(image, prediction=self.describe(prediction)["best"], truth=str(target))

    def agree(self, mine: Prediction, other: Prediction) -> Agreed:
        return Agreed(float(mine["best"] == other["best"]), 1.0)


class Own(Plain):
    """It brings an answer of its own."""

    def configure_answer(self, outputs: Any = None) -> Answer:
        return Best(classes=self.data_spec.classes, decision=self.decision, facts=self.facts(), outputs=outputs)


@torch.no_grad()
def test_a_task_that_says_nothing_tells_its_numbers() -> None:
    task = make(task_class=Plain).eval()
    one = {name: value[0] for name, value in task.predict(images()).items()}
    row = task.describe(one)
    assert (set(row), len(row["scores"])) == ({"scores", "best"}, 3)
    assert row["best"] == int(np.argmax(row["scores"]))
    assert task.draw(np.zeros((40, 40, 3), np.uint8), one, torch.tensor(2)).size[1] > 40
    assert (task.truth(torch.tensor(2)), task.outlines(one, None)) == ("2", {})


@torch.no_grad()
def test_a_task_may_bring_its_own_answer_which_knows_what_val_chose_last() -> None:
    task = make(task_class=Own).eval()
    one = {name: value[0] for name, value in task.predict(images()).items()}
    assert task.describe(one) == {"best": DATA.classes[int(one["best"])], "offset": 0}
    task.decision = {"offset": 3}
    assert copy.deepcopy(task).describe(one)["offset"] == task.describe(one)["offset"] == 3
    task.data_spec = replace(DATA, classes=("a", "b", "c"))
    assert task.describe(one)["best"] in "abc"
    assert task.draw(np.zeros((40, 40, 3), np.uint8), one).size[1] > 40


def test_an_answer_that_nobody_knows_is_one_line() -> None:
    task = make(task_class=Plain)
    task.answers = "heatmaps"  # type: ignore[misc]
    with pytest.raises(UserError, match=r"Plain: answer=heatmaps: there are attributes, .*classes, .*numbers, "):
        task.truth(torch.tensor(0))


def test_a_task_may_state_its_outputs_by_their_former_name() -> None:
    class Former(Task):
        emits = "softmax"

    assert Former.output_kind == "softmax"
    assert Task.output_kind is None
