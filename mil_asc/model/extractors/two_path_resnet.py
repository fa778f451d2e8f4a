"""A residual network with separate paths for low and high frequencies (paper, Table 8, "deep residual network").

McDonnell and Gao, "Acoustic scene classification using deep residual networks with late fusion of separated high
and low frequency paths", ICASSP 2020.
"""

import torch
import torch.nn.functional as F
from torch import nn

from mil_asc.checks import check_count
from mil_asc.model.extractors.base import Extractor

STACKS = 4
"""Stacks of two blocks per path; each one after the first doubles the width and halves the frames."""


BATCH_NORM = {"eps": 1e-3, "momentum": 0.01}
"""The defaults of Keras, which the authors trained with (momentum 0.99 there is 0.01 here)."""


class EveryOtherFrame(nn.Module):
    """A 3x3 layer of stride 2 along time: (B, C, F, T) -> (B, C', F, T/2), T/2 rounded up.

    As in the authors' Keras network, an odd number of frames is padded by one at both ends, an even number at the far
    end only. ``layer`` takes the map and the padding.
    """

    def forward(self, x_BCFT):
        """Padded along frequency on both sides, along time as far as the number of frames requires."""
        return self.layer(x_BCFT, near=x_BCFT.shape[3] % 2)


class StridedConv(EveryOtherFrame):
    """3x3 convolution of stride 2 along time, without bias."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, (1, 2), bias=False)

    def layer(self, x_BCFT, near):
        """Zeros around the map: one row above and below, ``near`` frames before it and one after it."""
        return self.conv(F.pad(x_BCFT, (near, 1, 1, 1)))


class StridedMean(EveryOtherFrame):
    """Mean over 3x3 at every other frame; padding does not count."""

    def layer(self, x_BCFT, near):
        """With ``ceil_mode``, the last mean of an even number of frames is over two of them."""
        return F.avg_pool2d(x_BCFT, 3, (1, 2), (1, near), ceil_mode=True, count_include_pad=False)


def norm_relu(channels):
    """Batch norm without scale and offset - ReLU."""
    return [nn.BatchNorm2d(channels, affine=False, **BATCH_NORM), nn.ReLU(inplace=True)]


class PreActivationBlock(nn.Module):
    """Two times BN - ReLU - 3x3 conv, plus the input: (B, C, F, T) -> (B, C, F, T), or (B, 2C, F, T/2) with ``widen``.

    With ``widen``, the shortcut is the input averaged over 3x3 at every other frame, followed by C channels of zeros.
    """

    def __init__(self, in_channels, widen=False):
        super().__init__()
        channels = in_channels * 2 if widen else in_channels
        first = StridedConv(in_channels, channels) if widen else plain_conv(in_channels, channels)
        self.residual = nn.Sequential(
            *norm_relu(in_channels), first, *norm_relu(channels), plain_conv(channels, channels)
        )
        self.mean = StridedMean() if widen else None

    def forward(self, x_BCFT):
        """Sum of residual and shortcut."""
        residual_BCFT = self.residual(x_BCFT)
        if self.mean is not None:
            x_BCFT = F.pad(self.mean(x_BCFT), (0, 0, 0, 0, 0, x_BCFT.shape[1]))
        return residual_BCFT + x_BCFT


def plain_conv(in_channels, out_channels):
    """3x3 convolution without bias that keeps height and width."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)


class TwoPathResNet(Extractor):
    """Two residual networks, for the lower and the upper half of the mel bins, joined by a 1x1 conv.

    (B, 1, F, T) -> (B, 32 filters, F, T/16), T/16 rounded up; frequency is never pooled. Each path: BN - 3x3 conv
    of stride 2 along time, then four stacks of two pre-activation blocks. How a map is padded depends on its number of
    frames, so a part of a clip gives the same columns only if its frames leave the same remainder by 16.

    With the published head (BN without scale and offset, 1x1 conv to 10 classes, BN likewise, mean) the default has
    3,245,236 parameters (our count, for one input channel; the publication states 3.2M).

    Arguments
    ---------
    filters : int
        Width of the first stack; 24 in the publication.

    Example
    -------
    >>> TwoPathResNet(filters=4)(torch.randn(2, 1, 128, 313)).shape
    torch.Size([2, 128, 128, 20])
    """

    tiny = {"filters": 4}

    def __init__(self, filters=24):
        super().__init__()
        check_count("filters", filters)
        self.low = self._path(filters)
        self.high = self._path(filters)
        width = 4 * filters * 2 ** (STACKS - 1)
        self.join = nn.Sequential(*norm_relu(width // 4), nn.Conv2d(width // 4, width, 1, bias=False))
        # The stem, then the stacks: the first of four convolutions has the frame rate of the stack before.
        context = 1 + 4 * 2 + sum(2**stack + 3 * 2 ** (stack + 1) for stack in range(1, STACKS))
        self.set_geometry(width, time_reduction=2**STACKS, context_frames=context)

    @staticmethod
    def _path(filters):
        layers = [nn.BatchNorm2d(1, **BATCH_NORM), StridedConv(1, filters)]
        for stack in range(STACKS):
            width = filters * 2 ** max(stack - 1, 0)
            layers += [PreActivationBlock(width, widen=stack > 0), PreActivationBlock(filters * 2**stack)]
        return nn.Sequential(*layers)

    def forward(self, x_B1FT):
        """(B, 1, F, T) -> (B, 32 filters, F, T/16)."""
        half = x_B1FT.shape[2] // 2
        both_BCFT = torch.cat([self.low(x_B1FT[:, :, :half]), self.high(x_B1FT[:, :, half:])], dim=2)
        return self.join(both_BCFT)

    def out_height(self, n_mels):
        """Frequency rows F' of the feature map: all ``n_mels`` of them, at least 2 (one per path)."""
        if n_mels < 2:
            raise ValueError(f"two frequency paths need at least 2 mel bins, got {n_mels}")
        return n_mels

    def out_frames(self, num_frames):
        """Columns T' of the feature map of ``num_frames`` frames (int or integer tensor)."""
        return -(-num_frames // self.time_reduction)
