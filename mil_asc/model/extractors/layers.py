"""Layers that several extractors use: a convolution with batch norm."""

from torch import nn


def conv_bn(in_channels, out_channels, kernel_size, *, stride=1, groups=1, bias=False, activation=None):
    """Convolution that pads to keep the size (at stride 1), batch norm, activation: (B, C, F, T) -> (B, C', F', T').

    ``kernel_size`` is odd: one number or (along frequency, along time). ``activation`` is an ``nn.Module`` or None.
    There is no bias by default, because the batch norm has one.
    """
    kernel_size = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    padding = tuple(size // 2 for size in kernel_size)
    layers = [
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=bias),
        nn.BatchNorm2d(out_channels),
    ]
    return nn.Sequential(*layers, *([] if activation is None else [activation]))
