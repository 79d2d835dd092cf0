"""Weights & Biases: online where that works, else offline with the one command that sends it later."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

from PIL import Image

from mobilevision.runs.loggers.credential import Mode
from mobilevision.runs.loggers.tracker import Rows, SamplePicture, Tracker
from mobilevision.runs.loggers.wandb_client import STEP, first_line, forget_failed_start, kept_id, start

_log = logging.getLogger(__name__)


@final
class WandbTracker(Tracker):
    """Logs a run to W&B; its files lie in ``<run_dir>/wandb``.

    The W&B run's id is kept in ``<run_dir>/wandb/id``, so a resumed run goes on in the same W&B run. A server that
    cannot be reached turns the run offline; any later failure ends the tracking with one warning and no more.

    Args:
        run_dir: the run's folder.
        config: the composed configuration, sent as the run's config.
        mode: ``online``, ``offline`` or ``disabled``.
        project: W&B project.
        entity: W&B user or team; None is the user's default.
        name: the run's name; None takes the run folder's.
        tags: W&B tags.
        pictures: whether sample pictures may be sent.
        artifacts: whether the best checkpoint is sent as a model artifact (online only).
    """

    def __init__(
        self,
        *,
        run_dir: Path,
        config: Mapping[str, Any],
        mode: Mode,
        project: str,
        entity: str | None,
        name: str | None,
        tags: Sequence[str],
        pictures: bool,
        artifacts: bool,
    ) -> None:
        super().__init__()
        self.folder = run_dir / "wandb"
        self.id = kept_id(self.folder)
        self._project, self._pictures, self._artifacts = project, pictures, artifacts
        self._keys: dict[str, Any] = {
            "dir": str(run_dir),
            "id": self.id,
            "project": project,
            "entity": entity,
            "name": name or run_dir.resolve().name,
            "tags": list(tags) or None,
            "config": dict(config),
        }
        self.mode: Mode = mode
        self._run: Any = None
        self._start()

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

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send one point of every metric."""
        self._safely(lambda run: run.log({**metrics, STEP: step} if step is not None else dict(metrics)))

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the whole configuration was sent at the start."""

    def table(self, key: str, rows: Rows) -> None:
        """Send a table."""

        def send(run: Any) -> None:
            from wandb import Table

            head: list[str | int] = list(rows[0])
            run.log({key: Table(columns=head, data=[[row.get(str(name)) for name in head] for row in rows])})

        if rows:
            self._safely(send)

    def figure(self, key: str, picture: Image.Image) -> None:
        """Send a chart."""

        def send(run: Any) -> None:
            from wandb import Image as WandbImage

            run.log({key: WandbImage(picture)})

        self._safely(send)

    def samples(self, key: str, pictures: Sequence[SamplePicture]) -> None:
        """Send sample pictures with their captions, if pictures may be sent."""

        def send(run: Any) -> None:
            from wandb import Image as WandbImage

            run.log(
                {
                    key: [
                        WandbImage(str(p.plain or p.path), caption=p.caption, boxes=_boxes(p.outlines))
                        for p in pictures
                    ]
                }
            )

        if pictures and self._pictures:
            self._safely(send)

    def summary(self, values: Mapping[str, Any]) -> None:
        """Set values of the run's summary."""
        self._safely(lambda run: run.summary.update(dict(values)))

    def model(self, path: Path, metadata: Mapping[str, Any]) -> None:
        """Send the checkpoint as a model artifact, when online and wanted."""
        if self.mode != "online" or not self._artifacts or not path.is_file():
            return

        def send(run: Any) -> None:
            from wandb import Artifact

            artifact = Artifact(f"{self._project}-{self.id}", type="model", metadata=dict(metadata))
            artifact.add_file(str(path), name=path.name)
            run.log_artifact(artifact, aliases=["best", "latest"])

        self._safely(send)

    def opening(self) -> list[str]:
        """Where the run goes and what of it is sent."""
        if self._run is None:
            return ["W&B: off"]
        if self.mode == "offline":
            return [f"W&B: offline, kept in {self.folder}; nothing is sent"]
        sent = "config, command, host name, git commit, curves, tables, charts"
        sent += ", sample pictures" if self._pictures else " (no pictures: logger.pictures=true sends them)"
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


def _boxes(outlines: Mapping[str, Rows] | None) -> dict[str, Any] | None:
    """Outlines as W&B takes them: its own boxes, which can be switched and filtered there."""
    if not outlines:
        return None
    names = sorted({row["label"] for rows in outlines.values() for row in rows})
    return {
        layer: {"box_data": [_box(row, names) for row in rows], "class_labels": dict(enumerate(names))}
        for layer, rows in outlines.items()
        if rows
    }


def _box(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    left, top, right, bottom = (float(value) for value in row["box"])
    said = f"{row['label']} {row['score']:.2f}" if "score" in row else row["label"]
    scores = {"score": float(row["score"])} if "score" in row else {}
    position = {"minX": left, "minY": top, "maxX": right, "maxY": bottom}
    box = {"position": position, "domain": "pixel", "class_id": names.index(row["label"]), "box_caption": said}
    return box | ({"scores": scores} if scores else {})
