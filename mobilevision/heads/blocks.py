"""Convolutions with batch norm, as detection heads stack them."""

from __future__ import annotations

from typing import Literal, final

from torch import Tensor, nn
from torch.nn import functional

Activation = Literal["relu", "relu6"]
ACTIVATIONS = {"relu": nn.ReLU, "relu6": nn.ReLU6}


@final
class ConvNorm(nn.Module):
    """A convolution without bias, batch norm, and an activation.

    A map of one place in a batch of one picture has no variance; there the running statistics serve in training, too.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        kernel: its side; the padding keeps the map's side, divided by the stride and rounded up.
        stride: of the convolution.
        groups: of channels that do not see each other; ``inputs`` of them for a depthwise convolution.
        activation: ``relu`` or ``relu6``.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1, activation: Activation
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.act = ACTIVATIONS[activation](inplace=True)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Float maps [B, inputs, H, W] to [B, outputs, ceil(H / stride), ceil(W / stride)]."""
        x = self.conv(x)
        norm = self.norm
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            x = functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        else:
            x = norm(x)
        result: Tensor = self.act(x)
        return result
