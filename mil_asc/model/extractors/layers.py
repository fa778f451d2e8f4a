"""What several extractors are made of: a convolution with batch norm, and the checks of their arguments."""

from torch import nn


def conv_bn(in_channels, out_channels, kernel_size, *, stride=1, groups=1, bias=False, activation=None):
    """Convolution that pads to keep the size (at stride 1), batch norm, activation: (B, C, F, T) -> (B, C', F', T').

    ``kernel_size`` is odd, one number or (along frequency, along time); ``activation`` is an nn.Module or None.
    A bias is left out by default, as the batch norm has one.
    """
    kernel_size = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    padding = tuple(size // 2 for size in kernel_size)
    layers = [
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=bias),
        nn.BatchNorm2d(out_channels),
    ]
    return nn.Sequential(*layers, *([] if activation is None else [activation]))


def check_count(name, value, least=1):
    """Raise ValueError unless ``value`` is an integer of at least ``least``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")


def check_counts(name, values, length=None):
    """Raise ValueError unless ``values`` is a list of ``length`` (or at least one) positive integers."""
    wanted = "one or more" if length is None else length
    legal = isinstance(values, list | tuple) and len(values) > 0 and length in (None, len(values))
    if not legal or any(not isinstance(value, int) or isinstance(value, bool) or value < 1 for value in values):
        raise ValueError(f"{name} must be a list of {wanted} integers of at least 1, got {values!r}")


def check_range(name, value, least, most):
    """Raise ValueError unless ``value`` is a number with ``least`` <= value < ``most``."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value < most:
        raise ValueError(f"{name} must be a number from {least} to below {most}, got {value!r}")
