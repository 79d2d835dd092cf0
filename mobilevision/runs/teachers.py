"""From ``distill.teacher`` to a teacher: a run, a checkpoint, a timm model, a table of outputs; or one trained now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mobilevision.errors import UserError
from mobilevision.runs.first_run import named, one_device, trained
from mobilevision.runs.folder import RunFolder

if TYPE_CHECKING:
    from mobilevision.data import Records
    from mobilevision.distill import Teacher

AUTO = "auto"
_PREFIX = "timm:"
_TABLES = (".csv", ".tsv", ".txt")
_OF_LENGTH = ("max_epochs", "max_steps", "limit_train_batches")


def find_teacher(cfg: DictConfig, records: Records, *, emits: Any) -> Teacher:
    """The teacher that ``distill.teacher`` names.

    Args:
        cfg: the student's config.
        records: the samples to be taught; a table is matched with them by path.
        emits: what the outputs of the student's task are.

    Raises:
        UserError: nothing of that name, or something that cannot teach this student.
    """
    given = str(cfg.distill.teacher)
    path = Path(given).expanduser()
    if given.startswith(_PREFIX):
        return of_timm(given.removeprefix(_PREFIX), int(cfg.data.channels))
    if path.suffix.lower() in _TABLES:
        from mobilevision.runs.teacher_table import of_table

        return of_table(path, records, emits=emits)
    if path.suffix == ".ckpt":
        if not path.is_file() or path.stem not in ("best", "last"):
            raise UserError(f"distill.teacher={given}: give best.ckpt or last.ckpt of a run, where they lie in it")
        return of_run(path.parent.parent, cfg, which=path.stem)
    if path.is_dir():
        return of_run(path, cfg)
    if (named := _timm_name(given)) is not None:
        return of_timm(named, int(cfg.data.channels))
    raise UserError(
        f"distill.teacher={given}: no such run folder, checkpoint or table, and no model of timm's (timm:NAME)"
    )


def of_run(path: Path, cfg: DictConfig, *, which: Any = "best") -> Teacher:
    """A run of ours as a teacher.

    Raises:
        UserError: no run, one that was broken off, or one of another task or other channels.
    """
    from mobilevision.distill import ModelTeacher
    from mobilevision.runs.restore import load_run

    folder = RunFolder(path)
    if not folder.metrics_json.is_file() and folder.config.is_file():
        raise UserError(f"distill.teacher={path}: this run has not come to its end; resume={path} brings it there")
    only_last = which == "best" and not folder.best.is_file() and folder.last.is_file()
    restored = load_run(path, which="last" if only_last else which)
    spec = restored.task.data_spec
    compares = cfg.distill["_target_"].rpartition(".")[2] not in ("Embeddings", "FeatureMaps")
    if compares and spec.kind != cfg.task.kind:
        raise UserError(
            f"distill.teacher={path}: it was trained for {restored.cfg.task.name}, which learns from {spec.kind};"
            f" the student, {cfg.task.name}, learns from {cfg.task.kind}"
        )
    if spec.channels != cfg.data.channels:
        raise UserError(
            f"distill.teacher={path}: it looks at pictures of {spec.channels} channels, the student at"
            f" {cfg.data.channels}: set data.channels={spec.channels}"
        )
    task = restored.task
    return ModelTeacher(
        backbone=task.backbone, head=task.head, resolution=spec.resolution, classes=spec.classes, name=str(path)
    )


def of_timm(name: str, channels: int) -> Teacher:
    """A timm model with its own classifier; ImageNet's classes go by their first names.

    Raises:
        UserError: no such model, or one whose weights bring no classifier.
    """
    from mobilevision.backbones import timm_backbone
    from mobilevision.distill import ModelTeacher
    from mobilevision.heads import LinearHead
    from mobilevision.spec import DataSpec

    backbone = timm_backbone(name=name, weights="timm", channels=channels)
    if backbone.classifier is None:
        raise UserError(f"distill.teacher={_PREFIX}{name}: its weights bring no classifier that could teach")
    weight, bias = backbone.classifier
    side = backbone.preset.side
    spec = DataSpec("class", _imagenet(len(bias)), channels, (side, side))
    head = LinearHead(backbone=backbone.spec, data=spec)
    head.load_classifier(weight, bias)
    return ModelTeacher(
        backbone=backbone, head=head, resolution=(side, side), classes=spec.classes, name=f"{_PREFIX}{name}"
    )


def _imagenet(count: int) -> tuple[str, ...]:
    """Names of timm's classes: ImageNet's, as ``data=imagenet`` names them, else numbers."""
    from collections import Counter

    from timm.data import ImageNetInfo

    if count != 1000:
        return tuple(str(number) for number in range(count))
    info = ImageNetInfo()
    wnids = info.label_names()
    plain = [info.label_name_to_description(wnid).split(",")[0].strip() for wnid in wnids]
    often = Counter(plain)
    return tuple(f"{name} {wnid}" if often[name] > 1 else name for name, wnid in zip(plain, wnids, strict=True))


def _timm_name(given: str) -> str | None:
    import timm

    return given if "/" not in given and timm.is_model(given.partition(".")[0]) else None


def settle(cfg: DictConfig) -> DictConfig:
    """With ``distill.teacher=auto``, train that teacher, or find it trained, and name it instead.

    It is a run of its own in ``outputs/teachers``: the student's config without distillation and unlabelled pictures,
    with a backbone of ``distill.auto_width``. One that was broken off goes on; one that is done is used again.

    Raises:
        UserError: the backbone has no width, or none to spare; or several processes.
    """
    if cfg.get("distill") is None or cfg.distill.teacher != AUTO:
        return cfg
    wide, width = cfg.distill.auto_width, cfg.backbone.get("width")
    if width is None or not width < wide:
        have = "has no width" if width is None else f"has width {width:g}"
        raise UserError(
            f"distill.teacher=auto trains the student's backbone at width {wide:g} first, and the student's {have}:"
            " choose a narrower backbone, or name a teacher with distill.teacher=RUN"
        )
    if not one_device(cfg):
        raise UserError("distill.teacher=auto trains on one device: train the teacher first and name its run")
    begins = f"width {wide:g}, trained first"
    folder = trained(teacher_config(cfg), who="teacher", begins=begins, then="the student")
    settled = cfg.copy()
    OmegaConf.update(settled, "distill.teacher", str(folder.path))
    return settled


def teacher_config(cfg: DictConfig) -> DictConfig:
    """The config of the teacher that ``auto`` trains; its folder is named by what it is."""
    values: Any = OmegaConf.to_container(cfg, resolve=True)
    wide = values["distill"]["auto_width"]
    values |= {"distill": None, "resume": None}
    values["backbone"]["width"] = wide
    values["data"]["unlabelled"] = None
    return named(values, "teachers", trainer={key: values["trainer"][key] for key in _OF_LENGTH})
