"""One training, from a composed config to a finished run folder."""

from __future__ import annotations

import ctypes
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from omegaconf import DictConfig, OmegaConf

from mobilevision.config.loaded import offline
from mobilevision.config.parts import keys_of_parts, names, part_config
from mobilevision.errors import DeadWorkerError, StoppedError, UserError
from mobilevision.io.atomic_files import write_json, write_text
from mobilevision.io.error_lines import system_error
from mobilevision.io.safe_yaml import read_yaml
from mobilevision.tracking.processes import is_first_process, shared_folder
from mobilevision.tracking.run_folder import RunFolder

if TYPE_CHECKING:
    from pytorch_lightning import Trainer

    from mobilevision.callbacks import StopSignals
    from mobilevision.engine.build import Built
    from mobilevision.tracking.loggers import Tracker

_LOST = ("connection closed by peer", "connection reset by peer", "broken pipe", "remote process", "was aborted")
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h
_LARGEST_INT = 2**31 - 1


def start(cfg: DictConfig, *, began: float | None = None) -> dict[str, float]:
    """Import the plugins, then train: once, or once a fold where ``data.folds`` asks for a cross-validation.

    Args:
        cfg: a composed and checked config.
        began: of :func:`train`; each fold has a time of its own.
    """
    from mobilevision.config.used_plugins import load_for

    load_for(cfg)
    require_folder_beside_data(cfg)  # before a cross-validation makes folders
    if (cfg.data.get("folds") or 0) > 1 and cfg.data.get("fold") is None:
        from mobilevision.training.cross_validation import cross_validate

        return cross_validate(cfg, train)
    return train(cfg, began=began)


def train(cfg: DictConfig, *, began: float | None = None) -> dict[str, float]:
    """Train, test, and leave everything in the run folder.

    Args:
        cfg: a composed and checked config; with ``resume`` set, the one of the run to go on with.
        began: ``time.perf_counter()`` from which ``trainer.max_time`` counts; None: now.

    Returns:
        The final metrics, fractions from 0 to 1, by ``test/<metric>``.

    Raises:
        UserError: for all that the user can mend.
    """
    if began is None:
        began = time.perf_counter()  # before torch is imported
    from pytorch_lightning import seed_everything

    from mobilevision.callbacks import StopSignals
    from mobilevision.engine.build import build, check_val, instantiate
    from mobilevision.engine.recording import recording
    from mobilevision.reports.results import write_results
    from mobilevision.testing.contract import check_contract
    from mobilevision.training.distillation import distil
    from mobilevision.training.extending import take_over
    from mobilevision.training.prerequisite_runs import pretrain, train_teacher
    from mobilevision.training.same_data import moved_data_told, require_same, with_absolute_paths
    from mobilevision.training.teacher_comparison import compare_with_teacher, measure_teacher
    from mobilevision.training.tuning import tune

    signals = StopSignals()
    with signals.caught():
        require_accelerator(str(cfg.trainer.accelerator))
        folder, given = find_folder(train_teacher(pretrain(cfg, train), train))
        ending = Ending(folder, signals)
        with ending.reported(), folder.locked(), recording(folder.log):
            given = with_absolute_paths(given)
            prepare_folder(given, folder)
            if given.allocator == "tuned":
                tune_allocator()  # before any worker is started
            seed_everything(given.seed, verbose=False)
            checkpoint = checkpoint_to_start_from(given, folder)
            with moved_data_told(given, folder):
                built = build(with_checkpoint_as_weights(given, checkpoint), run_dir=folder.path)
            check_contract(built)
            if given.get("extend") is not None and given.resume is None:
                take_over(built, given.extend)
            decided = built.cfg.copy()  # nothing in it is ``auto`` any more
            OmegaConf.update(decided, "backbone", given.backbone, merge=False)
            if "weights" in given.head:
                decided.head.weights = given.head.weights
            if decided.resume is not None:
                require_same(decided, built.data, folder)
                save_resumed_config(decided, folder)
            elif built.decisions and is_first_process():
                # So that a resume, or the same run again, decides nothing anew.
                write_text(folder.config, OmegaConf.to_yaml(decided, resolve=True))
            check_val(decided, built.data)
            distil(decided, built)
            if decided.compile:
                built.task.backbone.compile()
            values = OmegaConf.to_container(decided, resolve=True)
            tracker = instantiate(decided.logger, run_dir=folder.path, config=values)
            trainer = trainer_of(decided, built, folder, tracker, signals)
            if trainer.is_global_zero:
                timed = decided.trainer.max_time is not None and trainer.world_size == 1
                announce(decided, built, folder, tracker, measured=timed and not fixed_by(decided, built)[0])
            tuned = tune(decided, trainer, built, folder)
            probed = probe_first(tuned, trainer, built)
            final = fit_into_time(tuned, trainer, built, folder, began)
            fit(trainer, built, checkpoint, probed, ending)
            teacher = measure_teacher(final, trainer, built, folder)
            results = test(trainer, built, folder)
            if trainer.is_global_zero:
                folder.require()
                write_results(built, folder, tracker, results, compare_with_teacher(results, teacher, built))
            return results


def require_accelerator(name: str) -> None:
    """See that this machine has what ``trainer.accelerator`` names, before a folder is made or data is read.

    Raises:
        UserError: it has not.
    """
    from pytorch_lightning.accelerators import AcceleratorRegistry

    there = [each for each in AcceleratorRegistry if AcceleratorRegistry[each]["accelerator"].is_available()]
    there += ["gpu"] if {"cuda", "mps"} & set(there) else []
    if name not in ("auto", *there):
        raise UserError(f"trainer.accelerator={name}: there is none here; there are auto, {', '.join(there)}")


def find_folder(cfg: DictConfig) -> tuple[RunFolder, DictConfig]:
    """The folder of this run, the same in all its processes, and the config for it.

    A run that is to go on, and of which nothing was trained yet, begins anew in its folder: then ``resume`` is null.

    Raises:
        UserError: no such run, a folder that holds another one, or one with parts that lie elsewhere.
    """
    if cfg.resume is not None:
        folder = RunFolder.existing(cfg.resume)
        folder.check_parts()
        if not folder.nothing_trained:
            return folder, cfg
        cfg = cfg.copy()
        cfg.run_dir, cfg.resume = str(folder.path), None
    elif cfg.run_dir is not None:
        RunFolder(cfg.run_dir).check_parts()
    require_folder_beside_data(cfg)
    return RunFolder(shared_folder(lambda: RunFolder.create(cfg.task.name, cfg.run_dir).path)), cfg


def require_folder_beside_data(cfg: DictConfig) -> None:
    """See that what a run makes is not read as data by the next one.

    Raises:
        UserError: its folder lies in the data's, whose folders may be classes.
    """
    folder = Path(cfg.run_dir or Path("outputs") / cfg.task.name)
    for key in keys_of_parts(cfg, ["data.root"]) if cfg.resume is None else ():
        root, kind = OmegaConf.select(cfg, key), OmegaConf.select(cfg, key.replace("data.root", "task.kind"))
        in_folders = kind in ("class", "identity")  # that may stand in the names of folders
        if root and in_folders and folder.resolve().is_relative_to(Path(root).resolve()):
            raise UserError(
                f"run_dir={folder} lies in {key}={root}, whose folders are read as data: name one elsewhere"
            )


def prepare_folder(cfg: DictConfig, folder: RunFolder) -> None:
    """Remove what a kill left behind; a new run writes its config before anything else."""
    if not is_first_process():
        return
    if cfg.resume is not None:
        folder.tidy()
        return
    if folder.config.exists():
        print(f"{folder.path}: nothing was trained there, so the run starts anew", flush=True)
    folder.clear()
    write_text(folder.config, OmegaConf.to_yaml(cfg, resolve=True))


def tune_allocator() -> bool:
    """Serve large blocks from the heap and never shrink it; to be called before other processes are started.

    Returns:
        True where that worked; False, with nothing changed, where the C library is not glibc.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_M_MMAP_MAX, 0)) and bool(libc.mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT))


def checkpoint_to_start_from(cfg: DictConfig, folder: RunFolder) -> Path | None:
    """The checkpoint that a resumed run goes on from; None for a new one.

    Raises:
        UserError: none can be read, or it is already longer than the run is to be.
    """
    from mobilevision.tracking.checkpoint_files import newest_readable

    if cfg.resume is None:
        return None
    path, checkpoint = newest_readable(folder)
    begun, steps = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["ready"], checkpoint["global_step"]
    most = {"max_epochs": cfg.trainer.max_epochs or -1, "max_steps": cfg.trainer.max_steps}
    for key, done, unit in (("max_epochs", begun, "epochs"), ("max_steps", steps, "steps")):
        if isinstance(most[key], int) and 0 <= most[key] < done:
            raise UserError(
                f"trainer.{key}={most[key]}: {folder.path} is at {done} {unit} already: give {done} or more"
            )
    return path


def with_checkpoint_as_weights(cfg: DictConfig, checkpoint: Path | None) -> DictConfig:
    """A config for building a run that goes on: its checkpoint stands in for pretrained weights that are not here.

    They may have been moved or deleted since, or come from a hub; the checkpoint has all tensors anyway.
    """
    weights = cfg.backbone.get("weights") or cfg.head.get("weights")
    if checkpoint is None or weights is None or Path(weights).expanduser().exists():
        return cfg
    from mobilevision.io.tensor_files import read_checkpoint

    changed = cfg.copy()
    if changed.head.get("weights") is not None:
        changed.head.weights = None
    changed.backbone.weights = str(checkpoint)
    if "preset" in changed.backbone:
        OmegaConf.update(changed, "backbone.preset", dict(read_checkpoint(checkpoint)["mobilevision"]["preset"]))
    return changed


def save_resumed_config(cfg: DictConfig, folder: RunFolder) -> None:
    """Keep what a resume changed as the run's config, so that the next resume need not say it again."""
    before = OmegaConf.to_yaml(OmegaConf.create(offline(read_yaml(folder.config))))
    now = OmegaConf.to_yaml(OmegaConf.merge(cfg, {"resume": None}), resolve=True)
    if before == now or not is_first_process():
        return
    lines = [line.strip() for line in now.splitlines() if line not in before.splitlines()]
    longer = any(line.startswith(("max_epochs", "max_steps")) for line in lines)
    schedule = "; the learning-rate schedule is recomputed for the new length" if longer else ""
    print(f"resume: changed {', '.join(lines)}{schedule}", flush=True)
    write_text(folder.config, now)


def trainer_of(cfg: DictConfig, built: Built, folder: RunFolder, tracker: Any, signals: StopSignals) -> Trainer:
    """The run's ``Trainer`` with its callbacks; Lightning's own files, if any, go into the run folder."""
    from mobilevision.callbacks import Divergence, Freeze, LastCheckpoint, Randomness, SafeStop
    from mobilevision.engine.build import build_callbacks, make_trainer
    from mobilevision.tracking.checkpoint_files import AtomicCheckpointIO
    from mobilevision.training.time_budget import TimeEstimate

    callbacks = [Randomness(seed=cfg.seed), Divergence(), TimeEstimate(), *build_callbacks(cfg, built.task, folder)]
    if cfg.freeze.epochs or cfg.freeze.get("stages") or cfg.freeze.statistics or cfg.freeze.get("parts"):
        callbacks.append(Freeze(**cfg.freeze))
    callbacks.append(SafeStop(signals))
    # Last: what it saves is what all others made of the epoch.
    callbacks.sort(key=lambda callback: isinstance(callback, LastCheckpoint))
    node = cfg.trainer
    several = node.strategy == "ddp" or (node.strategy == "auto" and node.devices not in (1, "1"))
    # A frozen backbone has no gradients to add up, nor has the head of a part that a process's batch knows nothing of.
    idle = bool(cfg.freeze.epochs or names(cfg))
    unused = {"strategy": "ddp_find_unused_parameters_true"} if idle and several else {}
    return make_trainer(
        cfg,
        callbacks,
        checkpoints=True,
        logger=tracker,
        changes=unused,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=folder.path,
    )


def announce(cfg: DictConfig, built: Built, folder: RunFolder, tracker: Tracker, *, measured: bool) -> None:
    """Say what was composed, and keep it for the report.

    Args:
        cfg: the run's config.
        built: what was composed.
        folder: the run's.
        tracker: the run's.
        measured: whether the number of epochs is still to be found by timing steps.
    """
    from mobilevision.engine.info import note_resume, run_info
    from mobilevision.reports.summary import print_start
    from mobilevision.training.same_data import fingerprint

    info = run_info(cfg, built)
    if cfg.resume is None:
        of_splits = {split: fingerprint(built.data, split) for split, _ in built.data.splits.items()}
        of_data = {"data_fingerprint": fingerprint(built.data), "split_fingerprints": of_splits}
        write_json(folder.info_json, {**info, **of_data})
    else:
        note_resume(cfg, folder)
    if measured:  # the length that fits is said once it is known; two numbers would contradict each other
        info["decisions"] = [each for each in info["decisions"] if each["key"] != "trainer.max_epochs"]
    print_start(info, tracker.opening())


def probe_first(cfg: DictConfig, trainer: Trainer, built: Built) -> dict[str, float]:
    """Fit the head on frozen features before the first step, where ``probe.enabled`` says so; what val measures of it.

    Of several parts, each head that takes pooled features and nothing else: ``val/<part>/<metric>``. What all of them
    together reach is then not measured, and nothing competes for best.ckpt. A run that goes on has done that.
    """
    from mobilevision.training.probe import probe, probes

    if not cfg.probe.enabled or cfg.resume is not None:
        return {}
    if built.task.parts:
        frozen = set(cfg.freeze.get("parts") or ())
        there = [name for name, part in built.task.parts.items() if probes(part) and name not in frozen]
        if not there and not frozen:
            raise UserError("probe.enabled=true fits heads on pooled features; no part has such a one: leave it out")
        measured: dict[str, float] = {}
        for name in there:
            part = built.task.parts[name]
            values = probe(part_config(cfg, name), part, built.data.parts[name], trainer.strategy.root_device)
            for key, value in values.items():
                split, _, metric = key.partition("/")
                if metric != "loss":  # which would be one of the loss's parts
                    measured[f"{split}/{name}/{metric}"] = value
            if trainer.is_global_zero:
                reached = next(iter(each for key, each in values.items() if key.endswith(f"/{part.followed}")), 0.0)
                print(
                    f"probe: {name}/{part.followed} {reached:.4f} with a linear head on frozen features (epoch 0)",
                    flush=True,
                )
        return measured
    values = probe(cfg, built.task, built.data, trainer.strategy.root_device)
    if trainer.is_global_zero:
        primary = next((name for name in values if name.endswith(f"/{built.task.followed}")), "")
        print(f"probe: {primary} {values[primary]:.4f} with a linear head on frozen features (epoch 0)", flush=True)
    return values


def fixed_by(cfg: DictConfig, built: Built) -> tuple[str, str]:
    """Why the number of epochs may not be fitted into ``trainer.max_time``, and what to type so that it is."""
    if cfg.trainer.max_steps > 0:
        return "trainer.max_steps was set by hand", "without it, a length is chosen that fits"
    if cfg.resume is not None:
        return "a resumed run keeps its trainer.max_epochs", ""
    if all(each.key != "trainer.max_epochs" for each in built.decisions):
        why = "trainer.max_epochs was set, by hand or by the recipe"
        return why, "trainer.max_epochs=auto chooses a length that fits"
    return "", ""


def fit_into_time(cfg: DictConfig, trainer: Trainer, built: Built, folder: RunFolder, began: float) -> DictConfig:
    """With ``trainer.max_time``, choose a length that fits, where that is left to us, and end the run at its time.

    Args:
        cfg: of the run.
        trainer: of :func:`trainer_of`; it gets the number of epochs, and a callback that ends it.
        built: what is trained, on what.
        folder: the run's; its config is kept up to date.
        began: ``time.perf_counter()`` when the command began.

    Returns:
        The config with the length that was chosen.
    """
    from mobilevision.callbacks.progress import Progress
    from mobilevision.config.auto_settings import Decision
    from mobilevision.config.settings import seconds_of
    from mobilevision.engine.info import update_decisions
    from mobilevision.training.time_budget import TimeBudget, fitting_length

    if cfg.trainer.max_time is None:
        return cfg
    seconds = seconds_of(cfg.trainer.max_time)
    fixed, fix = fixed_by(cfg, built)
    usual = cfg.trainer.max_epochs or 1
    measured = not fixed and trainer.world_size == 1

    def take(epochs: int, batches: int | None = None) -> DictConfig:
        changed = cfg.copy()
        changed.trainer.max_epochs = epochs
        if batches is not None:
            changed.trainer.limit_train_batches = batches
        write_text(folder.config, OmegaConf.to_yaml(OmegaConf.merge(changed, {"resume": None}), resolve=True))
        return changed

    def shorten(epochs: int) -> None:
        take(epochs)
        update_decisions(folder, [Decision("trainer.max_epochs", epochs, "shortened to fit into trainer.max_time")])

    if measured:
        left = seconds - (time.perf_counter() - began)
        found = fitting_length(built, trainer.strategy.root_device, left=left, usual=usual)
        part = found.key == "trainer.limit_train_batches"
        cfg = take(1, found.value) if part else take(found.value)
        trainer.fit_loop.max_epochs = cfg.trainer.max_epochs
        trainer.limit_train_batches = cfg.trainer.limit_train_batches
        print(f"time: {found.why}", flush=True)
        one = [Decision("trainer.max_epochs", 1, "not even one fits into trainer.max_time")] if part else []
        update_decisions(folder, [*one, found])
    budget = TimeBudget(
        seconds=seconds, began=began, fixed=fixed, fix=fix, usual=usual, told=measured, shortened=shorten
    )
    for each in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(each, Progress):
            each.at_most = lambda: budget.left
    trainer.callbacks.insert(0, budget)  # type: ignore[attr-defined]
    return cfg


def fit(trainer: Trainer, built: Built, checkpoint: Path | None, measured: dict[str, float], ending: Ending) -> None:
    """Fit from the start, or from where the run was stopped.

    Args:
        trainer: of :func:`trainer_of`.
        built: what is trained, on what.
        checkpoint: where to go on from, or None.
        measured: of the model before its first step; empty where nobody measured it.
        ending: is told how far it came.
    """
    from mobilevision.callbacks import MeasuredStart

    if measured:
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, MeasuredStart):
                callback.measured_start(trainer, measured)
        if trainer.logger is not None:
            trainer.logger.log_metrics(measured, step=0)
    if checkpoint is not None:
        print(f"resume: from {checkpoint}", flush=True)
    try:
        with as_lines(workers=built.data.workers):
            trainer.fit(built.task, datamodule=built.data, ckpt_path=checkpoint, weights_only=True)
    finally:
        ending.step = trainer.global_step
    ending.trained = True


@contextmanager
def as_lines(*, workers: int) -> Iterator[None]:
    """Errors of Lightning and torch that say what the user asked too much of, as one line each.

    Args:
        workers: that load the data.

    Raises:
        UserError: values that fit their ranges, but not each other or this data.
    """
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    from mobilevision.data.workers import DEAD_WORKER, dead_worker

    try:
        yield
    except MisconfigurationException as error:
        raise UserError(f"trainer: {' '.join(str(error).split())}") from error
    except RuntimeError as error:
        if DEAD_WORKER in str(error):
            raise dead_worker(workers) from error
        raise
    except ValueError as error:
        if "more than 1 value per channel" in str(error):
            raise UserError(
                "a batch of one image leaves batch norm nothing to compare at this input side: data.batch_size=2 or"
                " more (a rest of one goes with data.drop_last=true), a larger data.resolution, or"
                " freeze.statistics=true"
            ) from error
        if "val_check_interval" in str(error):
            raise UserError(f"trainer.{' '.join(str(error).split()).strip('`')}".replace("`", "")) from error
        raise


def test(trainer: Trainer, built: Built, folder: RunFolder) -> dict[str, float]:
    """Measure the best weights on test, or on val where the data has no test; exact on any number of processes."""
    kept = [path for path in (folder.best, folder.last) if path.is_file()]
    path = kept[0] if kept else None  # checkpoints may be switched off: then the weights as they are now
    measure = trainer.validate if built.data.splits.test is None else trainer.test
    with as_lines(workers=built.data.workers):
        measured = measure(built.task, datamodule=built.data, ckpt_path=path, verbose=False, weights_only=True)
    return {name: float(value) for part in measured for name, value in part.items()}


@final
class Ending:
    """Knows how far a run came, and what to say where it breaks off.

    Args:
        folder: the run's.
        signals: of this process.

    Attributes:
        step: optimiser steps done.
        trained: whether only the test is left.
    """

    def __init__(self, folder: RunFolder, signals: StopSignals) -> None:
        self.folder, self.signals = folder, signals
        self.step = 0
        self.trained = False

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Turn what stops or breaks the run inside into one line.

        Raises:
            StoppedError: a signal.
            UserError: what the user can mend: a full disk, a folder that cannot be written, a process that was killed.
        """
        try:
            yield
        except (KeyboardInterrupt, SystemExit, DeadWorkerError) as error:
            broken = isinstance(error, DeadWorkerError)
            if broken and not self.signals.asked:
                raise
            if not is_first_process():  # the first one tells, and Lightning would kill it for another's failure
                sys.exit(0)
            raise StoppedError(self._stopped(broken=broken)) from error
        except UserError:
            raise
        except Exception as error:
            if line := self._broken(error):
                raise UserError(line) from error
            raise

    def _stopped(self, *, broken: bool) -> str:
        if not self.folder.path.is_dir():
            return f"stopped; {self.folder.path} is not there any more"
        if not self.folder.config.is_file():
            return "stopped before the run began; the same command begins it"
        if self.trained:
            return f"stopped when all was trained; {self.again} goes on with the test alone"
        if not self.folder.can_go_on:
            return f"stopped before there was a checkpoint; {self.again} starts anew"
        if broken:
            return f"stopped by a signal that ended a data worker, too; {self.again} goes on from the last checkpoint"
        return f"stopped at step {self.step}; {self.again} goes on exactly where it was"

    def _broken(self, error: Exception) -> str | None:
        if told := system_error(error, instead=str(self.folder.path)):
            return f"{told}; {self.again}"
        told = " ".join(str(error).lower().split())
        if isinstance(error, RuntimeError) and any(word in told for word in _LOST):
            return f"another process of this training has ended, so this one cannot go on: {self.again}"
        return None

    @property
    def again(self) -> str:
        """The argument that goes on with this run."""
        return f"resume={shlex.quote(str(self.folder.path))}"
