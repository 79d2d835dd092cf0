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

from mobilevision.errors import UserError
from mobilevision.ops.rows import take
from mobilevision.plugins import named, plugin_of

if TYPE_CHECKING:
    from mobilevision.engine.build import Built

SAMPLES = 2


def check_contract(built: Built) -> None:
    """Call every hook of the task and its parts once, where one of them is not ours, without changing any weight.

    Raises:
        UserError: one line that names plugin, class, method and what it should give.
    """
    task, source = built.task, built.data.eval_dataloader("train").source
    parts = (task, *task.parts.values())
    classes = [type(each) for one in parts for each in (one, one.head, one.loss, one.meter("val").metric)]
    if all(each.__module__.startswith("mobilevision.") for each in [*classes, type(source.records)]):
        return
    rows = list(range(min(SAMPLES, len(source))))
    try:
        with hook(source.records, "pixels", "uint8 [height, width, channels] of the size that it is asked for"):
            check_records(source.records, built.data.spec.channels)
        with hook(source.records.targets, "placed", "a target of the same shapes for every sample"):
            batch: dict[str, Any] = source.__getitems__([(0, row) for row in rows])
    except UserError:
        if source.skip is None:
            raise
        return  # data.on_error=skip: the training leaves out what cannot be read, and says so
    training = task.training
    task.eval()
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            _check_model(task, batch, len(batch["index"]))
    finally:
        task.train(training)


def check_records(records: Any, channels: int) -> None:
    """The first sample, whole and a part of it.

    Raises:
        TypeError: pixels of another type or shape.
    """
    height, width = records.shape(0)
    for box, size in ((None, None), ((0.0, 0.0, width / 2, height / 2), (9, 7))):
        pixels = records.pixels(0, box=box, size=size, exact=True)
        wanted = (*(size or (height, width)), channels)
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape != wanted:
            have = f"{pixels.dtype} {list(pixels.shape)}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
            raise TypeError(f"gives {have}, asked for uint8 {list(wanted)}")


def _check_model(task: Any, batch: dict[str, Any], samples: int) -> None:
    with hook(task.head, "forward", "raw outputs of the features that its needs name"):
        outputs = task.outputs(batch)
        if outputs is None:
            raise TypeError("gives None")
    with hook(task.loss, "forward", 'named scalars, such as {"distance": value}'):
        losses = task.loss(outputs, batch)
        _named_scalars(losses, finite=True)
    with hook(task, "decode", "named tensors, batch first"):
        predictions = task.decode(outputs)
        if not isinstance(predictions, Mapping) or not predictions:
            raise TypeError(f"gives {type(predictions).__name__}")
        for name, value in predictions.items():
            if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != samples:
                raise TypeError(f"{name} is {_shown(value)} for a batch of {samples}")
    metric = task.configure_metrics()
    given = f"what decode gives ({', '.join(predictions)}) and the batch's targets, and"
    with hook(metric, "update", f"nothing: it is given {given} adds them to its states"):
        metric.update(predictions, batch["target"])
    with hook(metric, "compute", f"scalars by name, with {task.primary} among them"):
        values = metric.compute()
        _named_scalars(values)
        if task.primary not in values:
            raise KeyError(f"{task.primary}, the task's primary metric, is not among {', '.join(map(str, values))}")
    with hook(metric, "tables", "rows of plain values by the table's name"):
        json.dumps(metric.tables())
    image, target = batch["image"][0].permute(1, 2, 0).contiguous().numpy(), take(batch["target"], 0)
    one = take(predictions, 0)
    with hook(task.current_answer, "describe", "a row of plain values: numbers, texts, lists"):
        row = task.describe(one)
        if not isinstance(row, dict):
            raise TypeError(f"gives {type(row).__name__}")
        json.dumps(row)
    with hook(task.current_answer, "truth", "a text"):
        if not isinstance(said := task.truth(target), str):
            raise TypeError(f"gives {type(said).__name__}")
    with hook(task.current_answer, "draw", "a PIL image"):
        if not hasattr(drawn := task.draw(image, one, target), "save"):
            raise TypeError(f"gives {type(drawn).__name__}")


def _named_scalars(values: Any, *, finite: bool = False) -> None:
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
        raise UserError(f"{named(type(owner))}.{method}: {text}{place}; it should give {gives}") from error
