"""Residual networks for bands of the spectrogram, of pre-activation blocks that halve time and keep frequency.

The layers of McDonnell and Gao, "Acoustic scene classification using deep residual networks with late fusion of
separated high and low frequency paths", ICASSP 2020.
"""

import torch.nn.functional as F
from torch import nn

STACKS = 4
"""Stacks of blocks per stream; each one after the first doubles the width and halves the frames."""
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

    With ``widen``, the shortcut is the input averaged over 3x3 at every other frame, followed by C channels of zeros;
    otherwise, ``dilation`` is that of the first convolution along frequency.
    """

    def __init__(self, in_channels, widen=False, dilation=1):
        super().__init__()
        channels = in_channels * 2 if widen else in_channels
        first = StridedConv(in_channels, channels) if widen else plain_conv(in_channels, channels, dilation)
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


def plain_conv(in_channels, out_channels, dilation=1):
    """3x3 convolution without bias that keeps height and width; ``dilation`` is along frequency."""
    dilations = (dilation, 1)
    return nn.Conv2d(in_channels, out_channels, 3, padding=dilations, dilation=dilations, bias=False)


def stream(in_channels, filters, blocks, dilation=1):
    """(B, C, F, T) -> (B, 8 filters, F, T/16), T/16 rounded up: BN - 3x3 conv of stride 2 along time - four stacks.

    A stack has ``blocks`` blocks; the first of every stack but the first stack doubles the width and halves the frames.
    ``dilation`` is for the other blocks, without the very first.
    """
    layers = [nn.BatchNorm2d(in_channels, **BATCH_NORM), StridedConv(in_channels, filters)]
    for stack in range(STACKS):
        width = filters * 2**stack
        first = PreActivationBlock(width // 2, widen=True) if stack else PreActivationBlock(width)
        layers += [first, *(PreActivationBlock(width, dilation=dilation) for _ in range(blocks - 1))]
    return nn.Sequential(*layers)


def stream_context(blocks):
    """Frames of context of a column of a stream: the stem, then the stacks.

    The first convolution of a stack, the first stack aside, has the frame rate of the stack before.
    """
    convolutions = 2 * blocks
    later = sum(2**stack + (convolutions - 1) * 2 ** (stack + 1) for stack in range(1, STACKS))
    return 1 + 2 * convolutions + later
