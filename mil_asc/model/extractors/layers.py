"""Layers that several extractors use: a convolution with batch norm, and one whose kernel is damped."""

import torch
from torch import nn


class DampedConv2d(nn.Conv2d):
    """A convolution whose kernel is multiplied along frequency: by 1 in its middle row, ``damping`` in the outermost.

    The factor is linear in between, 1 - (1 - damping) |i - c| / c in row i of k, with c = (k - 1) / 2. It is fixed, and
    no part of the state dict. Koutini, Henkel, Eghbal-zadeh and Widmer, "Low-complexity models for acoustic scene
    classification based on receptive field regularization and frequency damping", DCASE workshop 2020.
    """

    def __init__(self, *args, damping, **kwargs):
        super().__init__(*args, **kwargs)
        centre = (self.kernel_size[0] - 1) / 2
        distance_K = (torch.arange(self.kernel_size[0]) - centre).abs() / max(centre, 0.5)
        self.register_buffer("factor_K1", (1 - (1 - damping) * distance_K)[:, None], persistent=False)

    def forward(self, x_BCFT):
        """As ``torch.nn.Conv2d``, with the damped kernel."""
        return self._conv_forward(x_BCFT, self.weight * self.factor_K1, self.bias)

    def plain(self):
        """A ``torch.nn.Conv2d`` that gives the same output; its weights are the damped ones."""
        same = ("stride", "padding", "dilation", "groups")
        settings = {name: getattr(self, name) for name in same} | {"bias": self.bias is not None}
        conv = nn.Conv2d(self.in_channels, self.out_channels, self.kernel_size, **settings).to(self.weight)
        state = {"weight": self.weight * self.factor_K1} | ({} if self.bias is None else {"bias": self.bias})
        conv.load_state_dict(state)
        return conv.train(self.training).requires_grad_(self.weight.requires_grad)


def damped_conv(in_channels, out_channels, kernel_size, *args, damping=1.0, **kwargs):
    """``torch.nn.Conv2d``, or a ``DampedConv2d`` if ``damping`` is not 1 and the kernel (a pair) has rows to damp."""
    if damping == 1 or kernel_size[0] == 1:
        return nn.Conv2d(in_channels, out_channels, kernel_size, *args, **kwargs)
    return DampedConv2d(in_channels, out_channels, kernel_size, *args, damping=damping, **kwargs)


def conv_bn(in_channels, out_channels, kernel_size, *, stride=1, groups=1, bias=False, activation=None, damping=1.0):
    """Convolution that pads to keep the size (at stride 1), batch norm, activation: (B, C, F, T) -> (B, C', F', T').

    ``kernel_size`` is odd: one number or (along frequency, along time). ``activation`` is an ``nn.Module`` or None.
    There is no bias by default, because the batch norm has one. ``damping`` is that of ``DampedConv2d``; 1: none.
    """
    kernel_size = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    padding = tuple(size // 2 for size in kernel_size)
    layers = [
        damped_conv(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=bias, damping=damping),
        nn.BatchNorm2d(out_channels),
    ]
    return nn.Sequential(*layers, *([] if activation is None else [activation]))
