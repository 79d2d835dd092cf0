"""What the parts of a plugin have to keep to, tried once on two samples before a training, each mistake in one line."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mobilevision.errors import UnreadableImageError, UserError
from mobilevision.ops.rows import take
from mobilevision.plugins import class_and_plugin, plugin_of

if TYPE_CHECKING:
    from mobilevision.data.loader import BatchSource
    from mobilevision.engine.build import Built
    from mobilevision.images.pixels import Pixels

SAMPLES = 2


def check_contract(built: Built) -> None:
    """Call every hook of the task and its parts once, where one of them is not ours, without changing any weight.

    Raises:
        UserError: one line that names plugin, class, method and what it should give.
    """
    task, records = built.task, built.data.splits.train
    parts = (task, *task.parts.values())
    classes = [type(each) for one in parts for each in (one, one.head, one.loss, one.meter("val").metric)]
    if all(each.__module__.startswith("mobilevision.") for each in [*classes, type(records)]):
        return
    source = built.data.eval_dataloader("train").source
    rows = [row for row in range(min(SAMPLES, len(source))) if source.skip is None or _can_be_read(source, row)]
    if not rows:  # data.on_error=skip: the training leaves out what cannot be read, and says so
        return
    with hook(records, "pixels", "uint8 [height, width, channels] of the size that it is asked for"):
        check_records(source.records, built.data.spec.channels, rows[0])
    with hook(source.records.targets, "placed", "a target of the same shapes for every sample"):
        batch: dict[str, Any] = source.__getitems__([(0, row) for row in rows])
    training = task.training
    task.eval()
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            _check_model(task, batch)
    finally:
        task.train(training)


def _can_be_read(source: BatchSource, row: int) -> bool:
    try:
        source.sample(0, row)
    except UnreadableImageError:
        return False
    except Exception:  # a fault of the plugin, which is told where its hook is called
        return True
    return True


def check_records(records: Any, channels: int, row: int) -> None:
    """A sample's pixels, of the whole image and of a part of it.

    Raises:
        TypeError: pixels of another type or shape.
    """
    height, width = records.shape(row)
    for box, size in ((None, None), ((0.0, 0.0, width / 2, height / 2), (9, 7))):
        pixels = records.pixels(row, box=box, size=size, exact=True)
        wanted = (*(size or (height, width)), channels)
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape != wanted:
            have = f"{pixels.dtype} {list(pixels.shape)}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
            raise TypeError(f"gives {have}, asked for uint8 {list(wanted)}")


def _check_model(task: Any, batch: dict[str, Any]) -> None:
    with hook(task.head, "forward", "raw outputs of the features that its needs name"):
        outputs = task.outputs(batch)
        if outputs is None:
            raise TypeError("gives None")
    with hook(task.loss, "forward", 'named scalars, such as {"distance": value}'):
        _check_scalars(task.loss(outputs, batch), finite=True)
    with hook(task, "decode", "named tensors, batch first"):
        predictions = task.decode(outputs)
        _check_predictions(predictions, len(batch["index"]))
    check_metric(task, predictions, batch["target"])
    image = batch["image"][0].permute(1, 2, 0).contiguous().numpy()
    check_answer(task, image, take(predictions, 0), take(batch["target"], 0))


def _check_predictions(predictions: Any, samples: int) -> None:
    if not isinstance(predictions, Mapping) or not predictions:
        raise TypeError(f"gives {type(predictions).__name__}")
    for name, value in predictions.items():
        if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != samples:
            raise TypeError(f"{name} is {_shown(value)} for a batch of {samples}")


def check_metric(task: Any, predictions: Mapping[str, Tensor], target: Any) -> dict[str, Tensor]:
    """A fresh metric of the task, told of a batch; gives what it measured.

    Args:
        task: whose metric it is.
        predictions: as of :meth:`mobilevision.tasks.base.Task.decode`.
        target: of the batch.

    Raises:
        UserError: naming the method and what it should give.
    """
    metric = task.configure_metrics()
    given = f"what decode gives ({', '.join(predictions)}) and the batch's targets, and"
    with hook(metric, "update", f"nothing: it is given {given} adds them to its states"):
        metric.update(predictions, target)
    with hook(metric, "compute", f"scalars by name, with {task.primary} among them"):
        values: dict[str, Tensor] = metric.compute()
        _check_scalars(values)
        if task.primary not in values:
            raise KeyError(f"{task.primary}, the task's primary metric, is not among {', '.join(map(str, values))}")
    with hook(metric, "tables", "rows of plain values by the table's name"):
        json.dumps(metric.tables())
    return values


def check_answer(task: Any, image: Pixels, prediction: Mapping[str, Tensor], target: Any) -> None:
    """What the task says of one sample, in a row, in words and drawn, with its truth and without.

    Args:
        task: that says it.
        image: uint8 [H, W, C].
        prediction: of one sample, without the batch.
        target: of the sample.

    Raises:
        UserError: naming the method and what it should give.
    """
    with hook(task.current_answer, "describe", "a row of plain values: numbers, texts, lists"):
        row = task.describe(prediction)
        if not isinstance(row, dict) or not row:
            raise TypeError(f"gives {type(row).__name__} {row!r}"[:80])
        json.dumps(row)
    with hook(task.current_answer, "truth", "a text"):
        if not isinstance(said := task.truth(target), str):
            raise TypeError(f"gives {type(said).__name__}")
    with hook(task.current_answer, "draw", "a PIL image"):
        for truth in (None, target):
            if not hasattr(drawn := task.draw(image, prediction, truth), "save"):
                raise TypeError(f"gives {type(drawn).__name__}")


def _check_scalars(values: Any, *, finite: bool = False) -> None:
    if not isinstance(values, Mapping) or not values:
        raise TypeError(f"gives {type(values).__name__}")
    for name, value in values.items():
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise TypeError(f"{name} is {_shown(value)}")
        if finite and not bool(torch.isfinite(value)):
            raise ValueError(f"{name} is {float(value)}")


def _shown(value: Any) -> str:
    return f"a tensor {list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


@contextmanager
def hook(owner: object, method: str, gives: str) -> Iterator[None]:
    """Turn whatever a method raises into one line.

    Args:
        owner: the object whose method is called.
        method: its name.
        gives: what it should give, in words.

    Raises:
        UserError: naming plugin, class and method; one that the plugin raised goes on as it is.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        if isinstance(error, KeyError | IndexError | AttributeError) or not text:
            text = f"{type(error).__name__}: {text}"
        frames = [each for each in traceback.extract_tb(error.__traceback__) if plugin_of(each.filename)]
        place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
        raise UserError(f"{class_and_plugin(type(owner))}.{method}: {text}{place}; it should give {gives}") from error
