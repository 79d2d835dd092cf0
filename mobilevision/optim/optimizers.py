"""Optimisers by name through timm's factory, with the parameter groups that fine-tuning and the paper ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

from timm.optim import create_optimizer_v2, list_optimizers
from timm.optim._param_groups import auto_group_layers
from torch import nn
from torch.optim import Optimizer

from mobilevision.errors import UserError
from mobilevision.ranges import NonNegativeFloat, PositiveFloat, PositiveShare, ShareBelowOne, check_ranges

Groups = list[dict[str, Any]]


@final
class OptimizerFactory:
    """Makes an optimiser for a body and the heads on it.

    Args:
        name: any optimiser of timm's factory: ``sgd``, ``rmsproptf``, ``adamw``, ``lion`` ...
        lr: peak learning rate of the head, and of the body's last layer; None takes one of the next two.
        scratch_lr: the rate from random weights.
        pretrained_lr: the rate from pretrained ones, which a rate for random ones would wash away.
        pretrained: whether the backbone has pretrained weights.
        weight_decay: decay of the weights that decay at all.
        decay_norm_and_bias: also decay norms, biases and other vectors.
        decay_depthwise: also decay depthwise filters; the paper puts "very little or no" decay on them (section 3.2).
        layer_decay: factor on the rate from each layer to the one before it; 1 gives every layer the same rate.
        backbone_lr_scale: factor on the whole body's rate.
        part_lr_scale: by part of a task that is made of several, factor on the rate of its head (and of its loss).
        kwargs: further arguments of the optimiser itself.
    """

    @check_ranges("optimizer")
    def __init__(
        self,
        *,
        name: str,
        lr: PositiveFloat | None = None,
        scratch_lr: PositiveFloat = 1e-2,
        pretrained_lr: PositiveFloat = 5e-4,
        pretrained: bool = False,
        weight_decay: NonNegativeFloat = 0.0,
        momentum: ShareBelowOne = 0.9,
        decay_norm_and_bias: bool = False,
        decay_depthwise: bool = True,
        layer_decay: PositiveShare = 1.0,
        backbone_lr_scale: NonNegativeFloat = 1.0,
        part_lr_scale: dict[str, NonNegativeFloat] | None = None,
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        if name not in list_optimizers():
            raise UserError(f"optimizer.name={name}: timm knows no such optimiser; try one of sgd, rmsproptf, adamw")
        self.name = name
        self.lr: float = lr if lr is not None else pretrained_lr if pretrained else scratch_lr
        self.weight_decay = weight_decay
        self.momentum = momentum
        self.decay_norm_and_bias = decay_norm_and_bias
        self.decay_depthwise = decay_depthwise
        self.layer_decay = layer_decay
        self.backbone_lr_scale = backbone_lr_scale
        self.part_lr_scale = part_lr_scale or {}
        self.kwargs = kwargs or {}

    def __call__(self, *, backbone: nn.Module, head: nn.Module) -> Optimizer:
        """An optimiser over ``backbone`` (a timm model) and ``head``; frozen parameters are kept in it too.

        A parameter that is frozen now may be thawed later, and a group that appears later would not resume.
        """
        groups = self._groups(backbone, self._layer_scales(backbone)) + self._groups(head, self._part_scales(head))
        optimizer: Optimizer = create_optimizer_v2(
            groups, opt=self.name, lr=self.lr, weight_decay=self.weight_decay, momentum=self.momentum, **self.kwargs
        )
        return optimizer

    def _layer_scales(self, backbone: nn.Module) -> dict[str, float]:
        """Rate factor of each parameter of the body, by name: layer_decay to the power of its depth from the top."""
        if self.layer_decay == 1.0:
            return {name: self.backbone_lr_scale for name, _ in backbone.named_parameters()}
        layers = dict(_layers(backbone))
        top = max(layers.values())
        return {name: self.backbone_lr_scale * self.layer_decay ** (top - layer) for name, layer in layers.items()}

    def _part_scales(self, heads: nn.Module) -> dict[str, float]:
        """Rate factor of each parameter of the parts that have one, by name."""
        return {
            name: self.part_lr_scale[part]
            for name, _ in heads.named_parameters()
            for part in [name.partition(".parts.")[2].partition(".")[0]]
            if part in self.part_lr_scale
        }

    def _groups(self, module: nn.Module, scales: dict[str, float]) -> Groups:
        convolutions = (layer for layer in module.modules() if isinstance(layer, nn.Conv2d))
        depthwise = {id(each.weight) for each in convolutions if 1 < each.groups == each.in_channels}
        groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for name, parameter in module.named_parameters():
            decays = self.decay_norm_and_bias or parameter.ndim > 1
            decays = decays and (self.decay_depthwise or id(parameter) not in depthwise)
            groups.setdefault((scales.get(name, 1.0), decays), []).append(parameter)
        return [
            {
                "params": parameters,
                "lr": self.lr * scale,
                "weight_decay": self.weight_decay if decays else 0.0,
            }
            for (scale, decays), parameters in groups.items()
        ]


def _layers(backbone: nn.Module) -> Iterator[tuple[str, int]]:
    """Each parameter's name with its layer number from the input, as the model itself groups them."""
    if hasattr(backbone, "group_matcher"):
        from timm.models import group_parameters

        matcher: Any = backbone.group_matcher
        grouped = group_parameters(backbone, matcher(coarse=False), reverse=True)
    else:
        grouped = auto_group_layers(backbone)  # pragma: no cover - every timm model has a group_matcher
    yield from grouped.items()
