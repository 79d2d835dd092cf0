"""Whole batches from records, and a loader that resumes in mid-epoch at the next batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from mobilevision.data.records import Records
from mobilevision.data.sampling import DRAW, BatchSampler, Key, stream
from mobilevision.data.skipped import SkipLog
from mobilevision.data.unlabelled import WithUnlabelled
from mobilevision.data.view import Augmentation, Sample, View
from mobilevision.data.workers import DEAD_WORKER, dead_worker, leave_stops_to_the_run, with_workers
from mobilevision.errors import UserError
from mobilevision.images.decode import UnreadableImageError
from mobilevision.ops.rows import take
from mobilevision.spec import Features, PartFeatures

Batch = dict[str, Any]
"""image uint8 [B, C, H, W] in channels_last memory (or features: Features), target [B, ...], index int64 [B].

The target of boxes is a dict of padded tensors, see :data:`mobilevision.data.boxes.Target`; that of a kind with
:class:`mobilevision.data.targets.Targets` is what these make of it. Where images without
labels are among them, ``labelled``, bool [B], says which samples have a target.
"""


@final
class BatchSource(Dataset[Batch]):
    """Gives a whole batch at once, decoded into one uint8 buffer.

    Args:
        records: the split.
        channels: channels of an image.
        resolution: (height, width) of the model's input in pixels.
        crop: share of the shorter side that evaluation looks at, for ``fit=crop``.
        fit: how an image comes to lie in the input, see :func:`mobilevision.images.framing.frame`.
        seed: seed of the augmentation.
        augment: the augmentation, or None for the exact evaluation path.
        skip: where to write unreadable images that are left out of their batch; None raises.
    """

    def __init__(
        self,
        records: Records,
        *,
        channels: int,
        resolution: tuple[int, int],
        crop: float,
        fit: str = "crop",
        seed: int = 0,
        augment: Augmentation | None = None,
        skip: SkipLog | None = None,
    ) -> None:
        self.records, self.channels, self.resolution, self.crop, self.fit = records, channels, resolution, crop, fit
        self.view = View(records, channels=channels, resolution=resolution, fit=fit, crop=crop)
        self.seed, self.augment, self.skip = seed, augment, skip
        self.features: Features | PartFeatures | None = None
        self.until_epoch = 0
        self._row_of: Tensor | None = None

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: Key) -> Batch:
        return self.__getitems__([key])

    def __getitems__(self, keys: list[Key]) -> Batch:
        """The batch of these (epoch, index) keys.

        Raises:
            UserError: an unreadable image. A worker process gives it as ``{"error": ...}`` instead, because torch
                would bury the line under the worker's traceback.
        """
        try:
            return self._batch(keys)
        except UserError as error:
            if get_worker_info() is None:
                raise
            return {"error": error}

    def _batch(self, keys: list[Key]) -> Batch:
        indices = [index for _, index in keys]
        if self.cached(keys[0][0]):
            return self._cached_batch(indices)
        buffer = torch.empty((len(keys), *self.resolution, self.channels), dtype=torch.uint8)
        rows = buffer.numpy()
        kept: list[int] = []
        targets: list[Any] = []
        why = ""
        for epoch, index in keys:
            try:
                rows[len(kept)], target, *_ = self.sample(epoch, index)
                kept.append(index)
                targets.append(target)
            except UnreadableImageError as error:
                if self.skip is None:
                    raise
                why = str(error)
                self.skip.add(self.records.name(index), why)
        if not kept:
            last = self.records.name(indices[-1])
            told = why if why.startswith(last) else f"{last} ({why})"
            raise UserError(f"every image of a batch is unreadable, the last one {told}")
        return {"image": buffer[: len(kept)].permute(0, 3, 1, 2), **self._labels(kept, targets)}

    def sample(self, epoch: int, index: int) -> Sample:
        """One sample as the model gets it; a function of seed, epoch and index."""
        if self.augment is None:
            return self.view.sample(index)
        return self.augment.sample(self.view, index, stream(DRAW, self.seed, epoch, index))

    def serve(self, features: Features | PartFeatures, until_epoch: int, index: Tensor | None) -> None:
        """Give features instead of images before ``until_epoch``.

        Args:
            features: sample first.
            until_epoch: the first epoch that gets images again.
            index: int64, the sample of each row; None where row i is sample i.
        """
        self.features, self.until_epoch = features, until_epoch
        if index is not None:
            self._row_of = torch.full((len(self),), -1)
            self._row_of[index] = torch.arange(len(index))

    def cached(self, epoch: int) -> bool:
        """Whether this epoch is served from features computed before."""
        return self.features is not None and epoch < self.until_epoch

    def _cached_batch(self, indices: list[int]) -> Batch:
        kept = [index for index in indices if self._row_of is None or self._row_of[index] >= 0]
        if not kept:
            raise UserError(f"every image of a batch is unreadable, {self.records.name(indices[-1])} among them")
        return {"features": self._rows(kept), **self._labels(kept)}

    def _rows(self, indices: list[int]) -> Features | PartFeatures:
        assert self.features is not None
        found: Features | PartFeatures = take(
            self.features, torch.tensor(indices) if self._row_of is None else self._row_of[indices]
        )
        return found

    def _labels(self, indices: list[int], drawn: Sequence[Any] = ()) -> dict[str, Any]:
        index = torch.tensor(indices)
        found = {"target": self.view.targets(indices, drawn), "index": index}
        if isinstance(self.records, WithUnlabelled):
            found["labelled"] = index < len(self.records.labelled)
        return found


@final
class Loader(DataLoader[Batch]):
    """A DataLoader over a :class:`BatchSource` that knows how many batches of the epoch it has given.

    Lightning saves and restores its state with the checkpoint. Nothing is started before the first batch is asked
    for, because Lightning makes the iterator of a resumed run before it tells the epoch.

    Args:
        source: gives the batches.
        sampler: which samples make up which batch.
        workers: number of worker processes, 0 for none.
        pin_memory: page-locked batches, for a GPU.
        prefetch: batches that a worker prepares ahead.
    """

    source: BatchSource
    epochs: BatchSampler

    def __init__(
        self,
        source: BatchSource,
        sampler: BatchSampler,
        *,
        workers: int,
        pin_memory: bool = False,
        prefetch: int = 2,
    ) -> None:
        super().__init__(
            source,
            batch_sampler=sampler,
            num_workers=workers,
            collate_fn=_as_it_is,
            pin_memory=pin_memory,
            prefetch_factor=prefetch if workers else None,
            worker_init_fn=leave_stops_to_the_run,
            generator=torch.Generator(),  # the global one belongs to the model: a resume must find it as it was
        )
        self.source, self.epochs = source, sampler
        self._given = 0
        self._resume: tuple[int, int] | None = None

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # a generator, not torch's iterator class
        """Batches of the sampler's epoch, from where a loaded state says."""
        epoch, start = self._resume or (-1, 0)
        self._resume = None
        self._given = self.epochs.start = start if epoch == self.epochs.epoch else 0
        for batch in self._watched():
            if "error" in batch:
                raise batch["error"]
            self._given += 1
            yield batch

    def _watched(self) -> Iterator[Batch]:
        try:
            yield from self._batches()
        except (RuntimeError, ConnectionError, EOFError) as error:
            if isinstance(error, RuntimeError) and DEAD_WORKER not in str(error):
                raise
            raise dead_worker(self.num_workers) from error

    def _batches(self) -> Iterator[Batch]:
        if self.source.cached(self.epochs.epoch):  # nothing to decode: worker processes would only cost
            return map(self.source.__getitems__, iter(self.epochs))
        return with_workers(super().__iter__)

    def state_dict(self) -> dict[str, int]:
        """The epoch and how many of its batches were given."""
        return {"epoch": self.epochs.epoch, "batches": self._given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches of ``state``, unless another epoch is chosen before the first batch."""
        self._resume = (state["epoch"], state["batches"])
        self.epochs.set_epoch(state["epoch"])


def _as_it_is(batch: Any) -> Any:
    return batch
