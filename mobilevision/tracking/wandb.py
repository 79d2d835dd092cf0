"""Weights & Biases: online where that works, else offline with the one command that sends it later."""

from __future__ import annotations

import logging
import netrc
import os
import secrets
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypedDict, final
from urllib.parse import urlsplit

from PIL import Image

from mobilevision.errors import UserError
from mobilevision.io.atomic_files import read_object, write_json
from mobilevision.tracking.run_folder import SWEEP, is_cross_validation
from mobilevision.tracking.tracker import Rows, SampleImage, Tracker

# Whether this user can log in to W&B, and in which mode a run therefore goes.

Mode = Literal["online", "offline", "disabled"]
_MODES: dict[str, Mode] = {"online": "online", "offline": "offline", "dryrun": "offline", "disabled": "disabled"}


def has_credential() -> bool:
    """Whether ``WANDB_API_KEY`` is set or a netrc file knows the W&B host (``WANDB_BASE_URL``, or the public one)."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    named = os.environ.get("NETRC")
    places = [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]
    return any(_knows(place, host) for place in places)


def choose_mode(wanted: str) -> Mode:
    """The mode of a run.

    ``auto`` takes what ``WANDB_MODE`` says, else online where there is a credential, else offline.

    Args:
        wanted: ``auto``, ``online`` or ``offline``.

    Raises:
        UserError: another word, here or in ``WANDB_MODE``, or online without a credential.
    """
    if wanted not in ("auto", "online", "offline"):
        raise UserError(f"logger.mode={wanted} does not exist: auto, online or offline")
    if wanted == "auto":
        word = os.environ.get("WANDB_MODE", "")
        if word and word not in _MODES:
            raise UserError(f"WANDB_MODE={word}: the variable says {', '.join(_MODES)}; unset it, or set one of these")
        given = _MODES.get(word)
        return given or ("online" if has_credential() else "offline")
    if wanted == "online" and not has_credential():
        raise UserError(
            "logger.mode=online needs a W&B login: run `wandb login` or set WANDB_API_KEY, or take logger.mode=offline"
        )
    return "online" if wanted == "online" else "offline"


def _knows(place: Path, host: str) -> bool:
    """An unreadable or malformed netrc counts as none."""
    try:
        return netrc.netrc(str(place)).hosts.get(host) is not None
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return False


# Starting W&B's client, and the id by which a run folder is known there.

STEP = "trainer/global_step"
_SECONDS = 12  # to reach the server; with what the client adds, a run starts within 15


def start(keys: Mapping[str, Any], mode: Mode) -> Any:
    """Start a W&B run with these arguments of ``wandb.init``; its x axis is the training step.

    Raises:
        Exception: whatever the client raises, such as for a server that is not reached in time.
    """
    import wandb

    # Said of images that are not all of one size, which nobody can do anything about.
    logging.getLogger().addFilter(_harmless)
    settings = wandb.Settings(console="off", init_timeout=_SECONDS, quiet=True, silent=True)
    # Only a server knows whether a run is there to be resumed; offline, sync joins what has one id.
    resume: Literal["allow"] | None = "allow" if mode == "online" else None
    run = wandb.init(**keys, mode=mode, resume=resume, settings=settings, reinit="finish_previous")
    run.define_metric(STEP)
    run.define_metric("*", step_metric=STEP, step_sync=True)
    return run


def _harmless(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Images sizes do not match")


def kept_id(folder: Path) -> str:
    """The id that this run folder has, or a new one, kept from now on; an agent of a sweep says which."""
    file = folder / "id"
    if file.is_file() and (known := file.read_text(encoding="utf-8").strip()):
        return known
    fresh = (_under_agent() and os.environ.get("WANDB_RUN_ID")) or secrets.token_hex(4)
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(fresh + "\n", encoding="utf-8")
    return fresh


PLACE = ("project", "entity", "name")
"""What says, beside its id, which W&B run it is."""


def kept_place(folder: Path) -> dict[str, str]:
    """Project, team and name of the W&B run that this run folder has; empty where none was started."""
    return {name: value for name, value in read_object(folder / "place.json").items() if name in PLACE and value}


def keep_place(folder: Path, place: Mapping[str, str | None]) -> None:
    """Keep them for whoever goes on with the run."""
    write_json(folder / "place.json", dict(place))


def _under_agent() -> bool:
    """Whether ``wandb agent`` started this process: the client then takes project, team and id from the sweep."""
    return bool(os.environ.get("WANDB_SWEEP_ID"))


def forget_failed_start() -> None:
    """End the client's service: it holds the id of a run that could not start as being in use."""
    with suppress(Exception):
        import wandb

        wandb.teardown()


def first_line(error: Exception) -> str:
    """What a user reads of an error of the client."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


_log = logging.getLogger(__name__)


_NOT_IN_PROJECTS = "/\\#?%:"  # what the client refuses


class WandbOptions(TypedDict, total=False):
    """Arguments of :class:`WandbTracker` that ``conf/logger/wandb.yaml`` states; it says what they mean."""

    project: str | None
    entity: str | None
    name: str | None
    group: str | None
    tags: Sequence[str]
    artifacts: bool


@final
class WandbTracker(Tracker):
    """Logs a run to W&B; its files lie in ``<run_dir>/wandb``.

    The W&B run's id, project, team and name are kept in ``<run_dir>/wandb``, so a resumed run goes on in the same W&B
    run, whatever the environment says by then. A server that
    cannot be reached turns the run offline; any later failure ends the tracking with one warning and no more.

    Args:
        run_dir: the run's folder.
        config: the composed configuration, sent as the run's config.
        mode: ``online``, ``offline`` or ``disabled``.
        pictures: whether sample images may be sent.
        project: W&B project; None takes ``WANDB_PROJECT``, else ``mobilevision``.
        entity: W&B user or team; None takes ``WANDB_ENTITY``, else the user's default.
        name: the run's name; None takes ``WANDB_NAME``, else the run folder's.
        group: W&B group; None takes the folder of the sweep, or of the cross-validation, that the run is part of.
        tags: W&B tags.
        artifacts: whether the best checkpoint is sent as a model artifact; of an offline run, with ``wandb sync``.

    Raises:
        UserError: a project that W&B does not take.
    """

    def __init__(
        self,
        *,
        run_dir: Path,
        config: Mapping[str, Any],
        mode: Mode,
        pictures: bool,
        project: str | None = None,
        entity: str | None = None,
        name: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        artifacts: bool = True,
    ) -> None:
        super().__init__()
        self.folder = run_dir / "wandb"
        known = kept_place(self.folder)
        self._project = project or known.get("project") or os.environ.get("WANDB_PROJECT") or "mobilevision"
        if odd := set(self._project) & set(_NOT_IN_PROJECTS):
            raise UserError(f"logger.project={self._project}: W&B takes no {' '.join(sorted(odd))} in it")
        self.id = kept_id(self.folder)
        self._images, self._artifacts = pictures, artifacts
        self._keys: dict[str, Any] = {
            "dir": str(run_dir),
            "id": self.id,
            "project": self._project,
            "entity": entity or known.get("entity") or os.environ.get("WANDB_ENTITY"),
            "name": name or known.get("name") or os.environ.get("WANDB_NAME") or run_dir.resolve().name,
            "group": group or _group_of(run_dir.resolve()),
            "tags": list(tags) or None,
            "config": dict(config),
        }
        if _under_agent():
            self._keys |= {"id": None, "project": None, "entity": None}
        self.mode: Mode = mode
        self._run: Any = None
        self._start()
        if not known and mode != "disabled":
            keep_place(self.folder, {each: self._keys[each] or getattr(self._run, each, None) for each in PLACE})

    def _start(self) -> None:
        """Start the run: if not online, then offline, and if that fails too, not at all."""
        if self.mode == "disabled":
            return
        try:
            self._run = start(self._keys, self.mode)
        except Exception as error:  # whatever the client throws: no network, a wrong key, a full disk
            if self.mode == "offline":
                self._give_up(error)
                return
            _log.warning("W&B cannot be reached (%s): this run is kept offline", first_line(error))
            self.mode = "offline"
            forget_failed_start()
            self._start()

    def _safely(self, action: Callable[[Any], object]) -> None:
        if self._run is None:
            return
        try:
            action(self._run)
        except Exception as error:  # a training must not die of its logbook
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._run = None
        _log.warning("W&B failed (%s): the run goes on without it", first_line(error))

    @property
    def name(self) -> str:
        """The project."""
        return self._project

    @property
    def version(self) -> str:
        """The W&B run's id."""
        return self.id

    @property
    def takes_images(self) -> bool:
        """Whether they may be sent, and there is somewhere to send them."""
        return self._images and self._run is not None

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send one point of every metric."""
        self._safely(lambda run: run.log({**metrics, STEP: step} if step is not None else dict(metrics)))

    def table(self, key: str, rows: Rows) -> None:
        """Send a table."""
        if rows:
            head = list(rows[0])
            data = [[row.get(name) for name in head] for row in rows]
            self._send(key, lambda wandb: wandb.Table(columns=head, data=data))

    def figure(self, key: str, image: Image.Image) -> None:
        """Send a chart."""
        self._send(key, lambda wandb: wandb.Image(image))

    def samples(self, key: str, pictures: Sequence[SampleImage], *, step: int | None = None) -> None:
        """Send sample images with their captions, if images may be sent."""
        if pictures and self._images:
            boxes = [row for p in pictures for rows in (p.outlines or {}).values() for row in rows]
            names = sorted({row["label"] for row in boxes})  # one number a class: the server has one legend for all
            self._send(
                key,
                lambda wandb: [
                    wandb.Image(str(p.plain or p.path), caption=p.caption, boxes=_boxes(p.outlines, names))
                    for p in pictures
                ],
                step,
            )

    def _send(self, key: str, make: Callable[[Any], object], step: int | None = None) -> None:
        """Log what ``make`` makes with the client's module."""

        def send(run: Any) -> None:
            import wandb

            run.log({key: make(wandb)} if step is None else {key: make(wandb), STEP: step})

        self._safely(send)

    def summary(self, values: Mapping[str, Any]) -> None:
        """Set values of the run's summary."""
        self._safely(lambda run: run.summary.update(dict(values)))

    def model(self, path: Path, metadata: Mapping[str, Any]) -> None:
        """Send the checkpoint as a model artifact, where that is wanted."""
        if not self._artifacts or not path.is_file():
            return

        def send(run: Any) -> None:
            from wandb import Artifact

            artifact = Artifact(f"{self._project}-{self.id}", type="model", metadata=dict(metadata))
            # Offline the file stays where it is, in the run folder, until it is sent; else the client copies it first.
            artifact.add_file(str(path), name=path.name, policy="immutable" if self.mode == "offline" else "mutable")
            run.log_artifact(artifact, aliases=["best", "latest"])

        self._safely(send)

    def opening(self) -> list[str]:
        """Where the run goes and what of it is sent."""
        if self._run is None:
            return ["W&B: off"]
        if self.mode == "offline":
            return [f"W&B: offline, kept in {self.folder}; nothing is sent"]
        sent = "config, command, host name, git commit, use of the machine, curves, tables, charts"
        sent += ", sample images" if self._images else " (no images: logger.pictures=true sends them)"
        sent += ", the best checkpoint" if self._artifacts else ""
        return [f"W&B: {self._run.url}", f"     sends {sent}; logger.mode=offline sends nothing"]

    def closing(self) -> list[str]:
        """End the run; what was kept offline can be sent with one command."""
        url = self._run.url if self._run is not None and self.mode == "online" else ""
        self._safely(lambda run: run.finish())
        if self._run is None:
            return []
        self._run = None
        if self.mode == "online":
            return [f"W&B: {url}"]
        return [f"W&B: offline; send it with  wandb sync {shlex.quote(str(self.folder))}/offline-run-*"]


def _group_of(run_dir: Path) -> str | None:
    """The name of the folder of the sweep or of the cross-validation around a run."""
    above = run_dir.parent
    return above.name if (above / SWEEP).is_file() or is_cross_validation(above) else None


def _boxes(outlines: Mapping[str, Rows] | None, names: Sequence[str]) -> dict[str, Any] | None:
    """Outlines as W&B takes them: its own boxes, which can be switched and filtered there."""
    if not outlines:
        return None
    return {
        layer: {"box_data": [_box(row, names) for row in rows], "class_labels": dict(enumerate(names))}
        for layer, rows in outlines.items()
        if rows
    }


def _box(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    left, top, right, bottom = (float(value) for value in row["box"])
    position = {"minX": left, "minY": top, "maxX": right, "maxY": bottom}
    box = {"position": position, "domain": "pixel", "class_id": names.index(row["label"]), "box_caption": row["label"]}
    if "score" in row:
        box |= {"box_caption": f"{row['label']} {row['score']:.2f}", "scores": {"score": float(row["score"])}}
    return box
