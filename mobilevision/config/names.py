"""The right name beside a wrong one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

OTHER_TOOLS: dict[str, str] = {
    **dict.fromkeys(("epochs", "num_epochs", "n_epochs", "train_epochs"), "trainer.max_epochs"),
    **dict.fromkeys(("steps", "max_iter", "iterations"), "trainer.max_steps"),
    **dict.fromkeys(("time", "max_time"), "trainer.max_time"),
    **dict.fromkeys(("batch", "bs", "b", "batch_size"), "data.batch_size"),
    **dict.fromkeys(("workers", "num_workers"), "data.workers"),
    **dict.fromkeys(("imgsz", "img_size", "image_size", "input_size", "crop_size", "size"), "data.resolution"),
    **dict.fromkeys(("dataset", "data_dir", "data_path", "path", "root"), "data.root"),
    **dict.fromkeys(("val_split", "validation_split"), "data.val_fraction"),
    **dict.fromkeys(("lr", "lr0", "learning_rate", "base_lr"), "optimizer.lr"),
    **dict.fromkeys(("wd", "decay"), "optimizer.weight_decay"),
    **dict.fromkeys(("opt", "optim"), "optimizer=adamw, sgd or rmsprop"),
    **dict.fromkeys(("sched", "lr_scheduler", "cos_lr"), "scheduler=cosine or another of --help"),
    **dict.fromkeys(("alpha", "width", "width_mult", "width_multiple"), "backbone.width"),
    **dict.fromkeys(("pretrained", "weights"), "backbone.weights=timm"),
    **dict.fromkeys(
        ("model", "arch", "architecture", "net", "network"),
        "backbone=mobilenet_v2 or another of --help, or backbone=timm backbone.name=resnet18",
    ),
    **dict.fromkeys(("gpu", "gpus", "device"), "trainer=gpu (with trainer.devices=2 for two) or trainer=cpu"),
    **dict.fromkeys(("amp", "half", "fp16", "bf16", "precision"), "trainer.precision=16-mixed or bf16-mixed"),
    **dict.fromkeys(("accumulate", "grad_accum_steps", "accum_iter"), "trainer.accumulate_grad_batches"),
    **dict.fromkeys(("clip_grad", "clip_grad_norm"), "trainer.gradient_clip_val"),
    **dict.fromkeys(("ckpt", "checkpoint", "ckpt_path"), "resume=RUN to go on, backbone.weights=RUN to start from it"),
    **dict.fromkeys(("output", "out", "output_dir", "save_dir", "work_dir", "name"), "run_dir"),
    **dict.fromkeys(("num_classes", "nc", "classes"), "left out: the data says how many classes there are"),
    **dict.fromkeys(("auto_augment", "aa"), "augment.rand_augment"),
    **dict.fromkeys(("random_erase", "reprob"), "augment.erasing"),
    **dict.fromkeys(("val", "test_only", "evaluate", "eval"), "`mobilevision evaluate RUN`"),
    **dict.fromkeys(("save_txt", "save_conf"), "`mobilevision predict RUN IMAGES --annotations yolo`"),
    **dict.fromkeys(("source", "predict"), "`mobilevision predict RUN IMAGES`"),
    **dict.fromkeys(("log_wandb", "use_wandb"), "logger=wandb, the default"),
    "project": "run_dir=FOLDER, or for W&B logger.project=NAME",
    "cfg_options": "the keys themselves, as in data.batch_size=16",
    "model_ema": "callbacks.ema.enabled=true",
    "mosaic": "augment=mosaic",
    "drop_path": "backbone.drop_path",
    "freeze": "freeze.stages=3, or freeze.epochs=5 for some epochs",
    "patience": "callbacks.early_stopping.enabled=true callbacks.early_stopping.patience=5",
    "ema": "callbacks.ema.enabled",
    "smoothing": "loss.label_smoothing",
    "drop": "head.dropout",
    "iou": "head.nms",
    "conf": "`mobilevision predict RUN IMAGES --threshold 0.3`; of a training's detections, head.score_threshold",
}
"""What other tools (ultralytics, timm, MMDetection ...) call it -> the key here, or what to type instead."""

OTHER_FLAGS: dict[str, str] = {
    **dict.fromkeys(("conf", "conf_thres", "confidence", "score_thr", "min_score"), "--threshold 0.3"),
    **dict.fromkeys(("iou", "iou_thres", "nms"), "head.nms, set when it is trained"),
    **dict.fromkeys(("source", "input", "images", "img"), "an argument without a flag, after the run"),
    **dict.fromkeys(("weights", "model", "ckpt", "checkpoint"), "the run folder, the first argument, without a flag"),
    **dict.fromkeys(("save_txt", "save_conf"), "--annotations yolo"),
    **dict.fromkeys(("project", "output", "out_dir", "output_dir", "save_dir"), "--out FOLDER"),
    **dict.fromkeys(("gpu", "gpus", "cpu"), "--device cuda or --device cpu"),
    **dict.fromkeys(("batch", "bs"), "--batch-size 8"),
    **dict.fromkeys(("slice", "slice_size", "sahi"), "--tiles 640"),
}
"""What other tools call an option of a command -> what to type instead."""

_LISTED = 40  # names that a message can list and still be read
_SEVERAL = 2  # places of one name that are worth proposing


def did_you_mean(wrong: str, right: Iterable[str]) -> str:
    """A message's ending: the nearest name, or else the names there are."""
    names = list(dict.fromkeys(right))
    near = get_close_matches(wrong, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    if not names:
        return ""
    return f"; there are: {', '.join(names[:_LISTED])}{' ...' if len(names) > _LISTED else ''}"


def nearest_key(wrong: str, keys: Iterable[str]) -> str:
    """As :func:`did_you_mean` for dotted keys: the same name elsewhere, a like name at the same place, a like key."""
    known = [key for key in keys if not wrong.startswith(f"{key}.")]
    parent, _, leaf = wrong.rpartition(".")
    foreign = bool(parent) and not any(key.startswith(f"{wrong.partition('.')[0]}.") for key in known)
    ours = OTHER_TOOLS.get(leaf if foreign else wrong)
    if ours is not None and ("=" in ours or " " in ours):
        return f"; here it is {ours}"
    if ours in known:
        return f"; did you mean {ours}?"
    if not leaf.startswith("_"):  # _target_ is nobody's slip of the pen
        known = [key for key in known if not key.rpartition(".")[2].startswith("_")]
    beside = [key.rpartition(".")[2] for key in known if key.rpartition(".")[0] == parent]
    near = get_close_matches(leaf, beside, n=1, cutoff=0.7)
    if near:
        return f"; did you mean {parent + '.' if parent else ''}{near[0]}?"
    elsewhere = [key for key in known if key.rpartition(".")[2] == leaf]
    if 0 < len(elsewhere) <= _SEVERAL:
        return f"; did you mean {' or '.join(elsewhere)}?"
    if parent and parent not in known and all(key.rpartition(".")[0] != parent for key in known):
        return nearest_key(parent, known)
    like = get_close_matches(wrong, known, n=1, cutoff=0.7)
    leaves = get_close_matches(leaf, {key.rpartition(".")[2] for key in known}, n=1, cutoff=0.8)
    like = like or [key for key in known if leaves and key.rpartition(".")[2] == leaves[0]]
    if like:
        return f"; did you mean {like[0]}?"
    beside = [name for name in beside if not name.startswith("_")]
    return f"; {parent or 'the top'} has: {', '.join(beside[:_LISTED])}" if beside else ""
