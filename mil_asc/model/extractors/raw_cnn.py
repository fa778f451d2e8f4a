"""The 1-D network on waveforms of two systems of the paper's Table 8, "1D-CNN".

Jung, Heo, Shim and Yu, "Knowledge distillation in acoustic scene classification", IEEE Access 8, 2020 (with
distillation, code: Jungjee/dcase2019specialistkd); Jung, Shim, Kim, Kim and Yu, Interspeech 2020, arXiv 2003.09164
(with audio tagging).
"""

import torch.nn.functional as F
from torch import nn

from mil_asc.checks import check_count, check_counts
from mil_asc.model.extractors.base import Extractor
from mil_asc.model.extractors.layers import conv_bn

SLOPE = 0.3
"""Slope of every leaky ReLU below 0."""


def leaky_relu():
    """The activation of every layer."""
    return nn.LeakyReLU(SLOPE, inplace=True)


class TimeBlock(nn.Module):
    """Conv of 3 - BN - leaky ReLU - conv of 3 - BN, plus the input; leaky ReLU: (B, C, 1, T) -> (B, C', 1, T).

    If the width changes, a convolution of 3 without BN is applied to the input before it is added.
    """

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.residual = nn.Sequential(
            conv_bn(in_channels, out_channels, (1, 3), bias=True, activation=leaky_relu()),
            conv_bn(out_channels, out_channels, (1, 3), bias=True),
        )
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, (1, 3), padding=(0, 1))

    def forward(self, x_BC1T):
        """Leaky ReLU of the residual plus the shortcut."""
        return F.leaky_relu(self.residual(x_BC1T) + self.shortcut(x_BC1T), SLOPE)


class RawCNN(nn.Sequential, Extractor):
    """A strided convolution of the waveform - BN - leaky ReLU, residual blocks with max-pooling, a 1x1 convolution.

    (B, 1, 1, N) -> (B, 128, 1, N/26244), rounded down; all convolutions are along time and have a bias. An instance is
    26,244 samples long: a clip of 10 s has 18 of them at the authors' 48 kHz, 6 at 16 kHz. Smaller ``stride``, ``pool``
    or fewer blocks give more.

    On one channel the default has 601,024 parameters, and 635,200 with the authors' head (mean and maximum over time,
    linear to 128, linear to 10 classes without bias); their system of two channels has 636,736 (exact). Left out are
    three columns of zeros that their last convolution pads, and their centre loss, distillation and SVM. Also left out
    is the variant with audio tagging: its vector of 80 tags comes from a separate pretrained network.

    Arguments
    ---------
    stride : int
        Samples that the first convolution covers, without overlap.
    stem_channels : int
        Width of the first convolution.
    channels : list of int
        Width of every block; the last convolution has the width of the last.
    pool : int
        Span of the max-pooling after every block.

    Example
    -------
    >>> import torch
    >>> RawCNN()(torch.randn(2, 1, 1, 160000)).shape
    torch.Size([2, 128, 1, 6])
    """

    input = "waveform"
    tiny = {"stride": 4, "stem_channels": 6, "channels": [4, 6], "pool": 2}

    def __init__(self, stride=12, stem_channels=128, channels=(64, 64, 128, 128, 128, 128, 128), pool=3):
        check_count("stride", stride)
        check_count("stem_channels", stem_channels)
        check_counts("channels", channels)
        check_count("pool", pool)
        stem = nn.Conv2d(1, stem_channels, (1, stride), (1, stride))
        layers = [nn.Sequential(stem, nn.BatchNorm2d(stem_channels), leaky_relu())]
        for ins, outs in zip([stem_channels, *channels], channels):
            layers += [TimeBlock(ins, outs), nn.MaxPool2d((1, pool))]
        super().__init__(*layers, conv_bn(channels[-1], channels[-1], 1, bias=True, activation=leaky_relu()))
        context = sum(2 * stride * pool**block for block in range(len(channels)))
        self.set_geometry(channels[-1], time_reduction=stride * pool ** len(channels), context_frames=context)

    def out_height(self, height):
        """One row, as the waveform has."""
        return height

    def out_frames(self, num_frames):
        """Columns T' of the feature map of ``num_frames`` samples (int or integer tensor)."""
        return num_frames // self.time_reduction
