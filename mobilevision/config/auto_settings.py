"""Settings that are ``auto``: decided from the data, the weights and the machine once the data's index is read.

Every rule stands here, one function a key, over the same few :class:`Facts`. A key that was set by hand is not touched,
and rules that build on another key (the length on the batch size) read its value, decided or given. What was decided is
written into the run's config.yaml, so that a run can be repeated and resumed without deciding again.

Why these rules: docs/training.md has the table, the papers and what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mobilevision.ops.imbalance import imbalance

if TYPE_CHECKING:
    from mobilevision.backbones import Backbone
    from mobilevision.data import DataModule

AUTO = "auto"

FEW_IMAGES = 100
"""Training images a class, on average, up to which pretrained batch statistics are better than the data's own."""
FULL_RATE_IMAGES = 125
"""Training images a class from which on the optimizer's whole rate for pretrained weights is safe."""
PROBED_IMAGES = 50_000
"""Training images above which an epoch teaches the head as well as a fit on frozen features, a third of its time."""
PROBED_PRODUCTS = 1e10
"""Images times features times classes above which the fit itself takes minutes."""
FEW_IDENTITY_IMAGES = 5_000
"""Training images up to which an embedding is the pooled features themselves."""
SMALL_BOX = 24
"""Pixels of the input: a box whose mean side is below it covers too little of a map of stride 16."""
SMALL_BOX_SHARE = 0.15
"""Share of small boxes (of all, or of one class) from which on a map of stride 8 is worth its time."""
BOX_IMAGES = 500
"""Training images, evenly spread, whose boxes are measured: each one's size may have to be read from its file."""
CPU_ACTIVATIONS = 2 * 2**30
"""Bytes of activations that a training step may keep on a CPU; the process itself takes about 1 GiB more."""
GPU_SHARE = 0.5
"""Share of a GPU's memory that activations may take."""
PRETRAINED_ADVISED_IMAGES = 1_000
"""Training images up to which random weights are worth a word."""
SEEN_OFTEN = 30
"""Epochs from which on a network has seen the same images so often that they have to differ each time."""
MOST_STEPS = 100_000
"""Optimizer steps that fine-tuning takes at most."""
LONG_TRAINING = 20_000
"""Optimizer steps from which on a training is long."""
UNBALANCED = 3.0
"""Samples of the largest class over those of the smallest from which on classes are weighed."""


FEW_TOGETHER = 5_000
"""Images of several sets up to which batch norm keeps the statistics of pretrained weights; more were not tried."""
HELD_SHARE = 0.2
"""Of the usual rate of pretrained weights, what a backbone under new heads bears whose statistics stand still."""


@dataclass(frozen=True)
class Facts:
    """What the rules look at.

    Attributes:
        kind: what is learnt from: class, attributes, identity, coordinate, boxes, or a plugin's own.
        samples: training images.
        classes: classes, or attributes; 0 where the kind has none.
        counts: training samples (boxes for ``boxes``) a class; empty where that says nothing.
        pretrained: whether the backbone has pretrained weights.
        probes: whether the head can be fitted alone, on pooled features.
        head_from_scratch: whether the head learns as from random weights (``Head.learns_from_scratch``).
        image_bytes: activations that the backbone keeps of one image for the backward pass, in float32.
        memory: bytes that all activations of a step may take.
        processes: processes that train together.
        input_side: shorter side of the input, pixels.
        primary: the task's primary metric.
        features: length of the backbone's pooled vector.
        strides: strides at which the backbone has feature maps.
        box_sides: mean sides (square root of the area) of training boxes by class, in pixels of the input.
        parts: the same by part, where several tasks are trained together.
    """

    kind: str
    samples: int
    classes: int = 0
    counts: tuple[int, ...] = ()
    pretrained: bool = False
    probes: bool = False
    head_from_scratch: bool = False
    image_bytes: int = 0
    memory: int = CPU_ACTIVATIONS
    processes: int = 1
    primary: str = ""
    features: int = 0
    input_side: int = 0
    strides: tuple[int, ...] = ()
    box_sides: Mapping[int, tuple[float, ...]] | None = None
    parts: Mapping[str, Facts] = field(default_factory=dict)

    @property
    def apart(self) -> bool:
        """Whether several tasks learn from images of which no task knows all: from several sets."""
        return bool(self.parts) and max(part.samples for part in self.parts.values()) < self.samples

    @property
    def images_a_class(self) -> float:
        """On average; all images where there are no classes."""
        return self.samples / max(self.classes, 1) if self.kind in ("class", "coordinate") else float(self.samples)

    @property
    def counted(self) -> str:
        """:attr:`images_a_class` in words."""
        a_class = " a class on average" if self.kind in ("class", "coordinate") else ""
        return f"{self.images_a_class:,.0f} images{a_class}"

    @property
    def little(self) -> bool:
        """Whether this is fine-tuning of a classifier on few images."""
        return self.pretrained and self.probes and self.images_a_class <= FEW_IMAGES


@dataclass(frozen=True)
class Decision:
    """One key that was ``auto``.

    Attributes:
        key: dotted.
        value: what it is now.
        why: in a few words; empty where it is what everyone expects, so that nobody needs to be told.
    """

    key: str
    value: Any
    why: str

    def __str__(self) -> str:
        return f"{self.key}={shown(self.value)}: {self.why}"


Chosen = Callable[[str], Any]
"""Gives the value of another key: set by hand or decided before."""

Rule = Callable[[Facts, Chosen], tuple[Any, str]]


def batch_size(facts: Facts, chosen: Chosen) -> tuple[int, str]:
    """Small for few images, so that an epoch has some steps; never more than memory takes."""
    size, why = 16 if facts.kind == "boxes" else 32 if facts.samples < 20_000 else 64, f"{facts.samples:,} images"
    if facts.parts:
        alone = {name: batch_size(part, chosen)[0] for name, part in facts.parts.items()}
        shares = {name: part.samples / max(facts.samples, 1) for name, part in facts.parts.items()}
        size = max(8, int(min(alone[name] / max(share, 1e-9) for name, share in shares.items())) // 8 * 8)
        why = f"{facts.samples:,} images; batches that the parts would take alone: {_listed(alone)}"
    fewest = 32 if facts.kind == "identity" else 8  # an identity is compared with others of its batch
    while size > fewest and facts.samples < 6 * size * facts.processes:
        size //= 2
        why = f"{facts.samples:,} images: at least six steps an epoch"
    if size == fewest and facts.samples < 6 * size * facts.processes:
        others = ", for an identity is compared with others of its batch" if facts.kind == "identity" else ""
        why = f"{facts.samples:,} images: {fewest} is the smallest that is taken{others}"
    if size * facts.image_bytes > facts.memory:
        fit = facts.memory // facts.image_bytes
        size = fit // 8 * 8 if fit >= 8 else 4 if fit >= 4 else 2
        why = f"{size} images keep {size * facts.image_bytes / 2**30:.1f} GiB of activations"
    return size, why


def max_epochs(facts: Facts, chosen: Chosen) -> tuple[int, str]:
    """As many steps as learning takes, whatever the size of the set: a floor and a ceiling in steps, told in epochs."""
    steps_an_epoch = _steps_an_epoch(facts, chosen)
    if (most := chosen("trainer.max_steps")) > 0:
        return math.ceil(most / steps_an_epoch), f"trainer.max_steps={most}"
    if facts.parts:
        return _epochs_of_parts(facts, chosen, steps_an_epoch)
    epochs, floor, ceiling, what = _length(facts)
    wanted = max(epochs, math.ceil(floor / steps_an_epoch))
    found = max(1, min(wanted, ceiling // steps_an_epoch))
    total = found * steps_an_epoch
    bound = f"{epochs} epochs are usual"
    if found != epochs:
        bound = f"at least {floor:,} are taken" if found > epochs else f"at most {ceiling:,} are taken"
    return found, f"{what}: {total:,} step{'s' * (total > 1)}, {steps_an_epoch:,} an epoch; {bound}"


def _epochs_of_parts(facts: Facts, chosen: Chosen, steps_an_epoch: int) -> tuple[int, str]:
    """As often as the parts would see their images alone, on average over their images: they share every step."""

    def epochs_alone(part: Facts) -> int:
        size, _ = batch_size(part, chosen)
        return max_epochs(part, lambda key: size if key == "data.batch_size" else chosen(key))[0]

    alone = {name: epochs_alone(part) for name, part in facts.parts.items()}
    images = {name: max(part.samples, 1) for name, part in facts.parts.items()}
    mean = sum(alone[name] * count for name, count in images.items()) / sum(images.values())
    found = max(1, min(round(mean), MOST_STEPS // steps_an_epoch))
    return found, (
        f"{found * steps_an_epoch:,} steps, {steps_an_epoch:,} an epoch; epochs of its own images that each part would"
        f" take alone: {_listed(alone)}"
    )


def _listed(values: Mapping[str, int]) -> str:
    """A number by part, in words."""
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _length(facts: Facts) -> tuple[int, int, int, str]:
    """Epochs, the fewest and the most steps, and what for."""
    if not facts.pretrained:
        few = facts.samples <= PRETRAINED_ADVISED_IMAGES
        advice = " (so few images teach more over pretrained ones: backbone.weights=timm, or a file)" if few else ""
        return 10, 1_000, 300_000, f"random weights{advice}"
    if facts.kind == "boxes":
        return 12, 240, MOST_STEPS, "pretrained weights, boxes"
    if facts.kind == "attributes":
        return 10, 450, MOST_STEPS, "pretrained weights, attributes"
    if facts.little:
        return 12, 90, MOST_STEPS, "pretrained weights, few images"
    return 6, 200, MOST_STEPS, "pretrained weights"


def _steps_an_epoch(facts: Facts, chosen: Chosen) -> int:
    batches: int = facts.samples // (chosen("data.batch_size") * facts.processes)
    accumulated: int = chosen("trainer.accumulate_grad_batches")
    return max(1, batches // max(1, accumulated))


def learning_rate(facts: Facts, chosen: Chosen) -> tuple[float | None, str]:
    """The optimizer's own rate for random or for pretrained weights, less where few images would wash them away."""
    scratch, rate = chosen("optimizer.scratch_lr"), chosen("optimizer.pretrained_lr")
    if (scratch if not facts.pretrained else rate) is None:
        return None, "the optimizer's own: it names none for such weights"
    if not facts.pretrained:
        return scratch, "random weights"
    if facts.kind == "boxes" and chosen("head.weights") is not None:
        return rate, "a pretrained detector"
    if facts.head_from_scratch and scratch is not None:
        return scratch, "the head's own layers are many and start from random"
    if facts.kind == "boxes":
        return 2 * rate, "pretrained weights; a detector's layers start from random"
    if facts.kind == "multitask":
        return 2 * rate, "pretrained weights; heads that learn start from random"
    if facts.kind == "attributes":
        return 4 * rate, "pretrained weights; many questions share each image"
    if facts.kind == "identity":
        return 4 * rate, "pretrained weights; distances between images change slowly"
    share = min(1.0, facts.images_a_class / FULL_RATE_IMAGES)
    if share == 1.0 or not chosen("probe.enabled"):  # a head from random weights needs the whole rate
        return rate, "pretrained weights"
    why = f"pretrained weights, {facts.counted}; the whole rate from {FULL_RATE_IMAGES} on"
    return float(f"{share * rate:.2g}"), why


def backbone_rate(facts: Facts, chosen: Chosen) -> tuple[float, str]:
    """Pretrained weights keep twice their own rate under a head that learns as from random weights."""
    if not facts.pretrained:
        return 1.0, "random weights: one rate for all layers"
    if chosen("tune.learning_rate"):
        return 1.0, "the rate that is found is for all layers"
    rate, usual = chosen("optimizer.lr"), chosen("optimizer.pretrained_lr")
    if facts.parts and chosen("freeze.statistics") is True and rate is not None and usual is not None:
        most = HELD_SHARE * usual
        if rate > most:
            return float(f"{most / rate:.2g}"), f"statistics stand still: pretrained weights learn at {most:g} at most"
    if not facts.head_from_scratch or rate is None or usual is None or rate <= (most := 2 * usual):
        return 1.0, "one rate for all layers"
    return float(f"{most / rate:.2g}"), f"pretrained weights learn at {most:g} at most"


def part_rate(facts: Facts, chosen: Chosen) -> tuple[float, str]:
    """Of several tasks over pretrained weights, a head that learns as from random weights has the rate for those.

    A lower rate that was set by hand lowers its rate, too.
    """
    rate, wanted = chosen("optimizer.lr"), chosen("optimizer.scratch_lr")
    if chosen("tune.learning_rate"):
        return 1.0, ""  # the rate that is found is for all heads
    usual, _ = learning_rate(Facts("multitask", facts.samples, pretrained=True), chosen)
    if not facts.pretrained or not facts.head_from_scratch or None in (rate, wanted, usual):
        return 1.0, ""
    if (scale := float(f"{wanted / max(rate, usual):.2g}")) <= 1.0:
        return 1.0, ""
    return scale, "the head's own layers are many and start from random"


def probe(facts: Facts, chosen: Chosen) -> tuple[bool, str]:
    """A head fitted on frozen features first, wherever there are good features and a head that takes them."""
    if not facts.pretrained:
        return False, "random weights: their features say little"
    if facts.kind == "identity":
        return False, "a probe fits classifiers, and this head gives embeddings"
    if facts.parts:
        if any(probe(part, chosen)[0] for part in facts.parts.values()):
            return True, "pretrained weights: heads of pooled features first (arXiv 2202.10054)"
        return False, "no part's head would gain by it"
    if not facts.probes:
        return False, "the head takes no pooled features"
    if facts.samples > PROBED_IMAGES or facts.samples * facts.features * facts.classes > PROBED_PRODUCTS:
        return False, "many images or classes: the head learns as fast by itself"
    return True, "pretrained weights: the head first (arXiv 2202.10054)"


def held_statistics(facts: Facts, chosen: Chosen) -> tuple[bool, str]:
    """Batch norm keeps the running statistics of the weights where the data's own would be worse.

    Weights that move fast outrun statistics that stand still: a rate set by hand above the usual one rules that out.
    """
    rate, usual = chosen("optimizer.lr"), chosen("optimizer.pretrained_lr")
    if facts.little and isinstance(rate, int | float) and usual is not None and rate > usual:
        return False, f"optimizer.lr={rate:g} is too fast for statistics that stand still"
    if facts.little:
        return True, f"{facts.counted}, at most {FEW_IMAGES}"
    if not facts.pretrained:
        return False, "random weights"
    if facts.parts:
        return _held_for_parts(facts, chosen)
    return False, "enough images for statistics of their own" if facts.probes else "no fitted head to keep"


def _held_for_parts(facts: Facts, chosen: Chosen) -> tuple[bool, str]:
    """Statistics of a mixture of sets fit none of them, so those of the weights stay, under a low rate."""
    if not facts.apart:
        return False, "the parts share their images, whose statistics fit them all"
    if facts.samples > FEW_TOGETHER:
        return False, f"more than {FEW_TOGETHER:,} images"
    if chosen("optimizer.backbone_lr_scale") != AUTO or chosen("tune.learning_rate"):
        return False, "the backbone's rate is chosen otherwise, and may be too fast for statistics that stand still"
    if chosen("optimizer.pretrained_lr") is None:
        return False, "the optimizer names no rate for pretrained weights"
    return True, "sets of their own: statistics of their mixture would fit none of them"


def frozen_stages(facts: Facts, chosen: Chosen) -> tuple[int, str]:
    """None: behind a fitted head and at a low rate, holding the lowest stages changed no result that was measured."""
    return 0, "all layers learn" if facts.pretrained else "random weights"


def class_weights(facts: Facts, chosen: Chosen) -> tuple[str, str]:
    """A rare class counts as much as a common one where they are far apart."""
    ratio = imbalance(facts.counts)
    if facts.kind != "class" or not facts.counts:
        return "none", "no classes are counted"
    largest = f"the largest class has {ratio:.1f} times the images of the smallest"
    if ratio >= UNBALANCED:
        return "balanced", f"{largest}, at least {UNBALANCED:g}"
    return "none", f"{largest}, fewer than {UNBALANCED:g}"


def followed_metric(facts: Facts, chosen: Chosen) -> tuple[str, str]:
    """Where classes are weighed, a model that ignores the rare ones is not the best."""
    if facts.primary == "top1" and facts.kind == "class" and chosen("loss.class_weights") == "balanced":
        return "balanced_accuracy", "classes are weighed"
    return facts.primary, "the task's own"


def crop_scale(facts: Facts, chosen: Chosen) -> tuple[list[float], str]:
    """Smaller crops where the same images are seen often by a network that starts from nothing."""
    steps = _total_steps(facts, chosen)
    if not facts.pretrained and steps >= LONG_TRAINING:
        return [0.25, 1.0], f"random weights, {_steps_in_words(steps, chosen)}"
    return [0.5, 1.0], "pretrained weights" if facts.pretrained else f"random weights, {_steps_in_words(steps, chosen)}"


def box_crops(facts: Facts, chosen: Chosen) -> tuple[float, str]:
    """How often SSD crops round an object: always, but not where objects themselves are still new."""
    early, why = _boxes_are_new(facts, chosen)
    return 0.0 if early else 1.0, why


def larger_grounds(facts: Facts, chosen: Chosen) -> tuple[float, str]:
    """How often SSD lays the image on a larger ground: every other time, likewise."""
    early, why = _boxes_are_new(facts, chosen)
    return 0.0 if early else 0.5, why


def _boxes_are_new(facts: Facts, chosen: Chosen) -> tuple[bool, str]:
    """Whether a detector from random weights has so few steps that crops and small objects only slow it down."""
    if facts.pretrained:
        return False, "pretrained weights"
    epochs, steps = max(1, chosen("trainer.max_epochs") or 1), _total_steps(facts, chosen)
    if steps >= LONG_TRAINING:
        return False, f"random weights, {_steps_in_words(steps, chosen)}"
    few = f"random weights, each image seen {epochs} time{'s' * (epochs > 1)}{_as_planned(chosen)}"
    if epochs >= SEEN_OFTEN:
        return False, f"{few}, at least {SEEN_OFTEN}"
    return True, f"{few}, fewer than {SEEN_OFTEN}: a whole image teaches faster"


def weight_average(facts: Facts, chosen: Chosen) -> tuple[bool, str]:
    """A moving average of the weights pays where it spans a small part of the training."""
    steps = _total_steps(facts, chosen)
    return steps >= LONG_TRAINING, _steps_in_words(steps, chosen)


def _steps_in_words(steps: int, chosen: Chosen) -> str:
    bound = f"{'at least' if steps >= LONG_TRAINING else 'fewer than'} {LONG_TRAINING:,}"
    return f"{steps:,} steps{_as_planned(chosen)}, {bound}"


def _as_planned(chosen: Chosen) -> str:
    """How many steps fit into a time is found when all else is decided: the rules see what it is without."""
    return " without trainer.max_time" if chosen("trainer.max_time") is not None else ""


def _total_steps(facts: Facts, chosen: Chosen) -> int:
    epochs: int = chosen("trainer.max_epochs") or 1
    return max(1, epochs) * _steps_an_epoch(facts, chosen)


def gradient_clip(facts: Facts, chosen: Chosen) -> tuple[float | None, str]:
    """A bound on the gradient's norm where single batches may be far off."""
    if not facts.pretrained:
        return None, "random weights"
    if facts.kind in ("boxes", "multitask"):
        return 5.0, f"pretrained weights, {'boxes' if facts.kind == 'boxes' else 'several tasks'}"
    return (
        (1.0, "batch statistics are held") if chosen("freeze.statistics") else (None, "batch statistics are not held")
    )


def head_strides(facts: Facts, chosen: Chosen) -> tuple[list[int], str]:
    """A finer map where objects are small: at stride 16 a box of less than some 24 pixels has no place of its own."""
    usual: list[int] = [stride for stride in (16, 32) if stride in facts.strides] or [16, 32]
    sides = facts.box_sides or {}
    flat = [side for each in sides.values() for side in each]
    if not flat or 8 not in facts.strides:
        return usual, "the head's own"
    every = sum(side < SMALL_BOX for side in flat) / len(flat)
    small = max(sum(side < SMALL_BOX for side in each) / len(each) for each in sides.values() if each)
    if every >= SMALL_BOX_SHARE or small >= 0.5:
        share = f"{every:.0%} of the boxes" if every >= SMALL_BOX_SHARE else f"{small:.0%} of one class's boxes"
        return [8, *usual], f"{share} have sides below {SMALL_BOX} pixels of the input"
    return usual, f"{1 - every:.0%} of the boxes have sides of {SMALL_BOX} pixels of the input or more"


def head_scales(facts: Facts, chosen: Chosen) -> tuple[list[float], str]:
    """Default boxes as small as the data's: on the first map the smallest one has half of the first scale."""
    sides = facts.box_sides or {}
    flat = sorted(side for each in sides.values() for side in each)
    if not flat or not facts.input_side:
        return [0.2, 0.95], "the head's own"
    typical = [sorted(each)[len(each) // 2] for each in sides.values() if len(each) >= 5]
    small = min([flat[len(flat) // 10], *typical])
    first = round(min(0.2, max(0.06, 2 * small / facts.input_side)), 2)
    return [first, 0.95], f"small boxes have sides of {small:.0f} of {facts.input_side} pixels"


def embedding_dimensions(facts: Facts, chosen: Chosen) -> tuple[int | None, str]:
    """A new projection has to be learnt: of few images it knows less than the pooled features themselves."""
    if facts.pretrained and facts.samples <= FEW_IDENTITY_IMAGES and chosen("distill") is None:
        few = f"{facts.samples:,} images, at most {FEW_IDENTITY_IMAGES:,}"
        return None, f"pretrained weights, {few}: the pooled features as they are"
    return 128, "as in the paper"


def margin_warmup(facts: Facts, chosen: Chosen) -> tuple[int, str]:
    """From random weights little is learnt with all of the margin at once."""
    return (0, "pretrained weights") if facts.pretrained else (1_000, "random weights")


RULES: dict[str, tuple[Rule, Any]] = {
    "head.strides": (head_strides, [16, 32]),
    "head.scales": (head_scales, [0.2, 0.95]),
    "head.dimensions": (embedding_dimensions, 128),
    "loss.warmup": (margin_warmup, 1_000),
    "loss.class_weights": (class_weights, "none"),
    "data.batch_size": (batch_size, 64),
    "trainer.max_epochs": (max_epochs, 10),
    "probe.enabled": (probe, False),
    "freeze.stages": (frozen_stages, 0),
    "freeze.statistics": (held_statistics, False),
    "optimizer.lr": (learning_rate, None),
    "optimizer.backbone_lr_scale": (backbone_rate, 1.0),
    "trainer.gradient_clip_val": (gradient_clip, None),
    "augment.crop_scale": (crop_scale, [0.5, 1.0]),
    "augment.iou_crop": (box_crops, 1.0),
    "augment.zoom_out": (larger_grounds, 0.5),
    "callbacks.ema.enabled": (weight_average, False),
    "callbacks.best.monitor": (followed_metric, AUTO),
}
"""Key -> its rule, in the order of deciding, and its value where there is no training to decide for."""

RULES_BY_PART: dict[str, tuple[Rule, Any]] = {"optimizer.part_lr_scale": (part_rate, 1.0)}
"""The same of keys that hold a value for each part, where several tasks are trained together."""


def decide(cfg: DictConfig, facts: Facts, of_parts: Mapping[str, Facts] | None = None) -> list[Decision]:
    """Decide every key of :data:`RULES` that is ``auto``.

    Args:
        cfg: the composed config; it is left as it is.
        facts: of the data, the weights and the machine.
        of_parts: the same of each part, where several tasks are trained together.
    """
    made: dict[str, Decision] = {}
    idle = idle_parts(cfg)
    facts = replace(facts, parts={name: each for name, each in (of_parts or {}).items() if name not in idle})

    def chosen(key: str) -> Any:
        return made[key].value if key in made else OmegaConf.select(cfg, key)

    def chosen_for(part: str) -> Chosen:
        return lambda key: chosen(f"parts.{part}.{key}" if key.startswith(OF_PART) else key)

    for key in open_keys(cfg):
        part, rule = _rule_of(key)
        seen, take = ((of_parts or {})[part], chosen_for(part)) if part else (facts, chosen)
        value, why = rule[0](seen, take)
        if key.rpartition(".")[0] in RULES_BY_PART and part in (OmegaConf.select(cfg, "freeze.parts") or ()):
            why = ""  # nothing of it learns
        made[key] = Decision(key, value, why)
    return list(made.values())


ALL_STAGES = 1_000_000
"""More stages than any backbone has."""


def idle_parts(cfg: DictConfig) -> list[str]:
    """The parts from whose own images nothing is learnt: their heads are frozen, and the whole backbone."""
    stages = OmegaConf.select(cfg, "freeze.stages")
    teaches = OmegaConf.select(cfg, "task.teachers_see") == "every_image"
    held = isinstance(stages, int) and stages >= ALL_STAGES and not teaches
    return [str(name) for name in OmegaConf.select(cfg, "freeze.parts") or ()] if held else []


OF_PART = ("head.", "loss.", "augment.")
"""Beginnings of the keys that each part decides for itself, where several tasks are trained together."""


def open_keys(cfg: DictConfig) -> list[str]:
    """The keys that are ``auto``, in the order of :data:`RULES`; those of parts after those that parts share."""
    keys = [key for key in RULES if OmegaConf.select(cfg, key) == AUTO]
    names = cfg.get("parts") or {}
    parts = [f"{key}.{name}" for key in RULES_BY_PART for name in names]
    parts += [f"parts.{name}.{key}" for name in names for key in RULES if key.startswith(OF_PART)]
    return keys + [key for key in parts if OmegaConf.select(cfg, key) == AUTO]


def _rule_of(key: str) -> tuple[str, tuple[Rule, Any]]:
    """The part that a key belongs to, empty where it is shared, and its rule."""
    if key in RULES:
        return "", RULES[key]
    shared, _, part = key.rpartition(".")
    if shared in RULES_BY_PART:
        return part, RULES_BY_PART[shared]
    _, part, own = key.split(".", 2)
    return part, RULES[own]


def decided(cfg: DictConfig, decisions: list[Decision]) -> DictConfig:
    """A config with what was decided in place of ``auto``."""
    return _with(cfg, {each.key: each.value for each in decisions})


def without_training(cfg: DictConfig) -> DictConfig:
    """A config for whoever builds without training (costs, evaluation): ``auto`` becomes what is usual."""
    return _with(cfg, {key: _rule_of(key)[1][1] for key in open_keys(cfg)})


def _with(cfg: DictConfig, values: Mapping[str, Any]) -> DictConfig:
    if not values:
        return cfg
    changed = cfg.copy()
    for key, value in values.items():
        OmegaConf.update(changed, key, value, merge=False)
    return changed


def facts_of(cfg: DictConfig, backbone: Backbone, data: DataModule, *, probes: bool) -> Facts:
    """What the rules look at, of a backbone with its weights and data that are read.

    Args:
        cfg: the composed config.
        backbone: built, its weights loaded.
        data: set up.
        probes: whether the head takes pooled features and nothing else.
    """
    from hydra.utils import get_class

    spec = data.spec
    asked = AUTO in (OmegaConf.select(cfg, "head.strides"), OmegaConf.select(cfg, "head.scales"))
    return Facts(
        kind=spec.kind,
        samples=data.shown,
        classes=len(spec.classes),
        counts=spec.counts,
        pretrained=backbone.report is not None,
        probes=probes and spec.kind != "identity",
        head_from_scratch=bool(getattr(get_class(cfg.head["_target_"]), "learns_from_scratch", False)),
        image_bytes=_image_bytes(backbone, spec.channels, spec.resolution) if cfg.data.batch_size == AUTO else 0,
        memory=_memory(str(cfg.trainer.get("accelerator", AUTO))),
        processes=_processes(cfg.trainer),
        input_side=min(spec.resolution),
        primary=str(getattr(get_class(cfg.task["_target_"]), "primary", "")),
        features=backbone.spec.width,
        strides=tuple(backbone.spec.strides),
        box_sides=_box_sides(data, crop=backbone.preset.crop) if asked and spec.kind == "boxes" else None,
    )


def _image_bytes(backbone: Backbone, channels: int, resolution: tuple[int, int]) -> int:
    import torch

    from mobilevision.cost import kept_for_backward
    from mobilevision.spec import Needs

    needs = Needs(strides=(max(backbone.spec.strides),)) if backbone.spec.strides else Needs(pooled=True)
    return kept_for_backward(backbone, torch.empty(1, channels, *resolution, dtype=torch.uint8, device="meta"), needs)


def _memory(accelerator: str) -> int:
    import torch

    if accelerator in (AUTO, "gpu", "cuda") and torch.cuda.is_available():
        return int(GPU_SHARE * torch.cuda.get_device_properties(0).total_memory)
    return CPU_ACTIVATIONS


def _processes(trainer: DictConfig) -> int:
    """Processes that train together, as far as the config tells before they are started."""
    import torch

    devices, nodes = trainer.get("devices", 1), int(trainer.get("num_nodes", 1) or 1)
    if isinstance(devices, int):
        return max(1, devices) * nodes
    if isinstance(devices, str) and devices.isdigit():
        return int(devices) * nodes
    return max(1, torch.cuda.device_count()) * nodes if devices == AUTO else max(1, len(devices)) * nodes


def _box_sides(data: DataModule, *, crop: float) -> dict[int, tuple[float, ...]]:
    import numpy as np

    from mobilevision.data.boxes import boxes_in_input

    if data.splits.train is None:
        return {}
    boxes, labels = boxes_in_input(data.splits.train, data.spec, crop=crop, images=BOX_IMAGES)
    sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
    return {int(label): tuple(sides[labels == label].tolist()) for label in np.unique(labels)}


def shown(value: Any) -> str:
    """A value as one types it on the command line."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value).replace(" ", "")
