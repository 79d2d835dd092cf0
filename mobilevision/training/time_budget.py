"""``trainer.max_time``: a length that fits into a given time, and a schedule that ends with it.

The time counts from the start of the command and includes what comes after training, as far as it can be foreseen.
A run that is at its time is finished: its best weights are tested and reported like any other's.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any, final

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from mobilevision.callbacks.progress import EVALUATION_SHARE, in_words
from mobilevision.config.auto_settings import Decision
from mobilevision.optim import optimizer_steps
from mobilevision.training.tuning import endless_batches, train_step, trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from mobilevision.engine.build import Built

WARM_UP_STEPS = 2
"""Steps that are not timed: memory is laid out, workers start."""
TIMED_STEPS = 8
TIMED_SHARE = 0.03
"""Share of the whole time that timing steps may take."""
RESERVE = 0.05
"""Share of the time kept for what varies: another load of the machine, the report."""
LEAST_RESERVE = 10.0
"""Seconds kept at least, up to a quarter of the time: a report takes so long of the smallest set, too."""
LONGEST = 4
"""Times the length that the data asks for: more time than that is not used."""
HARDLY_LEARNT_SHARE = 0.2
"""Share of the usual epochs below which a model has hardly learnt."""


def fitting_length(built: Built, device: torch.device, *, left: float, usual: int) -> Decision:
    """How long a training fits, by timing some training steps and evaluation batches; the task is left as it was.

    Args:
        built: what is to be trained, on what.
        device: where.
        left: seconds from now to the end of the run.
        usual: epochs that the data asks for.

    Returns:
        The number of epochs, at most :data:`LONGEST` times the usual; or, where not even one fits, the batches of a
        single one as ``trainer.limit_train_batches``.
    """
    began = time.perf_counter()
    step, look = _seconds_a_step(built, device, share=TIMED_SHARE * left), _seconds_an_eval_batch(built, device)
    steps = len(built.data.train_dataloader())
    splits = built.data.splits
    looks = 0 if splits.val is None else len(built.data.eval_dataloader("val"))
    test = "val" if splits.test is None else "test"
    after = look * len(built.data.eval_dataloader(test)) if getattr(splits, test) is not None else 0.0
    epoch = step * steps + look * looks
    for_training = left - reserve(left) - (time.perf_counter() - began) - after
    if for_training < epoch:
        batches = max(1, min(steps, int((for_training - look * looks) / step)))
        what = f"{batches} of the {steps} batches of one epoch"
        hint = _hint(batches / steps, usual)
        return Decision("trainer.limit_train_batches", batches, what + _fit(_epochs(usual), usual * epoch, hint))
    most = LONGEST * usual
    epochs = min(int(for_training / epoch), most)
    if epochs < usual:
        return Decision("trainer.max_epochs", epochs, how_many_fit(epochs, usual, seconds=usual * epoch))
    bound = f", {LONGEST} times the usual {usual}: more is not used" if epochs == most else f" (the usual: {usual})"
    return Decision("trainer.max_epochs", epochs, f"{_epochs(epochs)} fit into trainer.max_time{bound}")


def reserve(seconds: float) -> float:
    """Seconds of a budget that are kept for its end."""
    return max(RESERVE * seconds, min(LEAST_RESERVE, seconds / 4))


def how_many_fit(epochs: int, usual: int, *, seconds: float) -> str:
    """Say how many epochs fit, of those that the rules would take, which would last so many seconds."""
    return f"{epochs} of {_epochs(usual)}{_fit(str(usual), seconds, _hint(epochs, usual))}"


def _fit(usual: str, seconds: float, hint: str) -> str:
    return f" fit into trainer.max_time ({usual} would take about {in_words(seconds)}){hint}"


def _hint(epochs: float, usual: int) -> str:
    return "; of so few, a model has hardly learnt: give it more time" if epochs < HARDLY_LEARNT_SHARE * usual else ""


def _epochs(number: int) -> str:
    return f"{number} epoch{'s' * (number != 1)}"


def _seconds_a_step(built: Built, device: torch.device, *, share: float) -> float:
    times: list[float] = []
    began = time.perf_counter()
    batches = endless_batches(built.data)
    with trial(built.task, device) as optimizer:
        for number in range(WARM_UP_STEPS + TIMED_STEPS):
            start = time.perf_counter()
            train_step(built.task, optimizer, next(batches), device)
            times.append(time.perf_counter() - start)
            if number >= WARM_UP_STEPS and time.perf_counter() - began > share:
                break
    return statistics.median_high(times[WARM_UP_STEPS:])


@torch.no_grad()
def _seconds_an_eval_batch(built: Built, device: torch.device) -> float:
    task, splits = built.task, built.data.splits
    split = "val" if splits.val is not None else "test" if splits.test is not None else "train"
    training = task.training
    task.to(device).eval()
    times = []
    for _, batch in zip(range(3), built.data.eval_dataloader(split), strict=False):
        start = time.perf_counter()
        moved = task.transfer_batch_to_device(batch, device, 0)
        task.decode(task.outputs(moved))
        times.append(time.perf_counter() - start)
    task.train(training)
    return min(times)


@final
class TimeEstimate(Callback):
    """Says once, after some steps, how long the training will take, and what is left of ``trainer.max_time`` for it."""

    def __init__(self) -> None:
        self._began = 0.0
        self._steps = 0
        self._printed = False

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Time the steps after the first ones."""
        if self._printed or not trainer.is_global_zero or "features" in batch:
            return
        self._steps += 1
        if self._steps == WARM_UP_STEPS:
            self._began = time.perf_counter()
        timed = self._steps - WARM_UP_STEPS
        last = self._steps >= trainer.num_training_batches
        if timed < 1 or not (last or timed >= TIMED_STEPS):
            return
        self._printed = True
        step = (time.perf_counter() - self._began) / timed
        epochs = (trainer.max_epochs or 1) - trainer.current_epoch
        looks = sum(trainer.num_val_batches) * EVALUATION_SHARE
        seconds = epochs * (trainer.num_training_batches + looks) * step
        budget = next((each for each in trainer.callbacks if isinstance(each, TimeBudget)), None)  # type: ignore[attr-defined]
        if told := _estimate(seconds, _epochs(epochs), f"at {step:.2g} s a step", budget):
            print(f"time: {told}", flush=True)


def _estimate(seconds: float, length: str, speed: str, budget: TimeBudget | None) -> str:
    """Empty where a length that does not fit is shortened by itself, which is said when it is."""
    if budget is None:
        return f"about {in_words(seconds)} for {length}, {speed}"
    left = max(0.0, budget.left)
    if seconds <= left:
        return f"about {in_words(seconds)} for {length}, with {in_words(left)} left of trainer.max_time, {speed}"
    if not budget.fixed:
        return ""
    short = f"{in_words(left)} left of trainer.max_time, which is not enough for all of {length}, {speed}"
    return f"{short}; {budget.fixed}{budget.fix and ': '}{budget.fix}"


@final
class TimeBudget(Callback):
    """Ends a training at its time, and shortens one that would not come to its end before.

    At every epoch's end the rest is foreseen from the epochs so far. Where the length was ``auto`` and the rest would
    not fit, the training gets fewer epochs and the learning rate falls accordingly; whatever happens, the training ends
    at its time, with a look at val, and says so where that is before its last epoch's end.

    Args:
        seconds: the whole time.
        began: ``time.perf_counter()`` when the command began.
        fixed: why the number of epochs may not change; empty where it may.
        fix: what to type for a length that fits, where it may not change.
        usual: epochs that the rules would take without the budget.
        told: whether it was said already how many of them fit.
        shortened: is told the new number of epochs.
    """

    def __init__(
        self,
        *,
        seconds: float,
        began: float,
        fixed: str,
        shortened: Callable[[int], Any],
        fix: str = "",
        usual: int = 1,
        told: bool = False,
    ) -> None:
        self.seconds, self.fixed, self.fix, self.usual, self.shortened = seconds, fixed, fix, usual, shortened
        self._told = told
        self._printed = False
        self._began = began
        self._used_before = 0.0
        self._epoch_began = 0.0

    @property
    def left(self) -> float:
        """Seconds until the end, keeping some for the test."""
        return self.seconds - reserve(self.seconds) / 2 - self._used

    @property
    def _used(self) -> float:
        """Seconds that have gone by, in earlier commands, too, where a run goes on."""
        return self._used_before + time.perf_counter() - self._began

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A run that goes on and has used its time is trained already."""
        if self._used_before >= self.seconds - reserve(self.seconds) / 2:
            trainer.should_stop = True
            if trainer.is_global_zero:
                print("time: trainer.max_time was used up before; give a longer one to train on", flush=True)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """An epoch that is gone on with has no start of its own."""
        self._epoch_began = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """An epoch is timed with its look at val."""
        self._epoch_began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop at the time; every process at the same step."""
        if trainer.strategy.reduce_boolean_decision(self.left <= 0, all=False):
            trainer.should_stop = True
            if not self._printed and trainer.is_global_zero and not _is_last(trainer, batch_idx):
                self._printed = True
                of = f" of {trainer.max_epochs}" if (trainer.max_epochs or 0) > 0 else ""
                why = f"; the learning rate has not fallen to its end, as {self.fixed}" if self.fixed else ""
                epoch = f"{trainer.current_epoch + 1}{of}"
                print(f"time: trainer.max_time is up in epoch {epoch}: the run counts as finished{why}", flush=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Foresee the rest."""
        lasted = time.perf_counter() - self._epoch_began
        done, planned = trainer.current_epoch + 1, trainer.max_epochs or 0
        fits = trainer.strategy.broadcast(max(done, done + int(self.left / max(lasted, 1e-3))))
        if not self.fixed and fits < planned:
            trainer.fit_loop.max_epochs = fits
            total = optimizer_steps(
                batches=int(trainer.num_training_batches),
                limit=None,
                accumulate=trainer.accumulate_grad_batches,
                epochs=fits,
                most=trainer.max_steps,
            )
            pl_module.schedule.end_at(total)
            if trainer.is_global_zero:
                self.shortened(fits)
                print(f"time: {self._how_many_fit(fits, planned, lasted)}", flush=True)

    def _how_many_fit(self, fits: int, planned: int, lasted: float) -> str:
        if not self._told:
            self._told = True
            return how_many_fit(fits, self.usual, seconds=self.usual * lasted)
        said_before = planned < HARDLY_LEARNT_SHARE * self.usual
        hint = "" if said_before else _hint(fits, self.usual)
        return f"corrected to {_epochs(fits)} (before: {planned}), as an epoch now takes {in_words(lasted)}{hint}"

    def state_dict(self) -> dict[str, Any]:
        """The time that was used, so that a run that goes on has only the rest."""
        return {"used": self._used}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Undo :meth:`state_dict`."""
        self._used_before = state_dict["used"]


def _is_last(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether the training ends with this batch anyway."""
    if 0 < trainer.max_steps <= trainer.global_step:
        return True
    return trainer.current_epoch + 1 == trainer.max_epochs and batch_idx + 1 >= trainer.num_training_batches
