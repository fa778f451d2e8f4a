"""BC-ResNet-ASC, the broadcasting-residual network (paper, Tables 3 and 9).

The block: Kim et al., "Broadcasted residual learning for efficient keyword spotting", Interspeech 2021,
arXiv 2106.04140. The network for acoustic scenes: Kim et al., "Domain generalization on efficient acoustic scene
classification using residual normalization", arXiv 2111.06531.
"""

import math

import torch
from torch import nn

from mil_asc.checks import check_count, check_number
from mil_asc.model.extractors.base import Extractor
from mil_asc.model.extractors.layers import conv_bn
from mil_asc.model.normalization import ResNorm, SubSpectralNorm

BLOCKS = (2, 2, 2, 3)
"""Blocks of the four stages; max-pooling follows the first two stages."""


class BroadcastedBlock(nn.Module):
    """Convolves the map along frequency, and its mean over frequency along time; the latter is broadcast and added.

    (B, in_channels, F, T) -> (B, channels, F, T); ``bands`` must divide F.

    f2 = sub-spectral norm of the frequency-wise depthwise conv (3x1); f1 = time-wise depthwise conv (1x3) - BN - SiLU -
    1x1 conv - channel dropout, of the mean of f2 over frequency; out = ReLU(x + f2 + f1). If the width changes, 1x1
    conv - BN - ReLU comes first and the identity x is omitted.
    """

    def __init__(self, in_channels, channels, bands, dropout):
        super().__init__()
        self.transition = None
        if in_channels != channels:
            self.transition = conv_bn(in_channels, channels, 1, activation=nn.ReLU(inplace=True))
        self.frequency = nn.Sequential(
            nn.Conv2d(channels, channels, (3, 1), padding=(1, 0), groups=channels, bias=False),
            SubSpectralNorm(channels, bands),
        )
        self.time = nn.Sequential(
            conv_bn(channels, channels, (1, 3), groups=channels, activation=nn.SiLU()),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.Dropout2d(dropout),
        )

    def forward(self, x_BCFT):
        """ReLU of the sum of both paths, plus the identity if the width does not change."""
        if self.transition is not None:
            x_BCFT = self.transition(x_BCFT)
        frequency_BCFT = self.frequency(x_BCFT)
        total_BCFT = frequency_BCFT + self.time(frequency_BCFT.mean(2, keepdim=True))
        return torch.relu(total_BCFT if self.transition is not None else x_BCFT + total_BCFT)


class BCResNet(nn.Sequential, Extractor):
    """5x5 conv of stride 2 - BN - ReLU to 2c channels, then stages of c, 1.5c, 2c and 2.5c channels.

    (B, 1, F, T) -> (B, 2.5c, F', T'), F' and T' an eighth (the stem rounds up, the poolings down).

    With a 1x1 convolution (200 -> 10, with bias) and global average pooling behind it, the default has 314,970
    parameters; the publication states 315K, which other networks fit as well. Our choices: batch norm after the stem
    (without it 314,650 parameters), no dilation along time, and ResNorm before the stem.

    Arguments
    ---------
    c : int
        Base width, even; the published networks have 10, 20, ... 80.
    bands : int
        Bands S of the sub-spectral norms. Must divide the rows of every stage: 4 does for 256, 128 and 64 mel bins
        (any multiple of 32), 5 for 40; ``out_height`` refuses other values.
    dropout : float
        Probability of the channel dropout, 0 to below 1.
    resnorm : bool
        Apply ResNorm before the stem and after every stage [our choice: before the stage's pooling]. A column then
        depends on all frames of the clip through mean and variance, and ``context_frames`` is None.

    Example
    -------
    >>> BCResNet()(torch.randn(2, 1, 256, 313)).shape
    torch.Size([2, 200, 32, 39])
    """

    tiny = {"c": 4, "bands": 2}

    def __init__(self, c=80, bands=4, dropout=0.1, resnorm=False):
        check_count("c", c)
        if c % 2:
            raise ValueError(f"c must be even, as stages have 1.5c and 2.5c channels, got {c}")
        check_count("bands", bands)
        check_number("dropout", dropout, least=0, below=1)
        if not isinstance(resnorm, bool):
            raise ValueError(f"resnorm must be True or False, got {resnorm!r}")
        norm = ResNorm if resnorm else nn.Identity
        layers = [norm(), conv_bn(1, 2 * c, 5, stride=2, activation=nn.ReLU(inplace=True))]
        widths = (c, 3 * c // 2, 2 * c, 5 * c // 2)
        for stage, (ins, outs, count) in enumerate(zip((2 * c, *widths), widths, BLOCKS)):
            layers += [BroadcastedBlock(ins if i == 0 else outs, outs, bands, dropout) for i in range(count)]
            layers += [norm(), nn.MaxPool2d(2)] if stage < 2 else [norm()]
        super().__init__(*layers)
        self.bands = bands
        context = 2 + sum(count * step for count, step in zip(BLOCKS, (2, 4, 8, 8)))
        self.set_geometry(widths[-1], time_reduction=8, context_frames=None if resnorm else context)

    def out_height(self, n_mels):
        """Frequency rows F' of the feature map of ``n_mels`` mel bins; ``ValueError`` if ``bands`` do not fit."""
        rows = [(n_mels + 1) // 2 // step for step in (1, 2, 4)]
        if any(row % self.bands for row in rows):
            common = math.gcd(*rows)
            legal = ", ".join(str(bands) for bands in range(1, common + 1) if common % bands == 0)
            raise ValueError(
                f"{n_mels} mel bins leave {rows[0]}, {rows[1]} and {rows[2]} frequency rows, which {self.bands} bands "
                f"do not divide: use bands {legal}, or a multiple of {8 * self.bands} mel bins"
            )
        return rows[-1]

    def out_frames(self, num_frames):
        """Columns T' of the feature map of ``num_frames`` frames (int or integer tensor)."""
        return (num_frames + 1) // 2 // 4
