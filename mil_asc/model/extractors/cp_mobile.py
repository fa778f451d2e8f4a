"""CP-Mobile, the inverted-residual network of the DCASE low-complexity challenges.

Schmid et al., "Distilling the knowledge of transformers and CNNs with CP-Mobile", DCASE workshop 2023, in the
simplified form of the DCASE 2024 task 1 baseline, whose documentation lists the parameters and shape of every layer.
"""

import torch
from torch import nn

from mil_asc.checks import check_count, check_number
from mil_asc.model.extractors.base import Extractor
from mil_asc.model.extractors.layers import conv_bn

STRIDES = (((1, 1), (1, 1), (1, 2)), ((2, 1), (1, 1)), ((1, 1),))
"""Strides (along frequency, along time) of the blocks of every stage."""


def multiple_of_8(width):
    """``width`` rounded to a multiple of 8, at least 8; rounded up if rounding would lose more than a tenth."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * width else rounded + 8


class InvertedResidual(nn.Module):
    """1x1 conv to ``inner_channels`` - 3x3 depthwise conv of ``stride`` - 1x1 conv, each with BN, ReLU in between.

    (B, in_channels, F, T) -> (B, out_channels, F', T'). If the width does not change, the input is added (averaged
    over 3x3 if the stride is not 1); ReLU last.
    """

    def __init__(self, in_channels, inner_channels, out_channels, stride=(1, 1)):
        super().__init__()
        self.residual = nn.Sequential(
            conv_bn(in_channels, inner_channels, 1, activation=nn.ReLU(inplace=True)),
            conv_bn(inner_channels, inner_channels, 3, stride=stride, groups=inner_channels, activation=nn.ReLU()),
            conv_bn(inner_channels, out_channels, 1),
        )
        self.shortcut = None
        if in_channels == out_channels:
            self.shortcut = nn.Identity() if stride == (1, 1) else nn.AvgPool2d(3, stride, padding=1)

    def forward(self, x_BCFT):
        """ReLU of the residual, plus the shortcut if there is one."""
        out_BCFT = self.residual(x_BCFT)
        return torch.relu(out_BCFT if self.shortcut is None else out_BCFT + self.shortcut(x_BCFT))


class CPMobile(nn.Sequential, Extractor):
    """Two strided 3x3 convolutions, then stages of 3, 2 and 1 inverted residual blocks.

    (B, 1, F, T) -> (B, 104, F/8, T/8), both rounded up. With its own head (1x1 conv to 10 classes without
    bias, BN, mean over the map) the default has 61,148 parameters, the published count.

    Arguments
    ---------
    base_channels : int
        Width of the first stage, at least 8; the first convolution has a quarter of it.
    channels_multiplier : float
        Factor of the width from stage to stage, greater than 0; widths are rounded to multiples of 8.
    expansion_rate : float
        Ratio of the width inside a block to the width of its input, greater than 0; the width is rounded likewise.

    Example
    -------
    >>> CPMobile()(torch.randn(2, 1, 256, 65)).shape
    torch.Size([2, 104, 32, 9])
    """

    tiny = {"base_channels": 8}

    def __init__(self, base_channels=32, channels_multiplier=1.8, expansion_rate=2.1):
        check_count("base_channels", base_channels, least=8)
        check_number("channels_multiplier", channels_multiplier, least=0.1, below=100)
        check_number("expansion_rate", expansion_rate, least=0.1, below=100)
        widths = [multiple_of_8(base_channels * channels_multiplier**stage) for stage in range(len(STRIDES))]
        layers = [
            conv_bn(1, base_channels // 4, 3, stride=2, activation=nn.ReLU(inplace=True)),
            conv_bn(base_channels // 4, widths[0], 3, stride=2, activation=nn.ReLU(inplace=True)),
        ]
        width = widths[0]
        for outs, strides in zip(widths, STRIDES):
            for stride in strides:
                layers.append(InvertedResidual(width, multiple_of_8(width * expansion_rate), outs, stride))
                width = outs
        super().__init__(*layers)
        self.set_geometry(width, time_reduction=8, context_frames=1 + 2 + 3 * 4 + 3 * 8)

    def out_height(self, n_mels):
        """Frequency rows F' of the feature map of ``n_mels`` mel bins (an eighth, rounded up)."""
        return -(-n_mels // 8)

    def out_frames(self, num_frames):
        """Columns T' of the feature map of ``num_frames`` frames (int or integer tensor)."""
        return -(-num_frames // 8)
