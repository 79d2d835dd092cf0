"""Where a training stands, in Lightning's own words, so that it goes on from there with what really comes next.

Lightning counts, for the epoch, its batches and the batches of a validation, how many are ready, started, processed
and completed, and when it restarts, guesses from these numbers in which of its hooks the checkpoint was saved. A
checkpoint that was saved in mid-validation, or while the next batch was being handed on, it goes on from as if that
were done. Here the numbers are written as those of the three places that it understands.
"""

from __future__ import annotations

from typing import Any, Literal

Next = Literal["batch", "validation", "epoch"]
"""What comes next: the next batch of this epoch; a validation, and then the rest of the epoch; the next epoch."""

_STAGES = ("ready", "started", "processed", "completed")


def say_next(fit_loop: dict[str, Any], comes_next: Next, *, by_steps: bool = False) -> None:
    """Write the state of Lightning's fit loop such that ``comes_next`` is what it does when it goes on.

    Args:
        fit_loop: its state, changed in place; all completed batches are done, and no gradients wait.
        comes_next: what comes next.
        by_steps: whether ``trainer.max_steps`` is set: Lightning then takes every checkpoint for one within an epoch.
    """
    batches = fit_loop["epoch_loop.batch_progress"]
    done = batches["current"]["completed"]
    epoch_loop = fit_loop["epoch_loop.state_dict"]
    if comes_next == "epoch":
        _settle(fit_loop["epoch_loop.val_loop.batch_progress"])
        if by_steps:
            _settle(fit_loop["epoch_progress"], "processed")
            batches["current"] = dict.fromkeys(_STAGES, 0)
            batches["is_last_batch"] = False
        return
    _settle(batches)
    for loader in fit_loop["state_dict"].get("combined_loader", []):
        loader["batches"] = done  # a batch that was handed out and not learnt from comes again
    if comes_next == "batch":
        # As saved at the end of the last batch: Lightning counts its completion, and its step for loggers, itself.
        for numbers in (batches["current"], batches["total"]):
            numbers["completed"] -= 1
        batches["is_last_batch"] = False
        epoch_loop["_batches_that_stepped"] -= 1
        _settle(fit_loop["epoch_loop.val_loop.batch_progress"])
    else:
        # As broken off in the validation's first batch; Lightning then begins it anew.
        begun = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
        fit_loop["epoch_loop.val_loop.batch_progress"] |= {"current": dict(begun), "total": dict(begun)}


def _settle(progress: dict[str, Any], by: str = "completed") -> None:
    """Nothing is under way: all stages of it stand where ``by`` does."""
    for numbers in (progress["current"], progress["total"]):
        numbers.update(dict.fromkeys(_STAGES, numbers[by]))
