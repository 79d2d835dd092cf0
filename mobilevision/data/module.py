"""The data module: reads a format, completes its splits, checks them, and gives loaders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, final

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, distributed

from mobilevision.data import attributes, checks, coordinates, identities
from mobilevision.data.boxes import BoxTargets, boxes_a_class
from mobilevision.data.coordinates import CellOptions, CoordinateTargets
from mobilevision.data.data_format import DataFormat
from mobilevision.data.groups import apply_groups
from mobilevision.data.identities import IdentityTargets
from mobilevision.data.loader import BatchSource, Loader
from mobilevision.data.multitask import Multitask, MultitaskSampler, MultitaskTargets, lies_in_image
from mobilevision.data.records import Records, Splits
from mobilevision.data.sampling import BatchSampler, EpochSampler, IdentitySampler
from mobilevision.data.skipped import SkipLog
from mobilevision.data.splitting import add_label_noise, complete, take_fold
from mobilevision.data.targets import Targets, mixable
from mobilevision.data.unlabelled import WithUnlabelled, find_unlabelled, without
from mobilevision.data.view import Augmentation
from mobilevision.data.white_level import choose_white_level
from mobilevision.errors import UserError
from mobilevision.images.framing import FITS
from mobilevision.plugins import class_and_plugin
from mobilevision.ranges import Items, PositiveFloat, PositiveInt, Range, Seed, ShareBelowOne, Side, check_ranges
from mobilevision.spec import DataSpec, Features, PartFeatures

# What must hold between the settings of a data module before anything is read.


def check_arguments(data: DataModule) -> None:
    """Refuse settings that do not go together.

    Raises:
        UserError: naming the key and the fix.
    """
    if data.kind not in data.format.kinds:
        can = ", ".join(data.format.kinds)
        raise UserError(f"data format {type(data.format).__name__} gives {can}, but the task learns from {data.kind}")
    if data.unlabelled is not None and isinstance(data.format, Multitask) and data.format.sampling != "size":
        raise UserError(
            "data.unlabelled: images without labels belong to no part, and data.format.sampling draws images part by"
            " part: leave it at size"
        )
    if data.parts and data.root is not None:
        name = next(iter(data.parts))
        raise UserError(f"data.root={data.root}: each part reads its own data, such as parts.{name}.data.root")
    if data.root is not None and not data.format.expected:
        raise UserError(
            f"data.root={data.root}: {type(data.format).__name__} draws its images and reads no files, so that"
            " nothing in that place would be looked at: add data=auto (or another format), or leave data.root out"
        )
    if data.batch_size < 1:
        raise UserError(f"data.batch_size={data.batch_size}: must be at least 1")
    if data.folds < 0 or (data.folds > 1 and data.fold is None):
        why = "must be 0 (off) or more" if data.folds < 0 else "only `train` runs a cross-validation: leave it out here"
        raise UserError(f"data.folds={data.folds}: {why}")
    if data.unlabelled is not None and data.kind == "identity" and data.per_identity > 1:
        raise UserError(
            "data.unlabelled: images of nobody fit into no balanced batch of identities: data.per_identity=1"
        )
    if data.per_identity < 1:
        raise UserError(f"data.per_identity={data.per_identity}: must be at least 1")
    if data.fit not in FITS:
        raise UserError(f"data.fit={data.fit}: must be null or one of {', '.join(FITS)}")
    if data.augment and data.augment.kinds is not None and data.kind not in data.augment.kinds:
        can = " or ".join(data.augment.kinds)
        raise UserError(f"augment is for {can}, but the task learns from {data.kind}: choose another augment")
    if data.augment and data.augment.coloured and data.channels not in (1, 3):
        raise UserError(
            f"data.channels={data.channels}: changes of colour (color_jitter, rand_augment, photometric) work"
            " on 1 or 3; switch them off"
        )


def check_augment(data: DataModule) -> None:
    """Refuse changes of images that the targets that were read cannot follow.

    Raises:
        UserError: naming the key and the fix.
    """
    targets = None if data.splits.train is None else data.splits.train.targets
    if data.augment is None or targets is None:
        return
    if data.augment.mixes and not mixable(targets):
        why = f"targets of the kind {data.kind} do not mix"
        if data.kind in ("identity", "coordinate"):
            why = f"two {'identities' if data.kind == 'identity' else 'places'} in one image are none"
        raise UserError(f"augment.mixup, augment.cutmix: {why}; set both to 0")
    if getattr(data.augment, "warps", False) and isinstance(targets, BoxTargets | Targets):
        raise UserError(
            f"augment.rand_augment turns and shears images, and {data.kind} would stay where they are: set it to 0"
        )


@final
class DataModule(pl.LightningDataModule):
    """Turns a format's splits into loaders of uint8 batches.

    Args:
        format: reads the place.
        root: the folder or file with the data; None where the format needs none.
        kind: what the task learns from: class, attributes, identity, coordinate, boxes, or a word of a plugin's.
        batch_size: samples a training batch and process.
        eval_batch_size: samples an evaluation batch; None takes ``batch_size``.
        workers: processes that decode; None takes half the processors, at most 8; 0 decodes in the main process.
        resolution: side, or [height, width], of the model's input in pixels; None: what weights or head expect.
        fit: how an image comes to lie in the input: ``crop``, ``stretch`` or ``letterbox``; None stretches images
            with boxes, so that all boxes are seen, and crops others.
        channels: channels of an image.
        val_fraction: share of train that becomes val where the data has none.
        test_fraction: share that becomes test where the data has no split at all.
        folds: above 1, for cross-validation: train is cut into so many parts, of which one becomes test; None, 0 and 1
            cut nothing.
        fold: which of them is the test of this run, from 1; a cross-validation sets it.
        on_error: ``raise`` stops at bad data, ``skip`` leaves it out and lists it in the run folder.
        seed: of splits, order and augmentation.
        drop_last: leave an incomplete last training batch out.
        pin_memory: page-locked batches; None where there is a GPU.
        prefetch: batches that each worker prepares ahead.
        cells: for ``kind=coordinate``, how Earth is cut into cells; None takes the defaults.
        per_identity: for ``kind=identity``, images of each identity in a training batch; 1 only shuffles.
        unlabelled: a folder of images without labels, which join the training batches; only a teacher makes use of
            them.
        label_noise: share of the training samples that get a wrong class, for experiments; val and test get none.
        groups: a CSV or YAML file with the group of each class (breed to species); None: what the data itself says.
        white_level: the value that becomes 255 in images of more than 8 bits, the same for all of them; None: the
            lowest of :data:`mobilevision.data.white_level.LEVELS` that the data does not go beyond.
        augment: the augmentation of training images; None for none.

    Attributes:
        spec: what the data knows of itself, after :meth:`setup_data`.
        splits: the samples, after :meth:`setup_data`.
        idle: parts that learn nothing, so that no training batch has an image which they alone know.
    """

    spec: DataSpec
    splits: Splits

    @check_ranges("data")
    def __init__(
        self,
        *,
        format: DataFormat,
        root: str | None = None,
        kind: str = "class",
        batch_size: PositiveInt = 64,
        eval_batch_size: PositiveInt | None = None,
        workers: Annotated[int, Range(min=0, max=1024)] | None = None,
        resolution: Side | Annotated[Sequence[Side], Items(2, 2)] | None = None,
        fit: str | None = None,
        channels: Annotated[int, Range(min=1, max=1024)] = 3,
        val_fraction: ShareBelowOne = 0.2,
        test_fraction: ShareBelowOne = 0.0,
        folds: Annotated[int, Range(min=0, max=1000)] | None = None,
        fold: PositiveInt | None = None,
        on_error: str = "raise",
        seed: Seed = 0,
        drop_last: bool = True,
        pin_memory: bool | None = None,
        prefetch: Annotated[int, Range(min=1, max=1024)] = 2,
        cells: CellOptions | None = None,
        per_identity: PositiveInt = 4,
        unlabelled: str | None = None,
        label_noise: ShareBelowOne = 0.0,
        groups: str | None = None,
        white_level: PositiveFloat | None = None,
        augment: Augmentation | None = None,
    ) -> None:
        super().__init__()
        self.format, self.root, self.kind = format, None if root is None else Path(root).expanduser(), kind
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.workers = default_workers() if workers is None else workers
        self.resolution, self.channels, self.seed = resolution, channels, seed
        self.folds, self.fold = folds or 0, fold
        self.val_fraction, self.test_fraction, self.on_error = val_fraction, test_fraction, on_error
        self.drop_last, self.prefetch, self.augment = drop_last, prefetch, augment
        self.per_identity, self.unlabelled = per_identity, unlabelled
        self.label_noise, self.groups, self.white_level = label_noise, groups, white_level
        self.cells = cells or CellOptions()
        self.idle: frozenset[str] = frozenset()
        self._others: Records | None = None
        self.fit = fit or ("stretch" if kind == "boxes" else "crop")
        self.pin_memory = torch.cuda.is_available() if pin_memory is None else pin_memory
        self._skip: SkipLog | None = None
        self._features: dict[str, Features | PartFeatures] = {}
        self._rows: dict[str, Tensor] = {}
        self._until_epoch = 0
        self._crop = 1.0

    @property
    def parts(self) -> dict[str, DataModule]:
        """The data module of each part, where several tasks are trained together; else none."""
        modules = self.format.modules if isinstance(self.format, Multitask) else {}
        return {name: module for name, module in modules.items() if isinstance(module, DataModule)}

    def read_splits(self) -> Splits:
        """What the format reads, before anything is cut, checked or left out; the second call does nothing."""
        if not hasattr(self, "splits"):
            check_arguments(self)
            self.splits = self._read()
        return self.splits

    def _read(self) -> Splits:
        """What the format gives, which a plugin's may have wrong."""
        splits: Any = self.format.read(root=self.root, kind=self.kind, channels=self.channels, seed=self.seed)
        if not isinstance(splits, Splits):
            source = class_and_plugin(type(self.format))
            raise UserError(f"{source}.read gives a {type(splits).__name__}: it should give mobilevision.api.Splits")
        for name, records in splits.items():
            if not isinstance(records, Records) or not hasattr(records, "targets"):
                what = "has no targets" if isinstance(records, Records) else "is no Records"
                fix = "derive it from mobilevision.api.Records and set targets, a row a sample"
                source = class_and_plugin(type(self.format))
                raise UserError(f"{source}.read: its {name}, {class_and_plugin(type(records))}, {what}: {fix}")
        return splits

    def setup_data(
        self,
        *,
        default_resolution: tuple[int, int] = (224, 224),
        crop: float = 0.875,
        run_dir: Path | None = None,
        alone: bool = True,
    ) -> DataSpec:
        """Read, split and check the data; the second call does nothing.

        Args:
            default_resolution: (height, width) where ``data.resolution`` is null.
            crop: share of the shorter side that evaluation looks at.
            run_dir: where ``skipped.csv`` goes; None keeps no list.
            alone: whether the white level is this data's to choose; that of several parts is one (see :meth:`share`).

        Returns:
            The spec, also kept as ``spec``.

        Raises:
            UserError: data that cannot be used, or problems in it under ``on_error=raise``.
        """
        if hasattr(self, "spec"):
            return self.spec
        self._skip = SkipLog(run_dir and run_dir / "skipped.csv") if self.on_error == "skip" else None
        self.read_splits()
        if self.folds > 1 and self.fold is not None:
            take_fold(self.splits, folds=self.folds, fold=self.fold, seed=self.seed)
        complete(self.splits, val_fraction=self.val_fraction, test_fraction=self.test_fraction, seed=self.seed)
        checks.alike_classes(self.splits)
        checks.unseen_classes(self.splits)
        checks.classes_without_boxes(self.splits)
        if self.kind == "attributes":
            attributes.single_valued(self.splits)
        if self.kind == "identity":
            identities.separate(self.splits, per_identity=self.per_identity)
        check_augment(self)
        checks.refuse_or_skip(self.splits.problems, self.on_error, self._skip)
        checks.enough(self.splits, self.root, self.kind)
        if self.kind == "identity":
            identities.comparable(self.splits)
        white_level = None
        if alone:
            of_parts = {name: module.splits for name, module in self.parts.items()}
            white_level = choose_white_level(self.splits, self.white_level, of_parts)
        cells = coordinates.assign_cells(self.splits, self.cells) if self.kind == "coordinate" else None
        self._crop = crop
        apply_groups(self.splits, self.groups, self.kind)
        add_label_noise(self.splits, self.label_noise, self.seed, self.kind)
        if self.unlabelled is not None:
            measured = [records for split, records in self.splits.items() if split != "train"]
            self._others, notes = without(find_unlabelled(self.unlabelled, self.channels), measured, self.unlabelled)
            self.splits.notes += notes
            if white_level is not None:
                self._others.scale(white_level)
            self.splits.notes.append(f"without labels: {len(self._others):,} images of {self.unlabelled}")
        resolution = height_and_width(self.resolution) or default_resolution
        self.spec = DataSpec(
            kind=self.kind,
            classes=self.splits.classes,
            channels=self.channels,
            resolution=resolution,
            fit=self.fit,
            groups=tuple(self.splits.groups[name] for name in self.splits.classes) if self.splits.groups else (),
            cells=None if cells is None else cells.to_dict(),
            white_level=white_level,
            facts=self.splits.facts,
            **_counts(self.splits, self.kind, len(self.splits.classes), located=cells is not None),
        )
        shared = {name: module.share(self.spec, self.splits, name) for name, module in self.parts.items()}
        self.spec = replace(self.spec, parts=shared)
        if self.kind in ("class", "boxes") and self.splits.train is not None:
            self.splits.notes += checks.likely_misspelt(self.spec.classes, self.spec.counts)
        return self.spec

    def share(self, spec: DataSpec, splits: Splits, name: str) -> DataSpec:
        """Take what all parts share, and of the joined data what is left to this part; give the spec anew.

        Args:
            spec: of the joined data: its side, fit and white level.
            splits: of the joined data, cut and with folds taken.
            name: of this part.
        """
        for split in ("train", "val", "test"):
            joint: Records | None = getattr(splits, split)
            of_parts = None if joint is None else joint.targets
            setattr(self.splits, split, of_parts.of_part(name) if isinstance(of_parts, MultitaskTargets) else None)
        side = height_and_width(self.resolution) or spec.resolution
        if side != spec.resolution:
            self._check_own_side(name, side, spec.resolution)
        self.spec = replace(self.spec, resolution=side, fit=spec.fit, white_level=spec.white_level)
        if self.kind != "identity":  # whose numbers begin with those of the whole train
            cells, classes = self.spec.cells, len(self.spec.classes)
            self.spec = replace(self.spec, **_counts(self.splits, self.kind, classes, located=cells is not None))
        self.fit = spec.fit
        return self.spec

    def _check_own_side(self, name: str, side: tuple[int, int], shared: tuple[int, int]) -> None:
        """Refuse a side of its own to a part that cannot have it.

        Raises:
            UserError: a side above that of the images, from which it is made, or targets that lie in the image.
        """
        key = f"parts.{name}.data.resolution={self.resolution}"
        if side[0] > shared[0] or side[1] > shared[1]:
            raise UserError(
                f"{key}: images are shrunk to it from data.resolution={list(shared)}: give data.resolution={max(side)}"
                " or more, or a smaller one here"
            )
        if any(lies_in_image(each.targets) for each in (self.splits.train, self.splits.val, self.splits.test) if each):
            raise UserError(
                f"{key}: what lies in the image, such as boxes, is learnt at data.resolution={list(shared)}: leave it"
                " out, and give the other parts a smaller one"
            )

    def train_with(self, *, batch_size: int, augment: Augmentation | None) -> None:
        """Choose batch size and augmentation, which may depend on the data that was read.

        Raises:
            UserError: an augmentation that does not go with the data.
        """
        self.batch_size, self.augment = batch_size, augment
        check_arguments(self)
        check_augment(self)

    @property
    def shown(self) -> int:
        """How many images of train an epoch shows."""
        train = self.splits.train
        if train is None or not isinstance(train.targets, MultitaskTargets):
            return 0 if train is None else len(train)
        return len(train.targets.rows_without(self.idle))

    def train_dataloader(self) -> Loader:
        """Shuffled and augmented batches of train."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> Loader | list[Loader]:
        """Batches of val on the exact evaluation path, each sample once over all processes; none without a val."""
        return [] if self.splits.val is None else self._loader("val")

    def test_dataloader(self) -> Loader:
        """Batches of test on the exact evaluation path, each sample once over all processes."""
        return self._loader("test")

    def eval_dataloader(self, split: str, *, shard: bool = True) -> Loader:
        """Batches of any split, in order and without augmentation, say to compute features once.

        Args:
            split: train, val or test.
            shard: whether each of several processes gets its own part, or all get everything.
        """
        return self._loader(split, shard=shard)

    def train_and_unlabelled_dataloader(self) -> Loader:
        """Train and the images without labels, in order and without augmentation; all of it in every process."""
        return self._loader("train", shard=False, more=True)

    def cache_features(
        self, features: dict[str, Features | PartFeatures], until_epoch: int, index: dict[str, Tensor] | None = None
    ) -> None:
        """Serve features instead of images in the epochs before ``until_epoch``.

        Args:
            features: for each split (train, val), its features, sample first.
            index: for each split, the sample that each row belongs to, int64; None where row i is sample i. Samples
                without a row are left out.
            until_epoch: the first epoch that gets images again.
        """
        self._features, self._until_epoch, self._rows = features, until_epoch, index or {}

    def _loader(self, split: str, shuffle: bool = False, shard: bool = True, more: bool = False) -> Loader:
        records: Records | None = getattr(self.splits, split)
        if records is not None and self._others is not None and (shuffle or more):
            records = WithUnlabelled(records, self._others)
        if records is None:
            fix = f"; data.{split}_fraction above 0 takes one from train" if split != "train" else ""
            raise UserError(f"the data has no {split} split{fix}")
        source = BatchSource(
            records,
            channels=self.channels,
            resolution=self.spec.resolution,
            crop=self._crop,
            fit=self.fit,
            seed=self.seed,
            augment=self.augment if shuffle else None,
            skip=self._skip,
        )
        if split in self._features:
            source.serve(self._features[split], self._until_epoch, self._rows.get(split))
        sampler = self._sampler(records, shuffle, *(_rank_and_world() if shard else (0, 1)))
        return Loader(source, sampler, workers=self.workers, pin_memory=self.pin_memory, prefetch=self.prefetch)

    def _sampler(self, records: Records, shuffle: bool, rank: int, world: int) -> BatchSampler:
        """Shuffled (of identities in balanced batches) or in order, for one of several processes."""
        process: dict[str, Any] = {"seed": self.seed, "rank": rank, "world": world}
        size = self.batch_size if shuffle else self.eval_batch_size or self.batch_size
        weights = self.format.weights() if isinstance(self.format, Multitask) else None
        if shuffle and isinstance(records.targets, MultitaskTargets):
            names, rows = records.targets.names, records.targets.rows
            learning = [number for number, name in enumerate(names) if name not in self.idle]
            if weights is not None:
                chosen, rows = {names[number]: weights[names[number]] for number in learning}, rows[:, learning]
                return MultitaskSampler(rows, weights=chosen, batch_size=size, drop_last=self.drop_last, **process)
            if self.idle:
                rows = records.targets.rows_without(self.idle)
                process |= {"rows": rows, "shuffle": True, "drop_last": self.drop_last}
                return EpochSampler(n=len(rows), batch_size=size, **process)
        if shuffle and isinstance(records.targets, IdentityTargets) and self.per_identity > 1:
            shown = records.targets.identities
            return IdentitySampler(shown, batch_size=size, per_identity=self.per_identity, **process)
        return EpochSampler(n=len(records), batch_size=size, shuffle=shuffle, drop_last=self.drop_last, **process)


def _rank_and_world() -> tuple[int, int]:
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def default_workers() -> int:
    """Half the processors that this process may use, 1 to 8."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, max(1, usable // 2))


def height_and_width(resolution: int | Sequence[int] | None) -> tuple[int, int] | None:
    """``data.resolution`` as the height and the width of the input in pixels; None where it is null.

    Raises:
        UserError: it is neither a side nor two.
    """
    if resolution is None:
        return None
    pair = (resolution, resolution) if isinstance(resolution, int) else tuple(resolution)
    if len(pair) != 2 or min(pair) < 1:
        raise UserError(f"data.resolution={resolution}: give a side or [height, width] in pixels")
    return pair[0], pair[1]


def _counts(splits: Splits, kind: str, classes: int, *, located: bool) -> dict[str, Any]:
    """What :class:`DataSpec` says of the training samples: ``counts`` of each class, ``known`` of each attribute."""
    targets = None if splits.train is None else splits.train.targets
    if isinstance(targets, BoxTargets):
        return {"counts": boxes_a_class(targets, classes)}
    if isinstance(targets, IdentityTargets):
        return {"counts": identities.counted(targets, classes)}
    if isinstance(targets, CoordinateTargets):
        return {"counts": tuple(np.bincount(targets.cells, minlength=classes).tolist())} if located else {}
    if targets is not None and kind == "class":
        return {"counts": tuple(np.bincount(targets, minlength=classes).tolist())}
    if targets is not None and kind == "attributes":
        known, counts = (tuple(each.tolist()) for each in attributes.counts(targets))
        return {"counts": counts, "known": known}
    return {}
